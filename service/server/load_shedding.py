"""Load shedding: calls to a full queue are refused before their message is received.

The cost of a refusal is taken from recognition. So while the queue has no room for an image of the
usual cost, or too many bytes are held, a call is refused without its message being received, parsed
or measured.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc

from service.server.observability.observer import Observer
from service.server.receiving import Receiver
from service.server.refusal import refuse
from service.workers.admission_queue import AdmissionQueue


class LoadShedder(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Admits calls of one method while there is room for their usual cost.

    Args:
        method: with its service, as it stands in a request's path.
        queue: that is full or not.
        receiver: whose bound on held bytes is reached or not.
        observer: notified of the refusals.
    """

    def __init__(
        self, method: str, queue: AdmissionQueue, receiver: Receiver, observer: Observer
    ) -> None:
        self.method = method
        self.queue = queue
        self.receiver = receiver
        self.observer = observer
        # As for a stream of requests, which are received only when the handler reads them.
        self._refusal = grpc.stream_unary_rpc_method_handler(self._refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Admit a call, or refuse it."""
        if details.method == self.method and (self.queue.full or self.receiver.held.full):
            return self._refusal
        return await continuation(details)

    async def _refuse(self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        error = self.queue.overloaded() if self.queue.full else self.receiver.full()
        self.observer.shed(self.method.rpartition("/")[2], error)
        refuse(context, error)
