"""The options that say how servers are reached, for `send` and `health`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.client.channel import Route

AddressesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        envvar="DIGITSTRIP_ADDRESS",
        metavar="HOST:PORT",
        help="A server's address; given several times, the work is shared among them.",
    ),
]
TlsOption = Annotated[bool, typer.Option("--tls", help="Encrypt; the other TLS options imply it.")]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        envvar="DIGITSTRIP_TLS_CA",
        metavar="FILE",
        help="Certificates that the server's must come from.",
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
        help="The name in the server's certificate, if not that of the address.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="DIGITSTRIP_TOKEN_FILE",
        metavar="FILE",
        help="The bearer token to show; read anew when it changes.",
    ),
]
PlaintextTokenOption = Annotated[
    bool,
    typer.Option("--plaintext-token", help="Let the token leave this machine without TLS."),
]


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
    """Return what the options say; without an address, the one where a server here listens.

    Raises:
        SettingsError: they contradict each other, or a file cannot be used.
    """
    from service.client.channel import Route, Tls, Token, listening_address

    encrypted = tls or any((ca, certificate, key, server_name))
    return Route(
        tuple(addresses or [listening_address()]),
        tls=Tls(ca, certificate, key, server_name) if encrypted else None,
        token=Token(file=token_file) if token_file else None,
        plaintext_token=plaintext_token,
    )
