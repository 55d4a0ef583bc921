"""`digitstrip health`: whether a server serves, for probes and scripts."""

from typing import Annotated

import typer

from service.cli.connection_options import (
    AddressesOption,
    CaOption,
    CertificateOption,
    KeyOption,
    PlaintextTokenOption,
    ServerNameOption,
    TlsOption,
    TokenFileOption,
    silence_grpc,
    to_route,
)
from service.cli.output import Exit


def health(
    address: AddressesOption = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait.")] = 3.0,
    tls: TlsOption = False,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_server_name: ServerNameOption = None,
    token_file: TokenFileOption = None,
    plaintext_token: PlaintextTokenOption = False,
) -> None:
    """Print a server's health; exit 0 if it is SERVING, 1 if not.

    Without an address, it is the server of this environment: at DIGITSTRIP_LISTEN, trusted by its
    own DIGITSTRIP_TLS_CERTIFICATE.
    """
    silence_grpc()
    from service.client.health_check import check, trusting_its_own

    if address and len(address) > 1:
        raise typer.BadParameter("one server at a time", param_hint="--address")
    route = to_route(
        address,
        tls,
        tls_ca,
        tls_certificate,
        tls_key,
        tls_server_name,
        token_file,
        plaintext_token,
    )
    if not (address or tls or tls_ca or tls_server_name):
        route = trusting_its_own(route, timeout)
    status = check(route, timeout)
    typer.echo(status)
    raise typer.Exit(Exit.ALL_READ if status == "SERVING" else Exit.SOME_FAILED)
