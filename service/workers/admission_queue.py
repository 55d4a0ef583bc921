"""A lane: what waits for readers of one kind, what it costs, and when it is too much.

Admission is by cost, which is pixels: ten strips and one giant are not alike. A lane that is full
refuses at once and says when to ask again, so that whoever was admitted is answered soon.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import DeadlineTooShort, Overloaded

OVERHEAD = 8192  # pixels' worth of work in every image, however small
BYTES_A_PIXEL = 4  # of memory: a small picture in a large file costs too
MEMORY = 0.95  # how much of what is known of the pace is kept from one image to the next
SOONEST, LATEST = 0.05, 10.0  # seconds after which a refused caller may ask again
PATIENT_SHARE = 0.5  # of a lane, that callers who can wait leave to those who cannot


@dataclass(frozen=True)
class Answer:
    """What a reader answered."""

    response: bytes  # a serialized RecognizeResponse
    pixels: int  # of the page
    seconds: Mapping[str, float]  # by stage; `queue` is what came before the reader
    none_share: float  # of the positions


@dataclass(eq=False)
class Item:
    """An image to read, on its way."""

    request: bytes  # a serialized RecognizeRequest
    pixels: int  # that it declares
    deadline: float | None  # of the loop's clock
    answer: asyncio.Future[Answer]
    since: float  # when it came, of the loop's clock
    begun: float = 0.0  # when a reader got it
    deaths: int = 0  # readers that died over it

    @property
    def weight(self) -> int:
        """What it weighs, in pixels."""
        return max(self.pixels, len(self.request) // BYTES_A_PIXEL)

    @property
    def cost(self) -> int:
        """What it counts for."""
        return self.weight + OVERHEAD


class Lane:
    """Items that wait for one kind of readers, first come, first served.

    Args:
        name: of the lane, for people.
        limit: the cost that may be in flight, waiting and being read; an idle lane takes any item.
        readers: how many images are read at once.
    """

    def __init__(self, name: str, limit: int, readers: int) -> None:
        self.name = name
        self.limit = limit
        self.readers = readers
        self.waiting: deque[Item] = deque()
        self.in_flight = 0  # cost
        self._cost_waiting = 0
        self._costs = self._seconds = 0.0  # of what was read, the latest weighing most
        self._usual = 0.0  # cost of what was admitted lately
        self._patient: deque[tuple[int, asyncio.Event]] = deque()

    def expected_seconds(self, cost: int) -> float:
        """Return how long a reader takes for a cost, by what it took lately; 0 if unknown."""
        return cost * self._seconds / self._costs if self._costs else 0.0

    @property
    def wait(self) -> float:
        """How long a new item would wait for a reader, by expectation, seconds."""
        return self.expected_seconds(self._cost_waiting) / self.readers

    def age(self, now: float) -> float:
        """Return how long the first in the queue has waited, seconds."""
        try:
            return now - self.waiting[0].since
        except IndexError:  # empty, or emptied by another thread's turn
            return 0.0

    def admit(self, item: Item, now: float) -> None:
        """Take an item in.

        Raises:
            Overloaded: the lane is full.
            DeadlineTooShort: the item could not be answered in time.
        """
        if self.in_flight and self.in_flight + item.cost > self.limit:
            raise self.overloaded(f" and this image counts {item.cost:,}")
        self.check_deadline(item, now, self.wait)
        self.in_flight += item.cost
        self._usual = MEMORY * self._usual + (1 - MEMORY) * item.cost if self._usual else item.cost
        self._put(item, last=True)

    @property
    def full(self) -> bool:
        """Whether an image of the usual cost would be refused."""
        return self.in_flight > 0 and self.in_flight + self._usual > self.limit

    def overloaded(self, of_this: str = "") -> Overloaded:
        """Return why nothing more is taken in, and when to ask again.

        Args:
            of_this: what is to be told of the image that was refused.
        """
        again = min(max(self.wait / 2, SOONEST), LATEST)
        return Overloaded(
            f"{self.in_flight:,} pixels are in flight{of_this}; at most {self.limit:,} are allowed "
            f"at once; ask again in {again:.2f} s",
            again,
        )

    def check_deadline(self, item: Item, now: float, wait: float = 0.0) -> None:
        """Insist that there is time to read an item after a wait.

        Raises:
            DeadlineTooShort: half of what reading takes by expectation would be too long.
        """
        if item.deadline is None:
            return
        left, needed = item.deadline - now, wait + self.expected_seconds(item.cost) / 2
        if left < needed or left <= 0:
            raise DeadlineTooShort(
                f"{max(left, 0):.3f} s are left until the deadline; waiting and reading would take "
                f"about {needed:.3f} s"
            )

    def next(self) -> Item:
        """Take the first of those that wait."""
        item = self.waiting.popleft()
        self._cost_waiting -= item.cost
        return item

    def put_back(self, item: Item) -> None:
        """Put an item whose reader died first in the queue; it was admitted already."""
        self._put(item, last=False)

    def drop(self, item: Item) -> bool:
        """Take an item out of the queue; return whether it was there."""
        try:
            self.waiting.remove(item)
        except ValueError:
            return False
        self._cost_waiting -= item.cost
        self.release(item)
        return True

    def release(self, item: Item) -> None:
        """Count an item no longer, however it ended."""
        self.in_flight -= item.cost
        self._wake()

    def learn(self, item: Item, seconds: float) -> None:
        """Note how long a reader took for an item."""
        self._costs = MEMORY * self._costs + item.cost
        self._seconds = MEMORY * self._seconds + seconds

    async def room(self, cost: int) -> None:
        """Wait until an item of some cost leaves half of the lane to those who cannot wait.

        Whoever asked first is served first. The room is there until the next `await`.
        """
        turn = (cost, asyncio.Event())
        self._patient.append(turn)
        try:
            while self._patient[0] is not turn or not self._has_room(cost):
                turn[1].clear()
                await turn[1].wait()
        finally:
            self._patient.remove(turn)
            self._wake()

    def _wake(self) -> None:
        """Tell the first of the patient that there is room, if so; it looks once more itself."""
        if self._patient and self._has_room(self._patient[0][0]):
            self._patient[0][1].set()

    def _has_room(self, cost: int) -> bool:
        share = self.limit * PATIENT_SHARE
        most = share if cost <= share else self.limit  # or what is large would never have its turn
        return not self.in_flight or self.in_flight + cost <= most

    def _put(self, item: Item, last: bool) -> None:
        (self.waiting.append if last else self.waiting.appendleft)(item)
        self._cost_waiting += item.cost
