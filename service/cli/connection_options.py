"""The options for reaching servers, which `send`, `batch` and `health` share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

if TYPE_CHECKING:
    from service.client.channel import Route

AddressesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        envvar="DIGITSTRIP_ADDRESS",
        metavar="HOST:PORT",
        help="A server's address; repeat it to balance over several.",
    ),
]
TlsOption = Annotated[bool, typer.Option("--tls", help="Encrypt; the other TLS options imply it.")]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        envvar="DIGITSTRIP_TLS_CA",
        metavar="FILE",
        help="PEM roots that the server's certificate must come from.",
    ),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-certificate",
        envvar="DIGITSTRIP_TLS_CLIENT_CERTIFICATE",
        metavar="FILE",
        help="The certificate to show to the server.",
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-key", envvar="DIGITSTRIP_TLS_CLIENT_KEY", metavar="FILE", help="Its private key."
    ),
]
ServerNameOption = Annotated[
    str | None,
    typer.Option(
        "--tls-server-name",
        envvar="DIGITSTRIP_TLS_SERVER_NAME",
        metavar="NAME",
        help="The name in the server's certificate, if it is not the address's.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="DIGITSTRIP_TOKEN_FILE",
        metavar="FILE",
        help="A file with the bearer token; reloaded when it changes.",
    ),
]
PlaintextTokenOption = Annotated[
    bool,
    typer.Option("--plaintext-token", help="Allow the token to leave this machine without TLS."),
]
# The environment variables of these options, which a server's environment may have, too.
VARIABLES = frozenset(
    get_args(option)[1].envvar
    for option in (
        AddressesOption,
        CaOption,
        CertificateOption,
        KeyOption,
        ServerNameOption,
        TokenFileOption,
    )
)


def silence_grpc() -> None:
    """Keep gRPC's own log off stderr, before gRPC is imported; the commands report failures."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def to_route(
    addresses: list[str] | None,
    tls: bool,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    server_name: str | None,
    token_file: Path | None,
    plaintext_token: bool,
) -> "Route":
    """Return the route of the options; without an address, to the server of this machine.

    Raises:
        SettingsError: options contradict each other, or a file cannot be used.
    """
    from service.client.channel import Route, Tls, Token, listening_address

    encrypted = tls or any((ca, certificate, key, server_name))
    return Route(
        tuple(addresses or [listening_address()]),
        tls=Tls(ca, certificate, key, server_name) if encrypted else None,
        token=Token(file=token_file) if token_file else None,
        plaintext_token=plaintext_token,
    )
