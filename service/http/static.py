"""Files of a package, served by an explicit table: no path of a request reaches the disk."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
}


def resource_routes(package: str, table: Mapping[str, str]) -> list[Route]:
    """Return a route for each file; all are read now, and held.

    Args:
        package: that has them as its data.
        table: their names in the package, by the paths that they are served at.
    """
    folder = files(package)
    return [
        _route(path, folder.joinpath(name).read_bytes(), MEDIA_TYPES[name.rpartition(".")[2]])
        for path, name in table.items()
    ]


def _route(path: str, content: bytes, media_type: str) -> Route:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # Kept by the browser, and asked for again each time: a new version is seen at once.
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return Route(path, serve, methods=["GET"])
