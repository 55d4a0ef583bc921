"""Refuses calls to a full queue before their message is taken in: refusing must cost little.

What a refusal costs is taken from reading. So while the queue has no room for an image of the
usual cost, a call is answered without its message being received, parsed or measured, and the log
tells of such calls together, once a second.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
from grpc_status import rpc_status

from service.api.status import to_status
from service.errors import Overloaded
from service.server.observability.metrics import Metrics
from service.workers.admission_queue import Lane

SECONDS = 1.0  # from one line of log to the next

logger = logging.getLogger(__name__)


class Overflow(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Lets calls of one method through while there is room for what they usually cost.

    Args:
        method: with its service, as it stands in a request's path.
        lane: that is full or not.
        metrics: where refusals are counted.
    """

    def __init__(self, method: str, lane: Lane, metrics: Metrics) -> None:
        self.method = method
        self.lane = lane
        code, reason = Overloaded.code, Overloaded.reason
        self._counts = (
            metrics.requests.labels(method.rpartition("/")[2], code),
            metrics.images.labels(code, reason),
            metrics.refused.labels(reason),
        )
        self._untold = 0
        # As for a stream of requests, whose handler gets them one by one, if it asks.
        self._refusal = grpc.stream_unary_rpc_method_handler(self._refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Let a call through, or have it refused."""
        if details.method == self.method and self.lane.full:
            return self._refusal
        return await continuation(details)

    async def _refuse(self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        for count in self._counts:
            count.inc()
        if not self._untold:
            asyncio.get_running_loop().call_later(SECONDS, self._tell)
        self._untold += 1
        await context.abort_with_status(rpc_status.to_status(to_status(self.lane.overloaded())))

    def _tell(self) -> None:
        logger.info(
            "refused unseen",
            extra={"images": self._untold, "code": Overloaded.code, "reason": Overloaded.reason},
        )
        self._untold = 0
