"""Worker processes on this machine: answers in the order of the tasks, and no dead one loses any.

Where a worker dies or hangs, everything that was in its and its fellows' hands is read again, each
item alone; one that is the end of a worker there is tried once more, then set aside.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from service.batch.engines.worker import Answer, Place, Plan, Worker, failed_page
from service.errors import DigitstripError, ReadingTooLong, WorkerDied

Task = Sequence[Place]
TASK = 16  # items of a task
TASKS = 4  # given out for each worker, those that wait to be told in order among them

# In a worker process, after `_start`; or why there is none, which every task then raises.
_worker: Worker | DigitstripError | None = None


class LocalEngine:
    """Reads tasks in worker processes.

    Args:
        plan: how.
        workers: processes, with one session each.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan = plan
        self.workers = workers
        # Of calls to services each has its own time; here only a worker that hangs is noticed.
        self._longest = plan.seconds * (TASK if plan.services else 1)
        self._pool: ProcessPoolExecutor | None = None
        self._lone: ProcessPoolExecutor | None = None

    def read(self, tasks: Iterable[Task], following: bool = True) -> Iterator[Answer]:
        """Yield the answers to each task's items, in order; a long document's in several parts.

        No more than some tasks are taken in ahead of what was yielded.

        Args:
            tasks: what to read.
            following: whether to read the pages that an answer leaves for later, too.

        Raises:
            DigitstripError: no item could be read, for a reason that is not the item's.
        """
        waiting: deque[_Given] = deque()
        for task in tasks:
            waiting.append(_Given(task, self._submit(task)))
            if len(waiting) >= TASKS * self.workers:
                yield from self._first(waiting, following)
        while waiting:
            yield from self._first(waiting, following)

    def close(self) -> None:
        """End the workers."""
        for pool in (self._pool, self._lone):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
            child.join()
        self._pool = self._lone = None

    def _submit(self, task: Task) -> "Future[list[Answer]]":
        if self._pool is None:
            self._pool = _pool_of(self.plan, self.workers)
        try:
            return self._pool.submit(_read, task)
        except BrokenExecutor:
            self._pool.shutdown(wait=False)
            self._pool = _pool_of(self.plan, self.workers)
            return self._pool.submit(_read, task)

    def _first(self, waiting: "deque[_Given]", following: bool) -> Iterator[Answer]:
        """Yield the answers to the task that was given out first."""
        task, future = waiting.popleft()
        try:
            answers: Iterable[Answer] = future.result(self._longest)
        except (BrokenExecutor, CancelledError):  # cancelled where a fellow hung
            answers = self._alone(task)
        except TimeoutError:
            self._kill()
            answers = self._alone(task)
        for answer in answers:
            yield answer
            if following and answer.following:
                yield from self._rest(answer)

    def _rest(self, answer: Answer) -> Iterator[Answer]:
        """Yield the answers to a long document's further pages, read side by side."""
        number, _, item = answer.place
        pages, step = answer.following, max(len(answer.pages), 1)
        firsts = range(pages.start, pages.stop, step)
        yield from self.read(([Place(number, first, item)] for first in firsts), following=False)

    def _alone(self, task: Task) -> Iterator[Answer]:
        """Read items whose worker died, one by one, in a process that nothing else is read in."""
        for place in task:
            for attempt in (1, 2):
                try:
                    yield from self._alone_once(place)
                    break
                except BrokenExecutor:  # the first one may have been ended from outside
                    self._kill(alone=True)
                    if attempt == 2:
                        error = WorkerDied("two processes died while they read it alone")
                        yield self._set_aside(place, error)
                except TimeoutError:
                    self._kill(alone=True)
                    yield self._set_aside(
                        place,
                        ReadingTooLong(
                            f"reading took over {self.plan.seconds:g} s, the most that is allowed"
                        ),
                    )
                    break

    def _alone_once(self, place: Place) -> list[Answer]:
        if self._lone is None:
            self._lone = _pool_of(self.plan, 1)
        return self._lone.submit(_read, [place]).result(self.plan.seconds)

    def _set_aside(self, place: Place, error: DigitstripError) -> Answer:
        page = place.page if place.item.page is None else place.item.page
        return Answer(place, [failed_page(place.item, page, None, error, self.plan)], range(0))

    def _kill(self, alone: bool = False) -> None:
        """End a pool's processes, also those that hang."""
        pool = self._lone if alone else self._pool
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
        if alone:
            self._lone = None
        else:
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def tasks_of(places: Iterator[Place], plan: Plan) -> Iterator[list[Place]]:
    """Yield places some at a time, as many as keep a worker's hands full."""
    size = TASK * plan.at_once
    while task := list(islice(places, size)):
        yield task


class _Given(NamedTuple):
    """A task that was given out."""

    task: Task
    future: "Future[list[Answer]]"


def _pool_of(plan: Plan, workers: int) -> ProcessPoolExecutor:
    spawning = multiprocessing.get_context("spawn")  # a fork would share locks and sessions
    return ProcessPoolExecutor(workers, spawning, _start, (plan,))


def _start(plan: Plan) -> None:
    global _worker  # noqa: PLW0603 - the only place that a pool's initializer can leave something
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _worker = Worker(plan)
    except DigitstripError as error:
        _worker = error


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that came."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _read(task: Task) -> list[Answer]:
    if isinstance(_worker, DigitstripError):
        raise _worker
    if _worker is None:
        raise AssertionError("the pool starts its workers")
    return _worker.read(task)
