"""Retries: which failures are retried, and after what pause."""

import random
import time
from dataclasses import dataclass

from service.errors import DigitstripError, Overloaded, ServerUnavailable


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter.

    Args:
        first: seconds before the second try.
        factor: by which the next wait is longer.
        most: seconds of the longest wait.
        tries: how often to try a server that is unavailable; 1 is no second try. One that is
            overloaded says when it is worth it, so there only the time is a bound.
    """

    first: float = 0.1
    factor: float = 2.0
    most: float = 5.0
    tries: int = 6

    def wait(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row."""
        return min(self.most, self.first * self.factor ** min(failures - 1, 64))


class Tries:
    """The tries of one call, which share its time.

    Args:
        timeout: seconds for all of them, and for the waits between.
        backoff: how to wait.
        rng: draws the jitter.
    """

    def __init__(self, timeout: float, backoff: Backoff, rng: random.Random) -> None:
        self.backoff = backoff
        self.rng = rng
        self.failures = 0
        self._end = time.monotonic() + timeout

    @property
    def left(self) -> float:
        """Seconds that are left for the next try."""
        return max(0.0, self._end - time.monotonic())

    def pause(self, error: DigitstripError) -> float | None:
        """Count a failure; return the seconds to wait before the next try, None for no more.

        Only two kinds of failure say that the image was not read and that another try can end
        better: a server that is unavailable, and one that is overloaded and says until when.
        """
        self.failures += 1
        if self.backoff.tries == 1:
            return None
        if isinstance(error, Overloaded):  # never earlier than it says
            least = max(error.retry_after, self.backoff.wait(self.failures) / 2)
            pause = least * self.rng.uniform(1, 1.25)
        elif isinstance(error, ServerUnavailable) and self.failures < self.backoff.tries:
            pause = self.backoff.wait(self.failures) * self.rng.uniform(0.5, 1)
        else:
            return None
        return pause if pause < self.left else None
