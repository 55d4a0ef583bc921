"""How much of a message has come over a connection, as the kernel counts its bytes.

gRPC says of a message only that it is whole. What the kernel received on a connection, less what
was received whole, bounds what gRPC holds of messages that are not. So a stream that waits with
nothing in hand is distinguished from one whose message was begun and does not end.
"""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

TCP_INFO_BYTES, RECEIVED_AT = 192, 128  # of Linux's struct tcp_info; of tcpi_bytes_received in it
DESCRIPTORS = Path("/proc/self/fd")
NONE = -1  # descriptor
REMEMBERED = 4096  # descriptors
OVERHEAD_BYTES, OVERHEAD_SHARE = 512, 128  # of a message: headers; one byte in so many, frames


@dataclass
class _Connection:
    descriptor: int
    base: int  # bytes received before
    whole: int = 0  # of those since, in messages that were received whole
    waiting: int = 0  # streams


class Connections:
    """The connections on which streams wait for a message, by gRPC's name of their peer."""

    def __init__(self) -> None:
        self._by_peer: dict[str, _Connection] = {}
        self._descriptors: dict[str, int] = {}  # found before; checked before they are used

    def wait(self, peer: str) -> None:
        """Note that a stream begins to wait."""
        connection = self._by_peer.get(peer)
        if connection is None:
            descriptor = self._descriptors.get(peer, NONE)
            received = _received(descriptor, peer)
            if received is None:
                descriptor = _find(peer)
                received = _received(descriptor, peer)
                if received is None:
                    return
                if len(self._descriptors) == REMEMBERED:
                    del self._descriptors[next(iter(self._descriptors))]
                self._descriptors[peer] = descriptor
            connection = self._by_peer[peer] = _Connection(descriptor, received)
        connection.waiting += 1

    def waited(self, peer: str) -> None:
        """Note that a stream waits no longer."""
        if (connection := self._by_peer.get(peer)) is not None:
            connection.waiting -= 1
            if not connection.waiting:
                del self._by_peer[peer]

    def received(self, peer: str, size: int) -> None:
        """Note that a message of some bytes was received whole."""
        if (connection := self._by_peer.get(peer)) is not None:
            connection.whole += size + size // OVERHEAD_SHARE + OVERHEAD_BYTES

    def in_part(self, peer: str) -> int | None:
        """Return the bytes that came while streams waited, of messages that are not whole.

        Returns:
            About so many as gRPC holds; None where the system does not say.
        """
        if (connection := self._by_peer.get(peer)) is None:
            return None
        received = _received(connection.descriptor, peer)
        if received is None:
            return None
        came = received - connection.base
        # What is estimated for headers and frames is rather too much, and would add up.
        connection.whole = min(connection.whole, came)
        return came - connection.whole


def _find(peer: str) -> int:
    """Return the descriptor of this process's connection with a peer; NONE if there is none."""
    with suppress(OSError):
        for each in DESCRIPTORS.iterdir():
            if _received(int(each.name), peer) is not None:
                return int(each.name)
    return NONE


def _received(descriptor: int, peer: str) -> int | None:
    """Return the bytes that came over a connection; None if it is not the peer's."""
    if descriptor == NONE or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:  # no socket, or closed meanwhile
        return None
    try:
        host, port, *_ = connection.getpeername()
        if peer_name(host, port) != unquote(peer):
            return None
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        received: int = struct.unpack_from("=Q", info, RECEIVED_AT)[0]
        return received
    except (OSError, ValueError, struct.error):  # one that listens, or no TCP
        return None
    finally:
        connection.detach()


def peer_name(host: str, port: int) -> str:
    """Return gRPC's name of a peer."""
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
