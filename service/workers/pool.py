"""Reader processes and what they are given: nothing that was admitted is lost with one of them.

Small images and giants have lanes of their own, so that a giant never keeps small ones waiting.
Giants are read one at a time, by a reader that is started when one comes, gives way to others,
and ends when it was idle for a while, with the memory that it took.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

from service.errors import DigitstripError, ReadingTooLong, ServerStopping, WorkerDied, of_reason
from service.pb import recognizer_pb2 as pb
from service.workers.admission_queue import Answer, Item, Lane
from service.workers.framing import Head
from service.workers.worker_config import Setup
from service.workers.worker_process import Child

ABANDONED_SECONDS = 1.0  # after which reading what nobody waits for any more is ended
IDLE_SECONDS = 30.0  # after which the giants' reader ends
GIANTS_NICE = 10
LONGEST_PAUSE = 5.0  # seconds between tries to start a reader that fails to start
DEATHS = 2  # readers that an image may cost

Started = TypeVar("Started")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """How much a pool does at once."""

    workers: int  # reader processes
    queue_pixels: int = 2 * 2**20  # in flight for each worker
    giant_pixels: int = 2**20  # from which on an image is a giant
    reading_seconds: float = 120.0  # that one image may take


class ReaderPool:
    """Reads images in other processes; for one event loop.

    Args:
        setup: how readers read.
        model: the ONNX file's bytes.
        sizes: how much is done at once.
        changed: called with the number of readers that are ready, whenever that changes.
    """

    def __init__(
        self,
        setup: Setup,
        model: bytes,
        sizes: Sizes,
        changed: Callable[[int], None] = lambda ready: None,
    ) -> None:
        self.sizes = sizes
        self.changed = changed
        self.deaths = 0
        self.described = pb.GetModelResponse()  # the model that new items are read with
        self._model = model
        self._setup = setup
        self.small = Lane("small", sizes.queue_pixels * sizes.workers, sizes.workers)
        self.giant = Lane("giant", 2 * setup.limits.max_pixels, 1)
        self._children: dict[Lane, set[Child]] = {self.small: set(), self.giant: set()}
        self._idle: dict[Lane, list[Child]] = {self.small: [], self.giant: []}
        self._alive: set[Child] = set()  # also those that begin, and those that end in a moment
        self._starting: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        """Both lanes."""
        return self.small, self.giant

    @property
    def pids(self) -> list[int]:
        """The process ids of all readers."""
        return [child.pid for child in tuple(self._alive)]  # metrics ask from another thread

    def ready(self, lane: Lane) -> int:
        """Return how many readers a lane has."""
        return len(self._children[lane])

    async def start(self) -> pb.GetModelResponse:
        """Start the readers and return what they say of their model.

        Raises:
            ModelError, SettingsError, WorkerDied: a reader does not start.
        """
        self.described = await self._exchange(self._model)
        return self.described

    async def reload(self, model: bytes) -> pb.GetModelResponse:
        """Read with another model from now on; what is being read is finished with the old one.

        Raises:
            ModelError, SettingsError, WorkerDied: readers do not start with it; nothing changed.
        """
        self.described = await self._exchange(model)
        return self.described

    async def read(
        self,
        request: bytes,
        pixels: int,
        seconds_left: float | None = None,
        patient: bool = False,
    ) -> Answer:
        """Read one image.

        Args:
            request: a serialized RecognizeRequest.
            pixels: that the image declares.
            seconds_left: until nobody wants the answer any more.
            patient: wait for room instead of being refused.

        Raises:
            InputError: the image cannot be read.
            Overloaded, DeadlineTooShort: it was not taken in.
            ReadingTooLong, WorkerDied: it was given up.
            ServerStopping: the pool closes.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        deadline = None if seconds_left is None else now + seconds_left
        if pixels > self._setup.limits.max_pixels:  # a reader sees that at once, and says so
            pixels = 0
        item = Item(request, pixels, deadline, loop.create_future(), now)
        lane = self.giant if item.weight > self.sizes.giant_pixels else self.small
        if patient:
            await lane.room(item.cost)
        if self._closing:
            raise ServerStopping("no more images are read")
        lane.admit(item, loop.time())
        self._dispatch(lane)
        try:
            return await item.answer
        except asyncio.CancelledError:
            self._abandon(item)
            raise

    async def close(self) -> None:
        """End every reader, also those at work; what waits is refused."""
        self._closing = True
        for lane in self.lanes:
            while lane.waiting:
                self._refuse(lane, lane.next(), ServerStopping("no more images are read"))
        starting = list(self._starting)
        for task in starting:
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        for child in self._alive:
            child.kill()
        await asyncio.gather(*(child.gone.wait() for child in self._alive))

    def _dispatch(self, lane: Lane) -> None:
        """Give those that wait to readers that are idle."""
        idle, now = self._idle[lane], asyncio.get_running_loop().time()
        while lane.waiting and idle:
            item = lane.next()
            try:
                lane.check_deadline(item, now)
            except DigitstripError as error:
                self._refuse(lane, item, error)
                continue
            item.begun = now
            idle.pop().give(item, self.sizes.reading_seconds)
        if lane is self.giant and lane.waiting and not self._children[lane]:
            self._start_soon(lane)

    def _refuse(self, lane: Lane, item: Item, error: DigitstripError) -> None:
        lane.release(item)
        if not item.answer.done():
            item.answer.set_exception(error)

    def _abandon(self, item: Item) -> None:
        """Stop working for a caller who left."""
        for lane in self.lanes:
            if lane.drop(item):
                return
            for child in self._children[lane]:
                if child.item is item:
                    child.kill_later(ABANDONED_SECONDS)

    async def _exchange(self, model: bytes) -> pb.GetModelResponse:
        """Start a whole set of readers with a model; once all are ready, retire the others."""
        starting = [
            self._soon(self._start(self.small, model), "exchange")
            for _ in range(self.sizes.workers)
        ]
        try:
            fresh = await asyncio.gather(*starting)
        except BaseException as error:
            for task in starting:
                if not task.cancelling():  # twice, and it would not see its process end
                    task.cancel()
            for each in await asyncio.gather(*starting, return_exceptions=True):
                if isinstance(each, Child):
                    each.retire()
            if self._closing:
                raise ServerStopping("no more readers are started") from error
            raise
        self._model = model  # a reader that dies from now on is replaced by one with this model
        for lane in self.lanes:
            for child in list(self._children[lane]):
                self._retire(lane, child)
        for child in fresh:
            self._add(self.small, child)
        described = pb.GetModelResponse()
        described.CopyFrom(fresh[0].described)
        return described

    async def _start(self, lane: Lane, model: bytes) -> Child:
        setup = self._setup
        if lane is self.small:
            setup = replace(setup, most_pixels=self.sizes.giant_pixels)
        else:
            setup = replace(setup, nice=GIANTS_NICE)
        return await Child.start(
            self._alive,
            setup,
            model,
            answered=lambda child, item, head, body: self._answered(lane, child, item, head, body),
            ended=lambda child: self._ended(lane, child),
            overdue=lambda item: self._overdue(lane, item),
        )

    def _start_soon(self, lane: Lane) -> None:
        if not self._closing and not (lane is self.giant and self._starting_giant()):
            self._soon(self._keep_starting(lane), lane.name)

    def _soon(self, work: Coroutine[None, None, Started], name: str) -> asyncio.Task[Started]:
        """Run what starts readers, until the pool closes."""
        task = asyncio.create_task(work, name=name)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task

    def _starting_giant(self) -> bool:
        return any(task.get_name() == self.giant.name for task in self._starting)

    async def _keep_starting(self, lane: Lane) -> None:
        """Start a reader; if that fails, try again after a pause that grows."""
        pause = 0.1
        while self._lacks_readers(lane):
            model = self._model
            try:
                child = await self._start(lane, model)
            except (DigitstripError, OSError) as error:
                logger.error("a reader does not start", extra={"error": str(error)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if child.status is None and model is self._model and self._lacks_readers(lane):
                self._add(lane, child)
                return
            child.retire()  # the model changed meanwhile, and with it the readers

    def _lacks_readers(self, lane: Lane) -> bool:
        return sum(not child.retired for child in self._children[lane]) < lane.readers

    def _add(self, lane: Lane, child: Child) -> None:
        if child.status is not None:  # it died before the others were ready
            self._start_soon(lane)
            return
        self._children[lane].add(child)
        self._rest(lane, child)
        self._tell()

    def _retire(self, lane: Lane, child: Child) -> None:
        """Let a reader end once it has answered what it works on."""
        child.retire()
        if child in self._idle[lane]:
            self._idle[lane].remove(child)
        if child.item is None:
            self._children[lane].discard(child)

    def _rest(self, lane: Lane, child: Child) -> None:
        """Take note that a reader has nothing to do, and give it something."""
        self._idle[lane].append(child)
        self._dispatch(lane)
        if lane is self.giant and child.item is None:
            asyncio.get_running_loop().call_later(
                IDLE_SECONDS, self._end_if_idle, child, child.given
            )

    def _end_if_idle(self, child: Child, given: int) -> None:
        if child in self._idle[self.giant] and child.given == given:
            self._retire(self.giant, child)

    def _answered(self, lane: Lane, child: Child, item: Item, head: Head, body: bytes) -> None:
        """Pass an answer on, and give the reader its next item."""
        now = asyncio.get_running_loop().time()
        lane.release(item)
        if "misplaced" in head:
            self._move_to_giants(item, head["misplaced"], now)
        elif not item.answer.done():
            if "error" in head:
                item.answer.set_exception(of_reason(**head["error"]))
            else:
                seconds = head["seconds"] | {"queue": item.begun - item.since}
                item.answer.set_result(Answer(body, head["pixels"], seconds, head["none_share"]))
        if "seconds" in head:
            lane.learn(item, now - item.begun)
        if "trace" in head:
            logger.error("reading an image failed", extra={"trace": head["trace"]})
        if child.retired:
            self._children[lane].discard(child)
            self._dispatch(lane)  # a giant that waits needs another reader now
        else:
            self._rest(lane, child)

    def _move_to_giants(self, item: Item, pixels: int, now: float) -> None:
        """Let the giants' reader read what turned out to be one."""
        item.pixels = pixels
        if item.answer.done():
            return
        try:
            self.giant.admit(item, now)
        except DigitstripError as error:
            item.answer.set_exception(error)
        else:
            self._dispatch(self.giant)

    def _overdue(self, lane: Lane, item: Item) -> None:
        """Say that an image takes too long; its reader is being killed."""
        if not item.answer.done():
            item.answer.set_exception(
                ReadingTooLong(
                    f"reading took over {self.sizes.reading_seconds:g} s, the most that is allowed"
                )
            )

    def _ended(self, lane: Lane, child: Child) -> None:
        """Replace a reader that ended of itself, and have what it worked on read by another."""
        self._children[lane].discard(child)
        if child in self._idle[lane]:
            self._idle[lane].remove(child)
        self._tell()
        if (item := child.item) is not None:
            self._try_again(lane, item)
        if self._closing or (child.retired and item is None):
            return
        self.deaths += not child.killed
        logger.warning(
            "a reader was ended" if child.killed else "a reader died",
            extra={"pid": child.pid, "status": child.status, "lane": lane.name},
        )
        if lane is self.small and not child.retired:
            self._start_soon(lane)
        self._dispatch(lane)

    def _try_again(self, lane: Lane, item: Item) -> None:
        """Put an item back whose reader died, unless it was the second one, or nobody waits."""
        item.deaths += 1
        if item.answer.done():
            lane.release(item)
        elif self._closing:
            self._refuse(lane, item, ServerStopping("reading was ended"))
        elif item.deaths == DEATHS:
            self._refuse(
                lane, item, WorkerDied(f"{item.deaths} processes died while they read this image")
            )
        else:
            lane.put_back(item)

    def _tell(self) -> None:
        self.changed(self.ready(self.small))

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
