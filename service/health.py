"""Ask a server's health; light, since a container's health check starts it every few seconds."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.connection import Route
from service.errors import ServerUnavailable


def check(route: Route, timeout: float) -> str:
    """Return what a server says of itself: SERVING, NOT_SERVING or UNKNOWN.

    Args:
        route: where it is.
        timeout: seconds.

    Raises:
        ServerUnavailable: it does not say.
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
