"""The bound on the memory of messages: one for all calls and connections, whatever they speak."""

import asyncio
from collections import deque

from service.errors import Overloaded

RETRY_SECONDS = 1.0  # that a refused caller is asked to wait


class HeldBytes:
    """The bytes of requests and responses that the process holds, and their upper bound.

    Args:
        limit: bytes, past which no further message is received.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: deque[asyncio.Event] = deque()

    @property
    def full(self) -> bool:
        """Whether no further message is received."""
        return self.held >= self.limit

    def overloaded(self) -> Overloaded:
        """Return why no further message is received."""
        return Overloaded(
            f"{self.held:,} bytes of requests and responses are held; "
            f"at most {self.limit:,} are allowed; retry in {RETRY_SECONDS:g} s",
            RETRY_SECONDS,
        )

    def hold(self, size: int) -> "Hold":
        """Count a message until it is released."""
        return Hold(self, size)

    async def room(self) -> None:
        """Wait until a further message may be received; first come, first served."""
        turn = asyncio.Event()
        self._waiting.append(turn)
        try:
            while self.full or self._waiting[0] is not turn:
                turn.clear()
                await turn.wait()
        finally:
            self._waiting.remove(turn)
            self._wake()

    def add(self, size: int) -> None:
        """Change the number of bytes held; negative for what is released."""
        self.held += size
        self._wake()

    def _wake(self) -> None:
        if self._waiting and not self.full:
            self._waiting[0].set()


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
