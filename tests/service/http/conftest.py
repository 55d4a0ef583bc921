import asyncio
from contextlib import asynccontextmanager

import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route

from service.errors import BadConstraint, Overloaded
from service.http.app import HttpApp
from service.http.policy import Policy
from service.http.server import HttpServer


async def echo(request):
    return JSONResponse({"bytes": len(await request.body())})


async def unread(_):
    return JSONResponse({})


async def refuse(_):
    raise BadConstraint("the length is 0; expected 1 or more", "constraint.length")


async def full(_):
    raise Overloaded("no room", 2.3)


async def fail(_):
    raise ZeroDivisionError("a secret")


ROUTES = [
    Route("/", unread),
    Route("/echo", echo, methods=["POST"]),
    Route("/unread", unread, methods=["POST"]),
    Route("/refused", refuse),
    Route("/full", full),
    Route("/fails", fail),
]


@pytest.fixture
def serving():
    """A context in which an app of some routes is served; gives the server, to connect to."""

    @asynccontextmanager
    async def serving(routes=ROUTES, bounds=None, held=None, **policy):
        app = HttpApp(routes, Policy(**policy), held)
        server = HttpServer(app, "127.0.0.1:0", bounds)
        server.app = app
        port = server.port = await server.start()
        writers = []

        async def connect():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            return reader, writer

        server.connect = connect
        try:
            yield server
        finally:
            for writer in writers:
                writer.close()
            await server.stop()

    return serving
