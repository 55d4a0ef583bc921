"""Worker processes on this machine: results in the order of the items, none lost with a process.

When a worker crashes or hangs, the task in its hands is retried item by item, by whichever worker
is free. An item that crashes MAX_ATTEMPTS workers by itself is set aside.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self, TypeVar

from service.batch.engines.process import Task, WorkerProcess
from service.batch.engines.worker import Worker
from service.batch.outputs.rows import failed_page
from service.batch.pages import ItemResult
from service.batch.plan import Place, Plan
from service.errors import DigitstripError, ReadingTooLong, WorkerDied

Argument = TypeVar("Argument")
Result = TypeVar("Result")

TASK = 16  # items of a task
TASKS_PER_WORKER = 4  # that are in work or waiting for their turn to be yielded
IN_HAND = 2  # tasks sent to a worker: one to work on, and one so that it need not wait
MAX_ATTEMPTS = 2  # an item that crashes this many workers by itself is set aside
START_SECONDS = 120.0  # until a worker has loaded its model


class LocalEngine:
    """Reads items in worker processes.

    Args:
        plan: how.
        workers: processes, with one session each; they start when there is work.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan = plan
        self.workers = workers
        self._processes: list[WorkerProcess] = []
        self._queue: list[tuple[int, int, Task]] = []  # a heap: the innermost call's first
        self._numbers = count()
        self._depth = 0
        self._failed_starts = 0  # in a row

    def read(self, places: Iterable[Place]) -> Iterator[ItemResult]:
        """Yield the results of items, in order; a long document's in several parts.

        Only a bounded number of items is taken in ahead of what was yielded.

        Raises:
            DigitstripError: no item could be read, for a reason that is not the item's.
        """
        for result in self.map(Worker.read, places, self._set_aside, TASK * self.plan.concurrency):
            yield result
            if result.following:
                yield from self._rest(result)

    def _rest(self, result: ItemResult) -> Iterator[ItemResult]:
        """Yield the results of a long document's further pages, read by all workers."""
        number, _, item = result.place
        pages, step = result.following, max(len(result.pages), 1)
        places = (Place(number, first, item) for first in pages[::step])
        for each in self.map(Worker.read, places, self._set_aside, 1):
            # Of a part that crashed, too, it is known what follows.
            yield each._replace(following=pages[each.place.page + step - pages.start :])

    def map(
        self,
        work: Callable[[Worker, Sequence[Argument]], Sequence[Result]],
        arguments: Iterable[Argument],
        failed: Callable[[Argument, DigitstripError], Result],
        size: int = TASK,
    ) -> Iterator[Result]:
        """Yield a worker's result for each argument, in order.

        Args:
            work: a method of `Worker` that takes several arguments.
            arguments: taken in as they are needed.
            failed: makes the result of one that no worker survives, or that takes too long.
            size: arguments of one task.

        Raises:
            DigitstripError: `work` raised it.
        """
        arguments = iter(arguments)
        pending: deque[Task] = deque()
        self._depth += 1
        depth = self._depth
        while True:
            while len(pending) < TASKS_PER_WORKER * self.workers:
                if not (group := list(islice(arguments, size))):
                    break
                pending.append(Task(work, group, failed))
                self._push(pending[-1], depth)
                self._hand_out()
            if not pending:
                break
            while (results := pending[0].results()) is None:
                self._collect()
            pending.popleft()
            yield from results
        self._depth -= 1

    def close(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.kill()
        self._processes = []

    def _push(self, task: Task, depth: int) -> None:
        heapq.heappush(self._queue, (-depth, next(self._numbers), task))

    def _hand_out(self) -> None:
        """Send waiting tasks to workers with a hand free, starting workers that are wanted."""
        while self._queue:
            least = min(self._processes, key=lambda each: len(each.tasks), default=None)
            if (least is None or least.tasks) and len(self._processes) < self.workers:
                least = WorkerProcess(self.plan)
                self._processes.append(least)
            if least is None or len(least.tasks) >= IN_HAND:
                return
            least.send(heapq.heappop(self._queue)[2])

    def _collect(self) -> None:
        """Wait for results, crashes and timeouts, and deal with those that came."""
        self._hand_out()
        nearest = min(self._deadline(process) for process in self._processes)
        by_connection = {process.connection: process for process in self._processes}
        for connection in wait(list(by_connection), max(nearest - time.monotonic(), 0)):
            self._receive(by_connection[connection])  # type: ignore[index]
        for process in list(self._processes):
            if self._deadline(process) <= time.monotonic():
                self._time_out(process)

    def _receive(self, process: WorkerProcess) -> None:
        try:
            received = process.receive()
        except EOFError:
            self._bury(process)
            return
        if isinstance(received, DigitstripError):
            raise received
        if process.ready:
            process.tasks.popleft().finish(received)
        process.ready, self._failed_starts = True, 0

    def _deadline(self, process: WorkerProcess) -> float:
        """Return when a worker's task takes too long."""
        if not process.ready:
            return process.since + START_SECONDS
        if not process.tasks:
            return float("inf")
        # A call to a service has its own timeout; here only a worker that hangs is noticed.
        calls = TASK if self.plan.services and len(process.tasks[0].arguments) > 1 else 1
        return process.since + self.plan.seconds * calls

    def _bury(self, process: WorkerProcess) -> None:
        """Retry what a crashed worker had in its hands."""
        self._remove(process)
        if not process.ready:
            self._failed_starts += 1
            if self._failed_starts > MAX_ATTEMPTS * self.workers:
                raise WorkerDied("worker processes crash when they start")
            self._retry(process)
            return
        if process.tasks:
            task = process.tasks.popleft()
            task.crashes += 1
            if len(task.arguments) > 1:
                self._push_all(task.split())
            elif task.crashes < MAX_ATTEMPTS:  # the first one may have been killed from outside
                self._push_all([task])
            else:
                task.give_up(WorkerDied(f"{MAX_ATTEMPTS} workers crashed while reading it alone"))
        self._retry(process)

    def _time_out(self, process: WorkerProcess) -> None:
        """End a worker that hangs, and retry what it had in its hands."""
        self._remove(process)
        if not process.ready:
            raise WorkerDied(f"a worker did not start within {START_SECONDS:g} s")
        task = process.tasks.popleft()
        if len(task.arguments) > 1:
            self._push_all(task.split())
        else:
            allowed = f"reading took over {self.plan.seconds:g} s, the most that is allowed"
            task.give_up(ReadingTooLong(allowed))
        self._retry(process)

    def _remove(self, process: WorkerProcess) -> None:
        process.kill()
        self._processes.remove(process)

    def _retry(self, process: WorkerProcess) -> None:
        """Queue the tasks that a worker had not begun."""
        self._push_all(process.tasks)

    def _push_all(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            self._push(task, self._depth)

    def _set_aside(self, place: Place, error: DigitstripError) -> ItemResult:
        page = place.page if place.item.page is None else place.item.page
        return ItemResult(place, [failed_page(place.item, page, None, error, self.plan)], range(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
