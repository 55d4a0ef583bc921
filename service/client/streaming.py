"""Streams of images that resume on another call when one ends early, blocking and async.

An image is taken from the caller when the caller has taken an earlier answer, so what is in flight
is bounded. A call that ends before everything is answered (a server stops, a connection is lost or
too old) is followed by another, at another server if there is one, which sends only what has no
answer: nothing is lost, and nothing answered twice.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Generic

import grpc

from service.api.status import from_rpc_error
from service.client.ended_with import EndedWith
from service.client.in_flight import Outstanding, Request, Response, StreamMessage
from service.client.retry import Tries
from service.errors import DigitstripError, ServerUnavailable
from service.grpc_operations import to_its_end

THREAD = "digitstrip images"
ENDED_EARLY = "the server ended the stream before it had answered"


class BlockingStream(Generic[Request, Response]):
    """A stream of images, blocking; iterate over it once.

    Args:
        open_call: opens a call of a method of the schema whose messages are streams.
        images: what to read; it is iterated in a thread of its own.
        outstanding: keeps account.
        new_tries: starts counting the tries after a call ended early.
    """

    def __init__(
        self,
        open_call: Callable[[Iterator[StreamMessage]], Any],  # grpc ships no types
        images: Iterable[tuple[str, Request]],
        outstanding: Outstanding[Request, Response],
        new_tries: Callable[[], Tries],
    ) -> None:
        self._open_call = open_call
        self._images = images
        self._outstanding = outstanding
        self._new_tries = new_tries
        self._changed = threading.Condition()  # guards what stands below, and what is outstanding
        self._broken: Exception | None = None  # what the caller's iterable raised
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[tuple[str, Response | DigitstripError]]:
        """Yield the answers as they come."""
        threading.Thread(target=self._take_in, name=THREAD, daemon=True).start()
        tries: Tries | None = None  # since the latest answer
        try:
            while self._something_to_do():
                call = self._open_call(self._requests(self._outstanding.call))
                failure: Exception | None = None
                try:
                    for answer in call:
                        tries = None
                        with self._changed:
                            outcome = self._outstanding.answered(answer)
                            self._changed.notify_all()
                        if outcome:
                            yield outcome
                            with self._changed:
                                self._outstanding.taken()
                                self._changed.notify_all()
                except grpc.RpcError as error:
                    failure = error
                finally:
                    call.cancel()  # of no effect on one that ended
                    with self._changed:
                        self._outstanding.lost()
                        self._changed.notify_all()
                if self._outstanding.finished:
                    break
                if self._outstanding.idle:  # nobody waits; the next image opens another call
                    continue
                tries = tries or self._new_tries()
                self._closed.wait(pause_before_reopening(failure, tries))
            if self._broken:
                raise self._broken
        finally:
            with self._changed:
                self._closed.set()
                self._changed.notify_all()

    def _something_to_do(self) -> bool:
        """Wait until there is something to send; return whether there ever will be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._outstanding.idle)
            return not self._outstanding.finished

    def _take_in(self) -> None:
        images = iter(self._images)
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._outstanding.room or self._closed.is_set())
                if self._closed.is_set():
                    return
                name, request = next(images)  # may take its time
                with self._changed:
                    self._outstanding.take_in(name, request)
                    self._changed.notify_all()
        except StopIteration:
            pass
        except Exception as error:  # the caller's; raised when what is in flight is answered
            self._broken = error
        finally:
            with self._changed:
                self._outstanding.exhausted = True
                self._changed.notify_all()

    def _requests(self, call: int) -> Iterator[StreamMessage]:
        """Yield what call number `call` sends, until all is answered or the call has ended."""
        while True:
            with self._changed:
                while (request := self._outstanding.next(call)) is None:
                    if self._outstanding.over(call):
                        return
                    self._changed.wait(self._outstanding.wait)
            yield request


class AsyncStream(Generic[Request, Response]):
    """A stream of images for asyncio; otherwise as `BlockingStream`."""

    def __init__(
        self,
        open_call: Callable[[AsyncIterator[StreamMessage]], Any],  # grpc ships no types
        images: AsyncIterable[tuple[str, Request]],
        outstanding: Outstanding[Request, Response],
        new_tries: Callable[[], Tries],
    ) -> None:
        self._open_call = open_call
        self._images = images
        self._outstanding = outstanding
        self._new_tries = new_tries
        self._changed = asyncio.Condition()
        self._broken: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[str, Response | DigitstripError]]:
        """Yield the answers as they come."""
        taking_in = asyncio.create_task(self._take_in())
        tries: Tries | None = None
        try:
            while await self._something_to_do():
                call = self._open_call(self._requests(self._outstanding.call))
                ended = EndedWith(call)
                answers = aiter(call)  # not `read`, which passes over what came before a failure
                failure: Exception | None = None
                try:
                    while (answer := await to_its_end(anext(answers, None))) is not None:
                        tries = None
                        outcome = self._outstanding.answered(answer)
                        await self._notify()
                        if outcome:
                            yield outcome
                            self._outstanding.taken()
                            await self._notify()
                except grpc.RpcError as error:
                    failure = ended.failure(error)
                finally:
                    call.cancel()
                    self._outstanding.lost()
                    await self._notify()
                if self._outstanding.finished:
                    break
                if self._outstanding.idle:  # nobody waits; the next image opens another call
                    continue
                tries = tries or self._new_tries()
                await asyncio.sleep(pause_before_reopening(failure, tries))
            if self._broken:
                raise self._broken
        finally:
            taking_in.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await taking_in

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _something_to_do(self) -> bool:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._outstanding.idle)
            return not self._outstanding.finished

    async def _take_in(self) -> None:
        images = aiter(self._images)
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._outstanding.room)
                name, request = await anext(images)
                self._outstanding.take_in(name, request)
                await self._notify()
        except StopAsyncIteration:
            pass
        except Exception as error:
            self._broken = error
        self._outstanding.exhausted = True
        await self._notify()

    async def _requests(self, call: int) -> AsyncIterator[StreamMessage]:
        while True:
            async with self._changed:
                while (request := self._outstanding.next(call)) is None:
                    if self._outstanding.over(call):
                        return
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._outstanding.wait):
                            await self._changed.wait()
            yield request


def pause_before_reopening(failure: Exception | None, tries: Tries) -> float:
    """Return the seconds to wait after a call that ended early.

    Args:
        failure: what it ended with; None if it ended as though all were answered.
        tries: since the latest answer.

    Raises:
        DigitstripError: another try would not help.
    """
    error = from_rpc_error(failure) if failure else ServerUnavailable(ENDED_EARLY)
    pause = tries.pause(error)
    if pause is None:
        raise error from failure
    return pause
