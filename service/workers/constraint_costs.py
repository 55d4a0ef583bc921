"""What constraints cost to build and to search, learned from what they took.

A constraint of a hundred bytes can take half a second of a worker, and nothing in it says so. So
each costs what it took last. One that was not seen before costs what such ones took on average of
late, and never nothing, since cheap ones may precede a costly one: so much of the queue that a few
for each worker fill it.
"""

import hashlib
from collections import OrderedDict

REMEMBERED = 4096  # constraints
LATEST = 0.5  # of a constraint's estimate, from one request to the next
EMA_DECAY = 0.95  # of the average of constraints that were not seen before
NEW_PER_WORKER = 4  # constraints that were not seen before which fill the queue, at least


def key_of(constraint: bytes) -> bytes:
    """Return what a serialized constraint is remembered by; nothing for none."""
    return hashlib.blake2b(constraint, digest_size=16).digest() if constraint else b""


class ConstraintCosts:
    """The seconds that constraints take in a worker, beside the image's own."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[bytes, float] = OrderedDict()
        self._new = 0.0  # moving average of those that were not seen before

    def known(self, key: bytes) -> float | None:
        """Return what a constraint takes; None if it was not seen before, or long ago."""
        return self._seconds.get(key)

    def expected(self, key: bytes) -> float:
        """Return the expected seconds of a constraint, 0 of none."""
        if not key:
            return 0.0
        known = self._seconds.get(key)
        return max(self._new if known is None else known, 0.0)

    def learn(self, key: bytes, seconds: float) -> None:
        """Update the estimate with what a constraint took; less than 0 if less than expected."""
        if not key:
            return
        if (known := self._seconds.pop(key, None)) is None:
            self._new = EMA_DECAY * self._new + (1 - EMA_DECAY) * seconds
        else:
            seconds = LATEST * known + (1 - LATEST) * seconds
        self._seconds[key] = seconds
        if len(self._seconds) > REMEMBERED:
            self._seconds.popitem(last=False)
