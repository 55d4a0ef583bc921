"""One worker process: tasks go in over a pipe, results come out in the same order."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from service.batch.engines.worker import Worker
from service.batch.plan import Plan
from service.errors import DigitstripError

# Of any type, since tasks of several share a queue; `LocalEngine.map` holds them together.
Argument = Any
Result = Any
Work = Callable[[Worker, Sequence[Argument]], Sequence[Result]]  # one result for each argument
Failed = Callable[[Argument, DigitstripError], Result]  # of an argument that was given up


class Task:
    """Arguments for a worker's method, and its results once there are any.

    Args:
        work: the method.
        arguments: one for each result.
        failed: makes the result of an argument that no worker survives, or that takes too long.
    """

    def __init__(self, work: Work, arguments: Sequence[Argument], failed: Failed) -> None:
        self.work = work
        self.arguments = arguments
        self.failed = failed
        self.crashes = 0  # of workers, at this task
        self.singles: list[Task] | None = None  # that it was split into
        self._results: Sequence[Result] | None = None

    def finish(self, results: Sequence[Result]) -> None:
        """Keep the results."""
        self._results = results

    def give_up(self, error: DigitstripError) -> None:
        """Give each argument an error as its result."""
        self.finish([self.failed(argument, error) for argument in self.arguments])

    def split(self) -> "list[Task]":
        """Return tasks of one argument each; their results become this one's."""
        self.singles = [Task(self.work, [each], self.failed) for each in self.arguments]
        return self.singles

    def results(self) -> Sequence[Result] | None:
        """Return the results, None before all are there."""
        if self.singles is None:
            return self._results
        parts = [single.results() for single in self.singles]
        if any(part is None for part in parts):
            return None
        return [result for part in parts if part is not None for result in part]


class WorkerProcess:
    """A process with a `Worker`; it works on one task at a time.

    Args:
        plan: how it reads.
    """

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share locks and sessions
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, plan), daemon=True)
        self._process.start()
        theirs.close()
        self.ready = False
        self.tasks: deque[Task] = deque()  # the first is being worked on, the others wait
        self.since = time.monotonic()  # when it began with the first

    def send(self, task: Task) -> None:
        """Give it a task; should it have died, its connection reports the end next."""
        if not self.tasks:
            self.since = time.monotonic()
        self.tasks.append(task)
        try:
            self.connection.send((task.work, task.arguments))
        except OSError:
            return

    def receive(self) -> Any:  # noqa: ANN401 - None, a list or an error
        """Return what it sent: None when it is ready, a task's results, or an error.

        Raises:
            EOFError: it died.
        """
        try:
            received = self.connection.recv()
        except Exception as error:  # whatever it was, it is not intact
            raise EOFError from error
        self.since = time.monotonic()
        return received

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: "Connection[Any, Any]", plan: Plan) -> None:  # pickles, either way
    """Work on tasks until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    tasks: SimpleQueue[tuple[Work, Sequence[Argument]]] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    try:
        worker = Worker(plan)
    except DigitstripError as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        work, arguments = tasks.get()
        try:
            connection.send(work(worker, arguments))
        except DigitstripError as error:
            connection.send(error)


def _receive(
    connection: "Connection[Any, Any]",  # as above
    tasks: "SimpleQueue[tuple[Work, Sequence[Argument]]]",
) -> None:
    """Take in tasks as they come, so that the parent never waits for a worker that is busy."""
    try:
        while True:
            tasks.put(connection.recv())
    finally:  # the parent is gone, however that came
        os._exit(1)
