"""The port for Prometheus: HTTP whose connections are few and short, however many come."""

import socket
import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from service.errors import SettingsError

MAX_CONNECTIONS = 16  # at once; a further one ends the oldest, since a scrape takes milliseconds
SILENCE_SECONDS = 5.0  # after which a connection that says nothing is ended


def serve_metrics(address: str, registry: CollectorRegistry) -> Callable[[], None]:
    """Serve Prometheus at host:port; return the function that stops it.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family, *_ = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        server = _Server((host, int(port)), family)
    except OSError as error:
        raise SettingsError(f"cannot listen on {address} for metrics: {error}") from error
    server.set_app(make_wsgi_app(registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each connection in a thread of its own, of which there are few."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily) -> None:
        self.address_family = family
        super().__init__(address, _Handler)
        self._open: dict[socket.socket, None] = {}  # in the order in which they came
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver's
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > MAX_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
                _end(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as socketserver's
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver's
        """Say nothing of a connection that was ended before it was answered."""


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_SECONDS

    def log_message(self, *_: object) -> None:
        """Log nothing of scrapes."""


def _end(connection: socket.socket) -> None:
    """End a connection that another thread reads from."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return
