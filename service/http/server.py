"""uvicorn in the server's event loop: with its signals, and with bounds on connections."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.errors import SettingsError, quoted
from service.http.app import HttpApp
from service.http.bodies import BoundedBodies

MAX_HEADER_BYTES = 16 * 1024  # of a request's line and headers
LINGER_SECONDS = 1.0  # for an answer to be read by who still sends its body
BACKLOG = 128
MAX_PORT = 65_535


@dataclass(frozen=True)
class Bounds:
    """What connections may cost.

    Attributes:
        connections: maximum open at once; a further one ends the oldest that is idle or, where none
            is, has the request refused whose body has been arriving for longest.
        header_seconds: maximum for a request's headers to arrive.
        keep_alive_seconds: maximum between an answer and the next request.
        send_seconds: maximum for a silent client to take the rest of an answer.
    """

    connections: int = 256
    header_seconds: int = 10
    keep_alive_seconds: int = 5
    send_seconds: int = 30


class HttpServer:
    """Serves an app over HTTP/1.1.

    Args:
        app: that answers.
        listen: host:port; port 0 is a free one.
        bounds: of connections.
        tls: that clients must speak, or None.
    """

    def __init__(
        self,
        app: HttpApp,
        listen: str,
        bounds: Bounds | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.listen = listen
        self.bounds = bounds or Bounds()
        self._tls = tls
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_protocol(self.bounds, app.bodies),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level=logging.CRITICAL,  # whoever sends rubbish must not fill the log
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=self.bounds.keep_alive_seconds,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """The number of connections that are open."""
        return len(self._server.server_state.connections)

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        listener = _listener(self.listen)
        self._serving = asyncio.create_task(self._server.serve([listener]))
        self._serving.add_done_callback(lambda _: self._server.ready.set())
        await self._server.ready.wait()
        if self._serving.done():
            await self._serving  # raises why it does not listen
        port: int = listener.getsockname()[1]
        return port

    async def stop(self, seconds: float = 0.0) -> None:
        """Take no further request, and end when those in progress are answered or time is up."""
        if self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = seconds  # type: ignore[assignment]
        self._server.should_exit = True
        await self._serving
        for connection in [*self._server.server_state.connections]:
            connection.transport.abort()
        self._serving = None


class _Server(uvicorn.Server):
    """A server whose signals are the process's own, and that says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()


class _Protocol(H11Protocol):
    """A connection that is ended when it is slow, and when it is idle and there are too many.

    uvicorn's own bounds are `timeout_keep_alive`, which one byte of a request stops, and
    `limit_concurrency`, which refuses requests and keeps their connections.
    """

    bounds: ClassVar[Bounds]
    bodies: ClassVar[BoundedBodies]
    idle: ClassVar[dict["_Protocol", None]]  # without a request in progress, the oldest first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = self.bodies.held.hold(0)
        self._rest()
        if len(self.connections) > self.bounds.connections:
            self._make_room()
        self._end_in(self.bounds.header_seconds)

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request; from its first byte, its headers have a time to be there."""
        super().data_received(data)
        if self._is_busy():
            self.idle.pop(self, None)
            self._stop_timer()
        elif self._timer is None:
            self._end_in(self.bounds.header_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of a body that nobody reads."""
        super().on_response_complete()  # which may begin a request that is there already
        if self.transport.is_closing() or self._is_busy():
            return
        self._rest()
        if self.conn.their_state is h11.SEND_BODY:
            self._end_in(LINGER_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that is silent, even if it does not read the answer either."""
        super().timeout_keep_alive_handler()
        self._end_in(self.bounds.send_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._forget()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; where its request is answered already, end the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """Count an answer that its caller is slow to take."""
        super().pause_writing()
        self._unsent.resize(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Count it no longer."""
        super().resume_writing()
        self._unsent.release()

    def _make_room(self) -> None:
        """End the oldest idle connection, have a body refused, or end this connection."""
        oldest = next(iter(self.idle))
        # One whose body is refused is idle once that is answered, and the first to go.
        if oldest is not self or not self.bodies.refuse_oldest():
            oldest.transport.abort()
            oldest._forget()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _rest(self) -> None:
        self.idle[self] = None

    def _forget(self) -> None:
        self._stop_timer()
        self._unsent.release()
        self.idle.pop(self, None)
        self.connections.discard(self)

    def _end_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _protocol(of_bounds: Bounds, of_app: BoundedBodies) -> type[_Protocol]:
    """Return the class of one server's connections; uvicorn gives it no arguments."""

    class Protocol(_Protocol):
        bounds, bodies = of_bounds, of_app
        idle: ClassVar[dict[_Protocol, None]] = {}

    return Protocol


def _listener(listen: str) -> socket.socket:
    """Return a socket that is bound to host:port."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise SettingsError(f"{quoted(listen)} is no address; expected host:port")
    try:
        family, *_ = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
        # Connections inherit it. asyncio sets it only where the protocol of a socket is not left
        # open; without, the second part of an answer waits for the acknowledgment of the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        why = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror or error
        raise SettingsError(f"cannot listen on {listen} for HTTP: {why}") from error
