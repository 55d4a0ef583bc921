"""A client that speaks just enough HTTP/2 (RFC 9113) to misbehave in ways that gRPC's does not."""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
ACK = END_HEADERS = 0x1
INITIAL_WINDOW_SIZE = 4  # of SETTINGS
WINDOW = 65_535  # bytes, before SETTINGS say otherwise


class Connection:
    """A connection on which one call is opened and its message sent as far as it is allowed.

    Args:
        address: host:port.
    """

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.window = self.of_stream = WINDOW
        self.ended = False
        self.trailers = b""  # header blocks, compressed: literals can be searched for
        self._initial = WINDOW
        self._received = b""

    def open(self, path, *metadata):
        """Send a call's headers, as stream 1."""
        usual = (
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
            ("te", "trailers"), ("content-type", "application/grpc"),
        )  # fmt: skip
        block = b"".join(literal(name, value) for name, value in (*usual, *metadata))
        self.socket.sendall(frame(HEADERS, END_HEADERS << 2, 1, block))

    def send(self, message, declared, seconds):
        """Send the beginning of a message, and return how many bytes the server took.

        Args:
            message: its content.
            declared: the length that the prefix says it has.
            seconds: until nothing more is sent if the server gives no more room.
        """
        content = struct.pack(">BI", 0, declared) + message
        sent, end = 0, time.monotonic() + seconds
        while sent < len(content) and not self.ended and time.monotonic() < end:
            if (size := min(self.window, self.of_stream, 16_384, len(content) - sent)) > 0:
                self.socket.sendall(frame(DATA, 0, 1, content[sent : sent + size]))
                self.window -= size
                self.of_stream -= size
                sent += size
                end = time.monotonic() + seconds
            self.listen(0.0 if size > 0 else 0.05)
        return sent

    def until_ended(self, seconds):
        """Return whether the server ends the call within some seconds."""
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            self.listen(0.05)
        return self.ended

    def listen(self, seconds):
        """Take in the frames that come within some seconds."""
        self.socket.settimeout(max(seconds, 0.0001))
        try:
            piece = self.socket.recv(2**16)
            self.ended |= not piece
            self._received += piece
        except (TimeoutError, BlockingIOError):
            pass
        except ConnectionError:
            self.ended = True
        self.socket.settimeout(30)
        while len(self._received) >= 9:
            size = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + size:
                break
            kind, flags = self._received[3:5]
            stream = int.from_bytes(self._received[5:9], "big")
            self._take(kind, flags, stream, self._received[9 : 9 + size])
            self._received = self._received[9 + size :]

    def close(self):
        """Hang up."""
        self.socket.close()

    def _take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == INITIAL_WINDOW_SIZE:
                    self.of_stream += value - self._initial
                    self._initial = value
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            (room,) = struct.unpack(">I", payload)
            if stream:
                self.of_stream += room
            else:
                self.window += room
        elif kind == HEADERS:
            self.trailers += payload
            self.ended |= bool(flags & 0x1)  # END_STREAM
        elif kind == RST_STREAM:
            self.ended = True


def frame(kind, flags, stream, payload=b""):
    """Return a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """Return a header field that is never indexed and not compressed (RFC 7541, section 6.2.3)."""
    name, value = name.encode(), value.encode()
    assert len(name) < 127 > len(value)
    return bytes([0x10, len(name)]) + name + bytes([len(value)]) + value
