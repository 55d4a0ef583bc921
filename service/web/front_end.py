"""The front end that speaks HTTP, as a server starts and stops it."""

from service.http.app import HttpApp
from service.http.policy import Policy
from service.http.server import Bounds, HttpServer
from service.http.tls import tls_context
from service.serving.backend import Backend
from service.serving.settings import Settings
from service.web.calls import Calls
from service.web.connect import connect_routes
from service.web.health import health_routes
from service.web.openapi import openapi_route
from service.web.page import page_routes
from service.web.read import read_route

BASE64 = 4 / 3  # bytes a byte
COPIES = 3  # of a body that are in memory at once while it becomes a message
REST_BYTES = 2**20  # of a request besides its image; a constraint has no more


def web_front_end(settings: Settings, backend: Backend) -> HttpServer:
    """Return the server of all that is served over HTTP; it does not listen yet.

    Raises:
        SettingsError: a certificate cannot be used.
    """
    max_body = int(BASE64 * max(settings.max_bytes, settings.max_pixels)) + REST_BYTES
    calls = Calls(backend)
    routes = [
        *connect_routes(calls),
        read_route(calls),
        *health_routes(backend),
        openapi_route(),
        *page_routes(),
    ]
    policy = Policy(
        hosts=settings.web_hosts,
        origins=settings.web_origins,
        max_body_bytes=max_body,
        body_seconds=settings.receive_seconds,
        body_copies=COPIES,
    )
    bounds = Bounds(connections=min(settings.max_connections, Bounds.connections))
    certificate, key = settings.tls_certificate, settings.tls_key
    tls = (
        tls_context(certificate, key, settings.tls_client_ca)
        if certificate is not None and key is not None
        else None
    )
    return HttpServer(HttpApp(routes, policy, backend.held), settings.web_listen, bounds, tls)
