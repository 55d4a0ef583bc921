"""Request bodies that arrive, however slowly: one bound on their bytes, for all connections."""

import asyncio

from starlette.requests import Request

from service.errors import Overloaded
from service.serving.held_bytes import RETRY_SECONDS


class Arrivals:
    """Receives bodies; once they are too many bytes together, the oldest of them is refused.

    So whoever sends bodies that do not end holds up those that come after by no more than this, and
    calls over gRPC not at all: only what has arrived is counted among the server's held bytes.

    Args:
        limit: bytes, no less than one body may have.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._sizes: dict[asyncio.Timeout, int] = {}  # in the order in which they began

    async def receive(self, request: Request) -> bytes:
        """Return a request's body.

        Raises:
            Overloaded: too much arrives at once, and this began first.
            HttpError, TooManyBytes: it is refused, or came too slowly.
        """
        evicted = asyncio.Timeout(None)
        chunks = []
        try:
            async with evicted:
                async for chunk in request.stream():
                    chunks.append(chunk)
                    self._count(evicted, len(chunk))
        except TimeoutError:
            raise Overloaded(
                f"{self.held:,} bytes of other bodies are arriving, and this one took longest; at "
                f"most {self.limit:,} are allowed; retry in {RETRY_SECONDS:g} s",
                RETRY_SECONDS,
            ) from None
        finally:
            self.held -= self._sizes.pop(evicted, 0)
        return b"".join(chunks)

    def _count(self, body: asyncio.Timeout, size: int) -> None:
        self._sizes[body] = self._sizes.get(body, 0) + size
        self.held += size
        if self.held > self.limit:
            oldest = next(iter(self._sizes))
            self.held -= self._sizes.pop(oldest)
            oldest.reschedule(asyncio.get_running_loop().time())
