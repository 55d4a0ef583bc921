"""Whom an HTTP front end serves, and what a request may cost."""

import ipaddress
from dataclasses import dataclass

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Policy:
    """The bounds of requests.

    Attributes:
        hosts: names that a request's Host may have besides loopback's and IP addresses.
        origins: web pages elsewhere that may call, such as `https://example.org`; pages that the
            server itself serves always may.
        max_body_bytes: maximum of a request's body.
        body_seconds: maximum for a request's body to arrive.
        body_copies: of a body that are in memory at once while it is worked on.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body_bytes: int = 2**20
    body_seconds: float = 30.0
    body_copies: int = 1

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header names this server.

        A page elsewhere can point its own name at this machine (DNS rebinding) but not an address,
        so that an address is as good as a listed name.
        """
        name = host_name(host)
        return name in LOOPBACK_NAMES or name in self.hosts or _is_address(name)

    def allows_origin(self, origin: str, host: str) -> bool:
        """Return whether a page of an origin may send a request to a host of this server."""
        own = origin.partition("://")[2].lower() == host.lower() != ""
        return own or origin in self.origins


def host_name(host: str) -> str:
    """Return the name in a Host header, without its port or brackets; empty if it is malformed."""
    name, bracket, port = host.lower().rpartition("]")
    if bracket:  # [::1]:8080
        return name[1:] if name.startswith("[") and _is_port(port) else ""
    name, colon, port = host.lower().partition(":")
    return name if not colon or _is_port(f":{port}") else ""


def is_loopback(host: str) -> bool:
    """Return whether a name or an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
