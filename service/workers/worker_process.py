"""One worker process, as the event loop sees it: started, given jobs, ended."""

import asyncio
import os
import sys
from collections import deque
from typing import Protocol, cast

from service.errors import WorkerDied, of_reason
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.workers.admission_queue import Job
from service.workers.framing import Frames, Head, pack
from service.workers.worker_config import WorkerConfig, to_frame

STDIN = 0
START_SECONDS = 60
PIECE_BYTES = 256 * 1024  # written at once: asyncio copies what the pipe does not take


class Owner(Protocol):
    """What a worker process reports to."""

    def answered(self, worker: "WorkerProcess", job: Job, head: Head, body: bytes) -> None:
        """Handle an answer; the worker is idle again."""

    def overdue(self, job: Job) -> None:
        """Handle a job that takes too long; the process is killed next."""

    def ended(self, worker: "WorkerProcess") -> None:
        """Handle the end of the process, intended or not; `job` is what it was working on."""


class WorkerProcess(asyncio.SubprocessProtocol):
    """A worker process: recognizes one image at a time.

    Args:
        owner: that the process reports to.
    """

    def __init__(self, owner: Owner) -> None:
        self.job: Job | None = None
        self.jobs = 0  # so far
        self.retired = self.killed = False
        self.status: int | None = None
        self.gone = asyncio.Event()
        self.described = pb.GetModelResponse()
        self._owner = owner
        self._frames = Frames()
        self._unwritten: deque[memoryview] = deque()
        self._can_write = True
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._processes: set[WorkerProcess] = set()
        self._transport: asyncio.SubprocessTransport
        self._stdin: asyncio.WriteTransport

    @classmethod
    async def start(
        cls,
        owner: Owner,
        processes: set["WorkerProcess"],
        config: WorkerConfig,
        files: ModelFiles,
    ) -> "WorkerProcess":
        """Start a worker and wait until it is ready; it is in `processes` until it is gone.

        Raises:
            ModelError, SettingsError: the worker reports that it cannot start.
            WorkerDied: it ended without a report, or is not ready after a minute.
            OSError: the process could not be created.
        """
        _, worker = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(owner),
            *(sys.executable, "-m", "service.workers.worker_main"),
            stderr=None,
            process_group=0,  # signals to the server's group are not meant for its workers
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )
        if worker.status is None:
            processes.add(worker)
            worker._processes = processes
        worker._write(*to_frame(config, files))
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker._ready
        except TimeoutError:
            worker.kill()
            raise WorkerDied(f"a worker was not ready after {START_SECONDS} s") from None
        except BaseException:
            worker.kill()
            await worker.gone.wait()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._transport.get_pid()

    def give(self, job: Job, seconds: float) -> None:
        """Give the worker a job, which may take some seconds at most."""
        self.job = job
        self.jobs += 1
        self._write({"work": job.work}, job.request)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end_overdue)

    def kill_later(self, seconds: float) -> None:
        """Kill the process if it is still at the same job then."""
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.kill)

    def retire(self) -> None:
        """Let the process end once it has answered its job."""
        self.retired = True
        if self.job is None:
            self._stdin.close()

    def kill(self) -> None:
        """Kill the process now."""
        self.killed = True
        if self.status is None and self._transport.get_returncode() is None:
            self._transport.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the pipes."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(STDIN))

    def pause_writing(self) -> None:
        """Write no more until the worker has read."""
        self._can_write = False

    def resume_writing(self) -> None:
        """Write what is left."""
        self._can_write = True
        self._write_on()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Receive a piece of the worker's answers."""
        try:
            for head, body in self._frames.feed(data):
                self._received(head, body)
        except (ValueError, TypeError, KeyError):  # malformed: treat the worker as compromised
            self.kill()

    def _received(self, head: Head, body: bytes) -> None:
        if not self._ready.done():
            self._introduce(head, body)
        elif self.job is not None:
            job, self.job = self.job, None
            self._stop_timer()
            if self.retired:
                self._stdin.close()
            try:
                self._owner.answered(self, job, head, body)
            except (ValueError, TypeError, KeyError):
                self.job = job  # which is retried on another worker
                raise

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the process, after everything that it wrote."""
        self.status = self._transport.get_returncode()
        self._transport.close()
        self._unwritten.clear()
        self._stop_timer()
        if not self._ready.done():
            self._ready.set_exception(
                WorkerDied(f"a worker ended with status {self.status} before it was ready")
            )
            self._ready.exception()  # nobody may be waiting for it, and asyncio would complain
        elif not self._ready.cancelled() and self._ready.exception() is None:
            self._owner.ended(self)
        self._processes.discard(self)
        self.gone.set()

    def _introduce(self, head: Head, body: bytes) -> None:
        if "error" in head:
            self._ready.set_exception(of_reason(**head["error"]))
        else:
            self.described.ParseFromString(body)
            self._ready.set_result(None)

    def _write(self, head: Head, body: bytes) -> None:
        self._unwritten.extend(map(memoryview, pack(head, body)))
        self._write_on()

    def _write_on(self) -> None:
        # A pipe that is closed takes each piece, and asyncio logs them.
        while self._unwritten and self._can_write and not self._stdin.is_closing():
            piece = self._unwritten.popleft()
            if len(piece) > PIECE_BYTES:
                self._unwritten.appendleft(piece[PIECE_BYTES:])
            self._stdin.write(piece[:PIECE_BYTES])

    def _end_overdue(self) -> None:
        if self.job is not None:
            self._owner.overdue(self.job)
        self.kill()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
