"""The bound on the memory of messages: one for all calls and connections, whatever they speak."""

import asyncio
from collections import deque

from service.errors import Overloaded

RETRY_SECONDS = 1.0  # that a refused caller is asked to wait
LARGE_SHARE = 0.75  # of the bound, for large messages: they take long, and small ones go on
LARGE_BYTES = 65_535  # past which a message is a large one


class HeldBytes:
    """The bytes of requests and responses that the process holds, and their upper bound.

    Args:
        limit: bytes, past which no further message is received.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Past it, no further large message is received.
        self.of_large = max(int(LARGE_SHARE * limit), 1)
        self.held = 0  # of whole messages, and for those that are expected
        self.arriving = 0  # that came of other messages, as last seen
        self._waiting: dict[int, deque[asyncio.Event]] = {limit: deque(), self.of_large: deque()}

    @property
    def total(self) -> int:
        """The bytes that are held and that have come."""
        return self.held + self.arriving

    @property
    def full(self) -> bool:
        """Whether no further message is received."""
        return self.total >= self.limit

    @property
    def past_large(self) -> bool:
        """Whether not even the large messages that come already may all come to their end."""
        return self.total > self.of_large

    def fits(self, size: int, less: int = 0) -> bool:
        """Return whether a large message may be held; the largest, beside little.

        Args:
            size: of the message, bytes.
            less: bytes that are counted now and no longer then, such as those of it that came.
        """
        rest = self.total - less
        return rest + size <= self.of_large or rest <= self.of_large // 2

    @property
    def why(self) -> str:
        """Why no further message is received."""
        return (
            f"{self.total:,} bytes of requests and responses are held; at most {self.limit:,} are "
            f"allowed, {self.of_large:,} of large ones; retry in {RETRY_SECONDS:g} s"
        )

    def overloaded(self) -> Overloaded:
        """Return the error for a message that is not received."""
        return Overloaded(self.why, RETRY_SECONDS)

    def hold(self, size: int) -> "Hold":
        """Count a message until it is released."""
        return Hold(self, size)

    async def room(self, large: bool = False) -> None:
        """Wait until a further message may be received; first come, first served.

        Args:
            large: whether it may be a large one.
        """
        limit = self.of_large if large else self.limit
        turn, waiting = asyncio.Event(), self._waiting[limit]
        waiting.append(turn)
        try:
            while self.total >= limit or waiting[0] is not turn:
                turn.clear()
                await turn.wait()
        finally:
            waiting.remove(turn)
            self._wake()

    def add(self, size: int) -> None:
        """Change the number of bytes held; negative for what is released."""
        self.held += size
        self._wake()

    def arrive(self, size: int) -> None:
        """Count what has come of messages that are not whole, in place of what was counted."""
        self.arriving = size
        self._wake()

    def _wake(self) -> None:
        for limit, waiting in self._waiting.items():
            if waiting and self.total < limit:
                waiting[0].set()


class Hold:
    """A message's share of the bytes held."""

    def __init__(self, total: HeldBytes, size: int) -> None:
        self._total = total
        self.size = 0
        self.resize(size)

    def resize(self, size: int) -> None:
        """Count another size, as when a response takes the place of its request."""
        self._total.add(size - self.size)
        self.size = size

    def release(self) -> None:
        """Count the message no longer."""
        self.resize(0)
