"""Admission control: the queue in front of a group of workers, bounded by cost.

Cost is counted in pixels, since ten strips and one large page are not alike. A full queue refuses
at once and says when to retry, so that whatever was admitted is answered soon.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import DeadlineTooShort, DigitstripError, Overloaded
from service.workers.framing import Work

OVERHEAD = 8192  # pixels' worth of work in every image, however small
BYTES_PER_PIXEL = 4  # of memory: a small picture in a large file costs too
EMA_DECAY = 0.95  # of the throughput estimate, from one image to the next
USUAL_PACE = 8e6  # pixels a second of a worker, until the throughput is known
MIN_RETRY_S, MAX_RETRY_S = 0.05, 10.0  # after which a refused caller may retry
PATIENT_SHARE = 0.5  # of a queue: the rest is left to callers that cannot wait


@dataclass(frozen=True)
class Answer:
    """A worker's answer: the response, and what logs and metrics record of it."""

    response: bytes  # serialized, as the work has it
    pixels: int  # of the page
    seconds: Mapping[str, float]  # by stage; `queue` is the wait for a worker
    none_share: float  # of the positions
    text: str
    confidence: float
    digest: str  # of the model
    decision: str | None  # ACCEPT or REVIEW; None if none was requested
    outcome: str | None  # of the constraint; None without one
    readers_agree: bool | None  # None if the second reader was not consulted


@dataclass(eq=False)
class Job:
    """An image on its way through the pool.

    An error is the future's result, not its exception: an exception would hold the frames that it
    passed through, and with them the request.
    """

    request: bytes  # serialized, as its work has it
    pixels: int  # that it declares
    deadline: float | None  # of the loop's clock
    answer: "asyncio.Future[Answer | DigitstripError]"
    since: float  # when it was received, of the loop's clock
    started: float = 0.0  # when a worker received it
    attempts: int = 0  # workers that it crashed
    work: Work = Work.RECOGNIZE
    constraint: bytes = b""  # what its constraint or form is remembered by; nothing for none
    constraint_cost: int = 0  # of that, in pixels

    @property
    def weight(self) -> int:
        """Its size, in pixels."""
        return max(self.pixels, len(self.request) // BYTES_PER_PIXEL)

    @property
    def image_cost(self) -> int:
        """What its image counts for, in pixels."""
        return self.weight + OVERHEAD

    @property
    def cost(self) -> int:
        """What it counts for in the queue, in pixels."""
        return self.image_cost + self.constraint_cost

    def resolve(self, answer: Answer | DigitstripError) -> None:
        """Give the answer, if somebody still waits for it."""
        if not self.answer.done():
            self.answer.set_result(answer)


class AdmissionQueue:
    """Jobs that wait for one group of workers, first come, first served.

    Args:
        name: of the group, in logs and metrics.
        limit: upper bound of the cost in flight, waiting and in workers; an idle queue admits any
            job.
        workers: images that are recognized at once.
    """

    def __init__(self, name: str, limit: int, workers: int) -> None:
        self.name = name
        self.limit = limit
        self.workers = workers
        self.waiting: deque[Job] = deque()
        self.in_flight = 0  # cost
        self._cost_waiting = 0
        self._costs = self._seconds = 0.0  # exponentially decayed sums over what was recognized
        self._usual = 0.0  # moving average of the images' cost that is admitted
        self._patient: deque[tuple[int, asyncio.Event]] = deque()

    def expected_seconds(self, cost: int) -> float:
        """Return the expected time of a worker for a cost; 0 if unknown."""
        return cost * self._seconds / self._costs if self._costs else 0.0

    def pixels_in(self, seconds: float) -> int:
        """Return the cost of what takes a worker some seconds."""
        return round(seconds * (self._costs / self._seconds if self._seconds else USUAL_PACE))

    @property
    def wait(self) -> float:
        """The expected wait of a new job for a worker, seconds."""
        return self.expected_seconds(self._cost_waiting) / self.workers

    def age(self, now: float) -> float:
        """Return how long the first in the queue has waited, seconds."""
        try:
            return now - self.waiting[0].since
        except IndexError:  # empty, or emptied by another thread's turn
            return 0.0

    def admit(self, job: Job, now: float) -> None:
        """Admit a job.

        Raises:
            Overloaded: the queue is full.
            DeadlineTooShort: the job could not be answered in time.
        """
        if self.in_flight and self.in_flight + job.cost > self.limit:
            raise self.overloaded(f" and this image counts {job.cost:,}")
        self.check_deadline(job, now, self.wait)
        self.in_flight += job.cost
        self._usual = (
            EMA_DECAY * self._usual + (1 - EMA_DECAY) * job.image_cost
            if self._usual
            else job.image_cost
        )
        self._put(job, last=True)

    @property
    def full(self) -> bool:
        """Whether an image of the usual cost would be refused."""
        return self.in_flight > 0 and self.in_flight + self._usual > self.limit

    def overloaded(self, of_this: str = "") -> Overloaded:
        """Return the error for a full queue, with the time after which to retry.

        Args:
            of_this: what the message says of the refused image.
        """
        retry = min(max(self.wait / 2, MIN_RETRY_S), MAX_RETRY_S)
        return Overloaded(
            f"{self.in_flight:,} pixels are in flight{of_this}; at most {self.limit:,} are allowed "
            f"at once; retry in {retry:.2f} s",
            retry,
        )

    def check_deadline(self, job: Job, now: float, wait: float = 0.0) -> None:
        """Check that there is time to recognize a job after a wait.

        Raises:
            DeadlineTooShort: even half of the expected time would be too long.
        """
        if job.deadline is None:
            return
        left, needed = job.deadline - now, wait + self.expected_seconds(job.cost) / 2
        if left < needed or left <= 0:
            raise DeadlineTooShort(
                f"{max(left, 0):.3f} s are left until the deadline; waiting and recognizing would "
                f"take about {needed:.3f} s"
            )

    def next(self) -> Job:
        """Take the first job out of the queue; it stays in flight."""
        job = self.waiting.popleft()
        self._cost_waiting -= job.cost
        return job

    def put_back(self, job: Job) -> None:
        """Put a job whose worker died first in the queue; it was admitted already."""
        self._put(job, last=False)

    def drop(self, job: Job) -> bool:
        """Take a job out of the queue for good; return whether it was there."""
        try:
            self.waiting.remove(job)
        except ValueError:
            return False
        self._cost_waiting -= job.cost
        self.release(job)
        return True

    def release(self, job: Job) -> None:
        """End a job's flight, whatever became of it."""
        self.in_flight -= job.cost
        self._wake()

    def learn(self, job: Job, seconds: float) -> None:
        """Update the throughput estimate with the time that a worker took for a job's image."""
        self._costs = EMA_DECAY * self._costs + job.image_cost
        self._seconds = EMA_DECAY * self._seconds + seconds

    async def room(self, cost: int) -> None:
        """Wait until a job of some cost leaves half of the queue to callers that cannot wait.

        First come, first served. The room is there until the next `await`.
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
        """Wake the first patient caller if there is room for it; it checks once more itself."""
        if self._patient and self._has_room(self._patient[0][0]):
            self._patient[0][1].set()

    def _has_room(self, cost: int) -> bool:
        share = self.limit * PATIENT_SHARE
        bound = share if cost <= share else self.limit  # or a large job would never have its turn
        return not self.in_flight or self.in_flight + cost <= bound

    def _put(self, job: Job, last: bool) -> None:
        (self.waiting.append if last else self.waiting.appendleft)(job)
        self._cost_waiting += job.cost
