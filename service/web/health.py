"""`/healthz`: the process answers. `/readyz`: it would recognize an image now."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import ServerStopping, ServerUnavailable
from service.serving.backend import Backend


def health_routes(backend: Backend) -> list[Route]:
    """Return both routes; they need a token where health checks over gRPC do."""

    def check_token(request: Request) -> None:
        if backend.tokens is not None and not backend.health_open:
            refusal = backend.tokens.refusal(request.headers.get("authorization"))
            if refusal is not None:
                raise refusal

    async def alive(request: Request) -> Response:
        check_token(request)
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        check_token(request)
        if backend.draining.is_set():
            raise ServerStopping("the server is stopping")
        if not backend.ready:
            raise ServerUnavailable("no worker is ready")
        return JSONResponse({"status": "ready"})

    return [Route("/healthz", alive), Route("/readyz", ready)]
