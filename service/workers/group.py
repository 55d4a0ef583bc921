"""A group of workers of one kind, and the queue that they serve.

The group starts its workers, gives them jobs, and replaces those that die. A job whose worker dies
is retried on another.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from service.errors import (
    DigitstripError,
    ReadingTooLong,
    ServerStopping,
    WorkerDied,
    of_reason,
)
from service.recognition.model import ModelFiles
from service.workers.admission_queue import AdmissionQueue, Answer, Job
from service.workers.constraint_costs import ConstraintCosts
from service.workers.framing import Head, Work
from service.workers.worker_config import WorkerConfig
from service.workers.worker_process import WorkerProcess

ABANDONED_SECONDS = 1.0  # after which a worker on a job without a caller is killed
IDLE_SECONDS = 30.0  # after which a worker that was started on demand ends
MAX_RESTART_PAUSE_S = 5.0  # between tries to start a worker that fails to start
MAX_ATTEMPTS = 2  # an image that crashes this many workers is rejected

Started = TypeVar("Started")

logger = logging.getLogger(__name__)


class WorkerGroup:
    """Workers of one kind; for one event loop.

    Args:
        queue: that they serve.
        config: of the workers.
        job_seconds: that one job may take.
        changed: called whenever the number of workers that are ready changes.
        too_large: called with a job that is too large for this group, and with its true pixels.
        constraints: what they cost, learned by all groups.
        on_demand: start a worker when a job comes, and end it when it has been idle for a while,
            with the memory that it took.
    """

    def __init__(
        self,
        queue: AdmissionQueue,
        config: WorkerConfig,
        job_seconds: float,
        changed: Callable[[], None],
        too_large: Callable[[Job, int], None],
        constraints: ConstraintCosts,
        on_demand: bool = False,
    ) -> None:
        self.queue = queue
        self.config = config
        self.job_seconds = job_seconds
        self.on_demand = on_demand
        self.files = ModelFiles(b"")  # of the models that new workers load
        self.deaths = 0  # of workers that were not killed from here
        self.workers: set[WorkerProcess] = set()  # that are ready
        self.processes: set[WorkerProcess] = set()  # also those that start, and those that end
        self._changed = changed
        self._too_large = too_large
        self._constraints = constraints
        self._idle: list[WorkerProcess] = []
        self._starting: set[asyncio.Task[Any]] = set()  # of any result
        self._closing = False

    def submit(self, job: Job, now: float) -> None:
        """Admit a job to the queue.

        Raises:
            Overloaded, DeadlineTooShort: it is not admitted.
        """
        self.queue.admit(job, now)
        self._dispatch()

    def abandon(self, job: Job) -> bool:
        """Stop working on a job whose caller left; return whether the group had it."""
        if self.queue.drop(job):
            return True
        for worker in self.workers:
            if worker.job is job:
                worker.kill_later(ABANDONED_SECONDS)
                return True
        return False

    def start_soon(self, files: ModelFiles) -> asyncio.Task[WorkerProcess]:
        """Start a worker that is not yet in service."""
        return self._soon(self._start(files))

    def add(self, worker: WorkerProcess) -> None:
        """Put a worker that is ready into service."""
        if worker.status is not None:  # it died before the others were ready
            self._replace_soon()
            return
        self.workers.add(worker)
        self._rest(worker)
        self._changed()

    def retire_all(self) -> None:
        """Let every worker end once it has answered its job."""
        for worker in list(self.workers):
            self._retire(worker)

    async def close(self) -> None:
        """Kill every worker and refuse what waits."""
        self._closing = True
        while self.queue.waiting:
            self._refuse(self.queue.next(), ServerStopping("the server accepts no more images"))
        starting = list(self._starting)
        for task in starting:
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        for worker in self.processes:
            worker.kill()
        await asyncio.gather(*(worker.gone.wait() for worker in self.processes))

    def _dispatch(self) -> None:
        """Give the jobs that wait to the workers that are idle."""
        now = asyncio.get_running_loop().time()
        while self.queue.waiting and self._idle:
            job = self.queue.next()
            try:
                self.queue.check_deadline(job, now)
            except DigitstripError as error:
                self._refuse(job, error.with_traceback(None))
                continue
            job.started = now
            self._idle.pop().give(job, self.job_seconds)
        if self.on_demand and self.queue.waiting and not self.workers and not self._starting:
            self._replace_soon()

    def _refuse(self, job: Job, error: DigitstripError) -> None:
        self.queue.release(job)
        job.resolve(error)

    async def _start(self, files: ModelFiles) -> WorkerProcess:
        return await WorkerProcess.start(self, self.processes, self.config, files)

    def _soon(self, work: Coroutine[None, None, Started]) -> asyncio.Task[Started]:
        """Run a coroutine as a task that closing the group cancels."""
        task = asyncio.create_task(work)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task

    def _replace_soon(self) -> None:
        if not self._closing and not (self.on_demand and self._starting):
            self._soon(self._keep_starting())

    async def _keep_starting(self) -> None:
        """Start a worker; if that fails, retry after a pause that grows."""
        pause = 0.1
        while self._lacks_workers():
            files = self.files
            try:
                worker = await self._start(files)
            except (DigitstripError, OSError) as error:
                logger.error("worker failed to start", extra={"error": str(error)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_RESTART_PAUSE_S)
                continue
            if worker.status is None and files is self.files and self._lacks_workers():
                self.add(worker)
                return
            worker.retire()  # the models changed meanwhile, and with them the workers

    def _lacks_workers(self) -> bool:
        return sum(not worker.retired for worker in self.workers) < self.queue.workers

    def _retire(self, worker: WorkerProcess) -> None:
        """Let a worker end once it has answered its job."""
        worker.retire()
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.job is None:
            self.workers.discard(worker)

    def _rest(self, worker: WorkerProcess) -> None:
        """Mark a worker as idle, and give it the next job."""
        self._idle.append(worker)
        self._dispatch()
        if self.on_demand and worker.job is None:
            asyncio.get_running_loop().call_later(
                IDLE_SECONDS, self._end_if_idle, worker, worker.jobs
            )

    def _end_if_idle(self, worker: WorkerProcess, jobs: int) -> None:
        if worker in self._idle and worker.jobs == jobs:
            self._retire(worker)

    def answered(self, worker: WorkerProcess, job: Job, head: Head, body: bytes) -> None:
        """Pass a worker's answer on, and give the worker its next job.

        Raises:
            TypeError, KeyError, ValueError: the frame is malformed; nothing was done.
        """
        took = asyncio.get_running_loop().time() - job.started
        outcome: Answer | DigitstripError | None = None
        if "error" in head:
            outcome = of_reason(**head["error"])
        elif "too_large" not in head:
            head["seconds"]["queue"] = job.started - job.since
            outcome = Answer(body, **head)
        self.queue.release(job)
        if outcome is not None:
            job.resolve(outcome)
        elif not job.answer.done():
            self._too_large(job, int(head["too_large"]))
        if outcome is not None:
            self._learn(job, took, isinstance(outcome, Answer))
        if "trace" in head:
            logger.error("recognition failed", extra={"trace": head["trace"]})
        if worker.retired:
            self.workers.discard(worker)
            self._dispatch()  # a job that waits needs another worker now
        else:
            self._rest(worker)

    def _learn(self, job: Job, took: float, recognized: bool) -> None:
        """Learn the pace from what was recognized, and what constraints cost from failures, too."""
        usual = self.queue.expected_seconds(job.image_cost)
        known = self._constraints.known(job.constraint)
        # A page of a form takes longer than as many pixels of strips: no pace is learned from it.
        paced = recognized and job.work is Work.RECOGNIZE
        if paced and (not job.constraint or not usual):
            self.queue.learn(job, took)
        elif paced and known is not None:
            self.queue.learn(job, max(took - known, took / 2))
        self._constraints.learn(job.constraint, took - usual if recognized else took)

    def overdue(self, job: Job) -> None:
        """Reject a job that takes too long; its worker is being killed."""
        job.resolve(
            ReadingTooLong(
                f"the image took more than {self.job_seconds:g} s, the maximum that is allowed"
            )
        )

    def ended(self, worker: WorkerProcess) -> None:
        """Replace a worker that ended, and retry its job on another."""
        self.workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        self._changed()
        if worker.job is not None:
            took = asyncio.get_running_loop().time() - worker.job.started
            self._learn(worker.job, took, recognized=False)
            self._retry(worker.job)
        if self._closing or (worker.retired and worker.job is None):
            return
        self.deaths += not worker.killed
        logger.warning(
            "worker killed" if worker.killed else "worker died",
            extra={"pid": worker.pid, "status": worker.status, "group": self.queue.name},
        )
        if not self.on_demand and not worker.retired:
            self._replace_soon()
        self._dispatch()

    def _retry(self, job: Job) -> None:
        """Put back a job whose worker died, unless that was its last attempt or its caller left."""
        job.attempts += 1
        if job.answer.done():
            self.queue.release(job)
        elif self._closing:
            self._refuse(job, ServerStopping("the server stopped before the image was recognized"))
        elif job.attempts == MAX_ATTEMPTS:
            self._refuse(
                job, WorkerDied(f"{job.attempts} worker processes died on this image; rejected")
            )
        else:
            self.queue.put_back(job)
