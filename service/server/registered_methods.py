"""A server of grpc.aio that no call can stop, whatever the method's name.

grpc.aio decodes the name of a method that is not registered in the loop that takes all calls. A
name that is not UTF-8 raises there, and the server stops for good (in grpcio 1.85.1 and 1.85.3):
one packet of anybody's is enough, before authentication. So every method is registered, and a call
of any other does not reach that loop. It is answered UNIMPLEMENTED; its name is not looked at.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from grpc._cython import cygrpc

UNREGISTERED = "/"  # the name of every such method, to interceptors


def aio_server(
    options: Sequence[tuple[str, int]], interceptors: Sequence[grpc.aio.ServerInterceptor]
) -> grpc.aio.Server:
    """Return a server, as `grpc.aio.server` does; it serves registered methods only."""
    plain, cygrpc.AioServer = cygrpc.AioServer, _Core  # grpc.aio lets no other be given
    try:
        return grpc.aio.server(options=options, interceptors=interceptors)
    finally:
        cygrpc.AioServer = plain


class _Core(cygrpc.AioServer):  # type: ignore[misc]  # grpc ships no types
    """What `grpc.aio` wraps: takes calls of unregistered methods in a task of its own."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread_pool: Any,  # noqa: ANN401 - grpc's own arguments
        handlers: Any,  # noqa: ANN401 - the same
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        *others: Any,  # noqa: ANN401 - the same
    ) -> None:
        super().__init__(loop, thread_pool, handlers, interceptors, *others)
        self.loop, self.interceptors = loop, tuple(interceptors)
        self.refusing: set[asyncio.Task[None]] = set()

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:  # grpc's
        """Return a future of the next call of a method, as grpc.aio's loop expects it.

        Of unregistered methods (None) there is none: the future ends with the server.
        """
        if method is not None:
            future: asyncio.Future[Any] = super()._make_request_call_future(method)  # grpc's
            return future
        return self.loop.create_task(self._refuse_all())

    async def _refuse_all(self) -> None:
        """Answer the calls of methods that are not registered, until the server stops."""
        while True:
            call = await self._request_call()
            answering = cygrpc._handle_rpc(
                UNREGISTERED, _NoMethods(), self.interceptors, call, self.loop, False
            )
            task = self.loop.create_task(
                cygrpc._schedule_rpc_coro(answering, call, self.loop, UNREGISTERED)
            )
            self.refusing.add(task)
            task.add_done_callback(self.refusing.discard)


class _NoMethods:
    """A generic handler without methods."""

    def resolve_handler(self, _: object) -> None:
        """Return None: gRPC then serves registered methods only."""
