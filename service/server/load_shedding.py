"""Load shedding: calls to a full queue are refused before their message is received.

`Backend.overload` says when, and why.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc

from service.server.refusal import refuse
from service.serving.backend import Backend


class LoadShedder(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Admits calls of one method while there is room for their usual cost.

    Args:
        method: with its service, as it stands in a request's path.
        backend: that is overloaded or not, and observes the refusals.
    """

    def __init__(self, method: str, backend: Backend) -> None:
        self.method = method
        self.backend = backend
        # As for a stream of requests, which are received only when the handler reads them.
        self._refusal = grpc.stream_unary_rpc_method_handler(self._refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Admit a call, or refuse it."""
        if details.method == self.method and self.backend.overload is not None:
            return self._refusal
        return await continuation(details)

    async def _refuse(self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        # There may be room by now, but of a call that comes here no message is received.
        error = self.backend.overload or self.backend.pool.regular.queue.overloaded()
        self.backend.observer.shed(self.method.rpartition("/")[2], error)
        refuse(context, error)
