"""Addresses, TLS and tokens of servers; light, since `digitstrip health` loads it."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from service.errors import SettingsError, quoted
from service.file_watcher import Watched, read_regular

Options = list[tuple[str, int | str]]  # gRPC's channel arguments

PORT = 50051
TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, section 2.1


@dataclass(frozen=True)
class Tls:
    """The certificates that a connection trusts and shows.

    Args:
        ca: a PEM file of the certificates that servers' must come from; None is gRPC's own list.
        certificate: a PEM file of the chain that this side shows (mTLS), with `key`.
        key: its private key.
        server_name: the name in the servers' certificate, where it is not that of the address.

    Raises:
        SettingsError: a certificate comes without its key, or a key without its certificate.
    """

    ca: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            given, missing = ("certificate", "key") if self.certificate else ("key", "certificate")
            raise SettingsError(f"a TLS {given} was given without its {missing}")

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what gRPC connects with.

        Raises:
            SettingsError: a file cannot be read, or is no PEM.
        """
        return grpc.ssl_channel_credentials(
            _pem(self.ca, "CERTIFICATE"),
            _pem(self.key, "PRIVATE KEY"),
            _pem(self.certificate, "CERTIFICATE"),
        )


def _pem(file: Path | str | None, kind: str) -> bytes | None:
    """Return a PEM file's bytes; gRPC would only say that no connection came about."""
    if file is None:
        return None
    try:
        content = read_regular(Path(file))
    except OSError as error:
        raise SettingsError(f"cannot read the TLS file {file}: {error}") from error
    if not re.search(rb"-----BEGIN [A-Z ]*" + kind.encode(), content):
        raise SettingsError(f"the TLS file {file} has no {kind} in PEM form")
    return content


class Token:
    """A bearer token, given, or in a file that is reloaded when it changes.

    Args:
        token: the token itself; or
        file: where it stands, alone, space round it aside.

    Raises:
        SettingsError: there is no token, or it has characters that no bearer token has. A file that
            comes to hold none later leaves the old token in place, and the log says so.
    """

    def __init__(self, token: str | None = None, file: Path | str | None = None) -> None:
        if file is not None:
            path = Path(file)
            self._read = Watched([path], lambda: _read_token(path))
        else:
            self._read = Watched([], lambda: _checked(token or "", "the token"))

    @property
    def value(self) -> str:
        """The token as it is now."""
        return self._read.value


def _read_token(file: Path) -> str:
    try:
        # /dev/stdin and <(command), which is /dev/fd/N, are pipes that the user means.
        read = Path.read_bytes if file.is_relative_to("/dev") else read_regular
        content = read(file).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the token file {file}: {error}") from error
    return _checked(content, f"the token in {file}")


def _checked(token: str, what: str) -> str:
    if not TOKEN.fullmatch(token):  # nor is it shown
        raise SettingsError(f"{what} is no bearer token: one word of letters, digits and -._~+/=")
    return token


@dataclass(frozen=True)
class Route:
    """The servers of a client, and what calls to them carry.

    Args:
        addresses: host:port of one server, or of several: then IP addresses of one family, since
            gRPC looks up one name only. A name that stands for several servers is balanced too.
        tls: how to trust them; None is no encryption.
        token: what to show them.
        plaintext_token: allow a token to leave this machine unencrypted.

    Raises:
        SettingsError: an address is none, or the token would travel where others can read it.
    """

    addresses: tuple[str, ...]
    tls: Tls | None = None
    token: Token | None = None
    plaintext_token: bool = False

    def __post_init__(self) -> None:
        if not self.addresses:
            raise SettingsError("no address was given; expected host:port")
        for each in self.addresses:
            _host(each)
        if self.tls and not self.tls.server_name and len(self.addresses) > 1:
            raise SettingsError(
                "of several servers under TLS, the name in their certificate must be given "
                "(server_name, --tls-server-name)"
            )
        if self.token and not (self.tls or self.plaintext_token or self.local):
            raise SettingsError(
                f"a token would travel unencrypted to {', '.join(self.addresses)}; use TLS, or "
                "set plaintext_token"
            )

    @property
    def local(self) -> bool:
        """Whether every address is on this machine."""
        return all(_is_loopback(_host(each)) for each in self.addresses)

    @property
    def target(self) -> str:
        """The servers as gRPC names them."""
        if len(self.addresses) == 1:
            return self.addresses[0]
        addresses = [re.sub(r"^localhost:", "127.0.0.1:", each) for each in self.addresses]
        families = {_family(each) for each in addresses}
        if len(families) != 1 or None in families:
            raise SettingsError(
                f"of several servers, {', '.join(self.addresses)}, each is given by its IP address,"
                " all IPv4 or all IPv6; a name that stands for several is given alone"
            )
        return f"ipv{families.pop()}:{','.join(addresses)}"

    @property
    def options(self) -> Options:
        """The channel arguments that gRPC needs for the way there."""
        options: Options = []
        if self.local:  # else gRPC asks the environment's proxy for this machine
            options.append(("grpc.enable_http_proxy", 0))
        if self.tls and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
            options.append(("grpc.default_authority", self.tls.server_name))
        return options

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what every call carries: the token, as it is now."""
        return (("authorization", f"Bearer {self.token.value}"),) if self.token else ()

    def channel(self, options: Options | None = None) -> grpc.Channel:
        """Open a blocking channel."""
        given = [*self.options, *(options or ())]
        if self.tls is None:
            return grpc.insecure_channel(self.target, given)
        return grpc.secure_channel(self.target, self.tls.credentials(), given)

    def aio_channel(self, options: Options | None = None) -> grpc.aio.Channel:
        """Open a channel for asyncio."""
        given = [*self.options, *(options or ())]
        if self.tls is None:
            return grpc.aio.insecure_channel(self.target, given)
        return grpc.aio.secure_channel(self.target, self.tls.credentials(), given)


def _host(address: str) -> str:
    """Return an address's host, without the brackets of IPv6; of a socket's path, nothing.

    Raises:
        SettingsError: it is not host:port, nor a path or name as gRPC writes them.
    """
    if address.startswith("unix:"):
        return ""
    host, _, port = address.removeprefix("dns:///").rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise SettingsError(
            f"the address {quoted(address)} is not host:port, with a port of 1 to 65535"
        )
    return host.removeprefix("[").removesuffix("]")


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _family(address: str) -> int | None:
    """Return 4 or 6 for an IP address, None for a name."""
    try:
        return ipaddress.ip_address(_host(address)).version
    except ValueError:
        return None


def listening_address(environment: Mapping[str, str] = os.environ) -> str:
    """Return where a server with this environment is reached from its own machine."""
    listen = environment.get("LISTEN") or environment.get("DIGITSTRIP_LISTEN")  # as `serve` does
    host, _, port = (listen or f"127.0.0.1:{PORT}").rpartition(":")
    local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
    return f"{local.get(host, host)}:{port}"
