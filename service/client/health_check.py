"""A server's health; light, since a container's health check starts it every few seconds."""

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.client.channel import Route, Tls
from service.errors import ServerUnavailable, SettingsError

NAMES = ("DNS", "IP Address")  # in a certificate, of what can be connected to


def check(route: Route, timeout: float) -> str:
    """Return a server's health: SERVING, NOT_SERVING or UNKNOWN.

    Args:
        route: where it is.
        timeout: seconds.

    Raises:
        ServerUnavailable: it does not answer.
    """
    with route.channel() as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=timeout, metadata=route.metadata()
            )
        except grpc.RpcError as error:
            raise ServerUnavailable(f"{error.code().name}: {error.details()}") from error
    status: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return status


def trusting_its_own(
    route: Route, timeout: float, environment: Mapping[str, str] = os.environ
) -> Route:
    """Return the route to the server of this environment: it is trusted by its own certificate.

    Args:
        route: to it, with what this side shows to it; else it is shown its own certificate.
        timeout: seconds.
        environment: says with what the server was started; without a certificate, nothing changes.

    Raises:
        ServerUnavailable: no server there shows that certificate.
        SettingsError: the file cannot be used.
    """
    if not (certificate := environment.get("DIGITSTRIP_TLS_CERTIFICATE")):
        return route
    try:
        context = ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise SettingsError(f"cannot use the certificate {certificate}: {error}") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not have signed itself
    context.check_hostname = False  # it was issued for the name that others know
    context.set_alpn_protocols(["h2"])
    (address,) = route.addresses
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout) as plain,
            context.wrap_socket(plain) as secure,
        ):
            shown = secure.getpeercert() or {}
    except OSError as error:
        raise ServerUnavailable(f"no server at {address} shows {certificate}: {error}") from error
    names = [str(each[1]) for each in shown.get("subjectAltName", ()) if each[0] in NAMES]
    own = route.tls or Tls(None, certificate, environment.get("DIGITSTRIP_TLS_KEY"))
    return replace(route, tls=replace(own, ca=certificate, server_name=next(iter(names), None)))
