"""One reader process, as the event loop sees it: started, given items, ended."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Protocol, cast

from service.errors import WorkerDied, of_reason
from service.pb import recognizer_pb2 as pb
from service.workers.admission_queue import Item
from service.workers.framing import Frames, Head, pack
from service.workers.worker_config import Setup, to_head

STDIN = 0
START_SECONDS = 60


class Answered(Protocol):
    """What is called with a reader's answer."""

    def __call__(self, child: "Child", item: Item, head: Head, body: bytes) -> None:
        """Take the answer in."""


class Child(asyncio.SubprocessProtocol):
    """A reader process: reads one item at a time.

    Args:
        answered: called with every answer, when the reader is free again.
        ended: called once the process is gone, whether that was meant or not; `item` is then what
            it was at work on.
        overdue: called with an item that takes too long; the process is killed then.
    """

    def __init__(
        self,
        answered: Answered,
        ended: Callable[["Child"], None],
        overdue: Callable[[Item], None],
    ) -> None:
        self.item: Item | None = None
        self.given = 0  # items, so far
        self.retired = self.killed = False
        self.status: int | None = None
        self.gone = asyncio.Event()
        self.described = pb.GetModelResponse()
        self._answered, self._ended, self._overdue = answered, ended, overdue
        self._frames = Frames()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._processes: set[Child] = set()
        self._transport: asyncio.SubprocessTransport
        self._stdin: asyncio.WriteTransport

    @classmethod
    async def start(
        cls,
        processes: set["Child"],
        setup: Setup,
        model: bytes,
        answered: Answered,
        ended: Callable[["Child"], None],
        overdue: Callable[[Item], None],
    ) -> "Child":
        """Start a reader and wait until it can read; it is in `processes` until it is gone.

        Raises:
            ModelError, SettingsError: it says that it cannot.
            WorkerDied: it ended without a word, or is not ready after a minute.
            OSError: no process could be made.
        """
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(answered, ended, overdue),
            *(sys.executable, "-m", "service.workers.worker_main"),
            stderr=None,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )
        if child.status is None:
            processes.add(child)
            child._processes = processes
        child._write(to_head(setup), model)
        try:
            async with asyncio.timeout(START_SECONDS):
                await child._ready
        except TimeoutError:
            child.kill()
            raise WorkerDied(f"a reader was not ready after {START_SECONDS} s") from None
        except BaseException:
            child.kill()
            await child.gone.wait()
            raise
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._transport.get_pid()

    def give(self, item: Item, longest: float) -> None:
        """Have an item read, which may take some seconds at the longest."""
        self.item = item
        self.given += 1
        self._write({}, item.request)
        self._timer = asyncio.get_running_loop().call_later(longest, self._end_overdue)

    def kill_later(self, seconds: float) -> None:
        """Kill the process if it is still at the same item then."""
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.kill)

    def retire(self) -> None:
        """Let the process end when it has answered what it was given."""
        self.retired = True
        if self.item is None:
            self._stdin.close()

    def kill(self) -> None:
        """End the process now."""
        self.killed = True
        if self.status is None and self._transport.get_returncode() is None:
            self._transport.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the pipes."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(STDIN))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take in what the reader says."""
        try:
            for head, body in self._frames.feed(data):
                self._heard(head, body)
        except ValueError:  # it is not itself any more
            self.kill()

    def _heard(self, head: Head, body: bytes) -> None:
        if not self._ready.done():
            self._introduce(head, body)
        elif self.item is not None:
            item, self.item = self.item, None
            self._stop_timer()
            if self.retired:
                self._stdin.close()
            self._answered(self, item, head, body)

    def connection_lost(self, error: Exception | None) -> None:
        """The process is gone, and all that it said was heard."""
        self.status = self._transport.get_returncode()
        self._transport.close()
        self._stop_timer()
        if not self._ready.done():
            self._ready.set_exception(
                WorkerDied(f"a reader ended with status {self.status} before it was ready")
            )
            self._ready.exception()  # nobody may be waiting for it, and asyncio would complain
        elif not self._ready.cancelled() and self._ready.exception() is None:
            self._ended(self)
        self._processes.discard(self)
        self.gone.set()

    def _introduce(self, head: Head, body: bytes) -> None:
        if "error" in head:
            self._ready.set_exception(of_reason(**head["error"]))
        else:
            self.described.ParseFromString(body)
            self._ready.set_result(None)

    def _write(self, head: Head, body: bytes) -> None:
        for piece in pack(head, body):
            self._stdin.write(piece)

    def _end_overdue(self) -> None:
        if self.item is not None:
            self._overdue(self.item)
        self.kill()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
