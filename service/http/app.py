"""An ASGI app of routes and what protects them, the outermost first."""

import logging
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    DigitstripError,
    HttpError,
    MethodNotAllowed,
    NoSuchPath,
    WrongHost,
    WrongOrigin,
    quoted,
)
from service.held_bytes import HeldBytes
from service.http.bodies import BoundedBodies
from service.http.errors import error_response
from service.http.policy import Policy

SECURITY_HEADERS = {
    # Scripts and styles are the package's files alone; blob: and data: are images of the page.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # unless a handler says otherwise
}
METHOD_NOT_ALLOWED = 405
HELD_BYTES = 128 * 2**20  # of bodies, where nothing else is held
CORS_METHODS = ("GET", "POST")
CORS_HEADERS = (
    "Authorization",
    "Content-Type",
    "Connect-Protocol-Version",
    "Connect-Timeout-Ms",
    "X-Request-Id",
)
CORS_EXPOSED = ("X-Request-Id", "Retry-After", "Server-Timing")
FAILED = "the server failed on this request; its log says why"

logger = logging.getLogger(__name__)


class HttpApp:
    """An app that serves routes under a policy.

    Args:
        routes: of Starlette.
        policy: whom it serves, and what a request may cost.
        held: counts the bytes of bodies beside those of other front ends; None, bodies alone.

    Attributes:
        bodies: of its requests.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], policy: Policy, held: HeldBytes | None = None
    ) -> None:
        self.bodies = BoundedBodies(
            Router(routes, redirect_slashes=False), policy, held or HeldBytes(HELD_BYTES)
        )
        app: ASGIApp = AnsweredErrors(self.bodies)
        if policy.origins:
            app = CORSMiddleware(
                app,
                allow_origins=policy.origins,
                allow_methods=CORS_METHODS,
                allow_headers=CORS_HEADERS,
                expose_headers=CORS_EXPOSED,
            )
        self._app = SecurityHeaders(CheckedNames(app, policy))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._app(scope, receive, send)


class SecurityHeaders:
    """Middleware: every answer tells browsers to load, embed and guess nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, sending)


class CheckedNames:
    """Middleware: refuses requests by another name than the server's, and of pages elsewhere."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app, self.policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        error: HttpError | None = None
        if not self.policy.allows_host(host):
            error = WrongHost(
                f"the Host header is {quoted(host)}; expected localhost, an IP address"
                + "".join(f" or {name}" for name in self.policy.hosts)
            )
        elif origin is not None and not self.policy.allows_origin(origin, host):
            error = WrongOrigin(
                f"the Origin header is {quoted(origin)}; expected {scope['scheme']}://{host}"
                + "".join(f" or {each}" for each in self.policy.origins)
            )
        app = self.app if error is None else error_response(error)
        await app(scope, receive, send)


class AnsweredErrors:
    """Middleware: errors are answered in JSON; those that are bugs are logged, not shown."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        scope["app"] = self  # with it, a Router raises what it would answer in plain text
        try:
            await self.app(scope, receive, sending)
            return
        except ClientDisconnect:  # nobody is left to answer
            return
        except HTTPException as raised:
            error = _of_router(raised, scope)
        except DigitstripError as raised:
            error = raised.with_traceback(None)
        except Exception:
            logger.exception("HTTP request failed", extra={"path": quoted(scope["path"])})
            error = DigitstripError(FAILED)
        if not started:
            await error_response(error)(scope, receive, send)


def _of_router(raised: HTTPException, scope: Scope) -> DigitstripError:
    """Return the error for a request that no route takes."""
    if raised.status_code == METHOD_NOT_ALLOWED:
        allowed = (raised.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"the method is {scope['method']}; expected {allowed}")
    return NoSuchPath(f"there is nothing at {quoted(scope['path'])}")
