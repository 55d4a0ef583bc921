"""A pool of worker processes. A request whose worker dies is retried on another.

Large pages have a group of their own, so that they never delay small ones. They are processed one
at a time by a separate worker, which is started when one comes, runs at a lower priority, and ends
when it has been idle for a while.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from service.api.wire import request_constraint, request_form
from service.errors import DigitstripError, ServerStopping
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.workers.admission_queue import AdmissionQueue, Answer, Job
from service.workers.constraint_costs import NEW_PER_WORKER, ConstraintCosts, key_of
from service.workers.framing import Work
from service.workers.group import WorkerGroup
from service.workers.worker_config import WorkerConfig
from service.workers.worker_process import WorkerProcess

LARGE_NICE = 10


@dataclass(frozen=True)
class PoolSize:
    """How much a pool does at once."""

    workers: int  # processes
    queue_pixels: int = 2 * 2**20  # in flight for each worker
    large_pixels: int = 2**20  # above which a page is large
    image_seconds: float = 120.0  # that one image may take


class WorkerPool:
    """Recognizes images in other processes; for one event loop.

    Args:
        config: of the workers.
        files: the ONNX files' bytes.
        size: how much is done at once.
        changed: called with the number of workers that are ready, whenever that changes.
    """

    def __init__(
        self,
        config: WorkerConfig,
        files: ModelFiles,
        size: PoolSize,
        changed: Callable[[int], None] = lambda ready: None,
    ) -> None:
        self.size = size
        self.limits = config.limits
        self.described = pb.GetModelResponse()  # the model of new jobs
        self._files = files
        self._closing = False
        self._constraints = ConstraintCosts()
        self.regular = WorkerGroup(
            AdmissionQueue("regular", size.queue_pixels * size.workers, size.workers),
            replace(config, max_pixels=size.large_pixels),
            size.image_seconds,
            changed=lambda: changed(len(self.regular.workers)),
            too_large=self._move_to_large,
            constraints=self._constraints,
        )
        self.large = WorkerGroup(
            AdmissionQueue("large", 2 * config.limits.max_pixels, 1),
            replace(config, nice=LARGE_NICE),
            size.image_seconds,
            changed=lambda: None,
            too_large=self._move_to_large,
            constraints=self._constraints,
            on_demand=True,
        )

    @property
    def groups(self) -> tuple[WorkerGroup, WorkerGroup]:
        """Both groups."""
        return self.regular, self.large

    @property
    def pids(self) -> list[int]:
        """The process ids of all workers."""
        # Metrics call this from another thread.
        return [worker.pid for group in self.groups for worker in tuple(group.processes)]

    @property
    def deaths(self) -> int:
        """The number of workers that died."""
        return sum(group.deaths for group in self.groups)

    async def start(self) -> pb.GetModelResponse:
        """Start the workers and return the description of their model.

        Raises:
            ModelError, SettingsError, WorkerDied: a worker does not start.
        """
        self.described = await self._exchange(self._files)
        return self.described

    async def reload(self, files: ModelFiles) -> pb.GetModelResponse:
        """Replace the models; jobs in workers are finished with the old one.

        Raises:
            ModelError, SettingsError, WorkerDied: workers do not start with it; nothing changed.
        """
        self.described = await self._exchange(files)
        return self.described

    async def recognize(
        self,
        request: bytes,
        pixels: int,
        seconds_left: float | None = None,
        patient: bool = False,
        work: Work = Work.RECOGNIZE,
    ) -> Answer | DigitstripError:
        """Recognize one image.

        Args:
            request: a serialized RecognizeRequest, or what the work has in its place.
            pixels: that the image declares.
            seconds_left: until the caller's deadline.
            patient: wait for room in the queue instead of being refused.
            work: what is to be done.

        Returns:
            The answer; or, as a value, an InputError (the image cannot be recognized), Overloaded
            or DeadlineTooShort (it was not admitted), ReadingTooLong or WorkerDied (it was given
            up), ServerStopping (the pool closes).

        Raises:
            MalformedMessage: the bytes are not such a message.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        deadline = None if seconds_left is None else now + seconds_left
        if pixels > self.limits.max_pixels:  # a worker refuses that at once
            pixels = 0
        job = Job(request, pixels, deadline, loop.create_future(), now, work=work)
        group = self.large if job.weight > self.size.large_pixels else self.regular
        job.constraint = key_of(_costly_part(request, work))
        job.constraint_cost = self._cost_of(job.constraint, group.queue)
        if patient:
            await group.queue.room(job.cost)
        if self._closing:
            return ServerStopping("the server accepts no more images")
        try:
            group.submit(job, loop.time())
        except DigitstripError as error:
            return error.with_traceback(None)
        try:
            return await job.answer
        except asyncio.CancelledError:
            any(group.abandon(job) for group in self.groups)
            raise

    async def describe_form(self, form: bytes) -> Answer | DigitstripError:
        """Build a serialized Form in a worker; the answer's response is its FormDescription."""
        return await self.recognize(form, 0, patient=True, work=Work.DESCRIBE_FORM)

    def _cost_of(self, constraint: bytes, queue: AdmissionQueue) -> int:
        """Return what a constraint counts for in a queue, in pixels."""
        if not constraint:
            return 0
        cost = queue.pixels_in(self._constraints.expected(constraint))
        if self._constraints.known(constraint) is None:
            cost = max(cost, queue.limit // (NEW_PER_WORKER * queue.workers))
        # Half a queue at most, or a costly one would have to wait until the queue is empty.
        return min(cost, queue.limit // 2)

    async def close(self) -> None:
        """Kill every worker, also busy ones; jobs that wait are refused."""
        self._closing = True
        await asyncio.gather(*(group.close() for group in self.groups))

    async def _exchange(self, files: ModelFiles) -> pb.GetModelResponse:
        """Start a new set of workers with other models; once all are ready, retire the old set."""
        starting = [self.regular.start_soon(files) for _ in range(self.size.workers)]
        try:
            fresh = await asyncio.gather(*starting)
        except BaseException as error:
            for task in starting:
                if not task.cancelling():  # cancelled twice, it would not await its process's end
                    task.cancel()
            for each in await asyncio.gather(*starting, return_exceptions=True):
                if isinstance(each, WorkerProcess):
                    each.retire()
            if self._closing:
                raise ServerStopping("the server starts no more workers") from error
            raise
        self._files = files
        for group in self.groups:
            group.files = files  # a worker that dies from now on is replaced by one with them
            group.retire_all()
        for worker in fresh:
            self.regular.add(worker)
        described = pb.GetModelResponse()
        described.CopyFrom(fresh[0].described)
        return described

    def _move_to_large(self, job: Job, pixels: int) -> None:
        """Submit a job to the group for large pages once a worker has seen its true size."""
        job.pixels = pixels
        try:
            self.large.submit(job, asyncio.get_running_loop().time())
        except DigitstripError as error:
            job.resolve(error.with_traceback(None))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _costly_part(request: bytes, work: Work) -> bytes:
    """Return the part of a request that may take long, whatever its image: constraint or form."""
    if work is Work.RECOGNIZE:
        return request_constraint(request)
    return request_form(request)[1] if work is Work.RECOGNIZE_FORM else request
