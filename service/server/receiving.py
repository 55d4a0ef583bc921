"""Bounds on the requests that are being received and held: one bound for all calls and connections.

gRPC takes a message in whole, however slowly it comes, and has no bound but each message's own. So
every method is served as one whose requests stream in: nothing is taken in before authentication
and load shedding have let the call through, and each message is received under the bounds here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from service.errors import DigitstripError, MalformedMessage, Overloaded, TimedOut
from service.grpc_operations import to_its_end
from service.held_bytes import RETRY_SECONDS, HeldBytes, Hold
from service.server.connections import Connections
from service.server.refusal import Refused, method_name, refuse
from service.serving.observability.call import NOT_RECEIVED, NOT_RECEIVED_CODE

QUICK_SECONDS = 0.25  # a message that takes longer is a slow one, of which there may be few
ENDED_SECONDS = 1.0  # from gRPC's saying that no message comes to its saying that the call is over
LOOK_SECONDS = 0.005  # after which a call that waits is looked at: most messages are there by then
CHECK_SECONDS = 0.02  # between checks of what has come in part
CHECK_SHARE = 0.05  # of the time, at most, for these checks
PART_BYTES = 65_535  # that gRPC holds of any call's message, whether it is read or not
BEGINNING = 2  # streams that may be about to receive a first message at once
BEGIN_SECONDS = 0.05  # in which such a message begins to come, or the stream waits
EXPECTED_SECONDS = 5.0  # for which room is held for a message; then only what came counts
MOST_BYTES = 2**31  # of a message, whatever the settings

Message = Any  # what a method's deserializer makes: protobuf's class, or the bytes as they are


class Receiver(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Receives every method's requests under the bounds.

    gRPC takes in all of a message once it is read, so what comes is watched where the kernel counts
    it (`Connections`): it counts toward the bytes held, and past their bound the oldest messages
    that are arriving are refused. Streams wait instead, until there is room for their next message.

    At most `slow` messages may take longer than `QUICK_SECONDS` to arrive. When there is one more,
    the oldest of them is refused. A stream that waits and has sent no part of a message is none of
    them, where the kernel says how much came.

    Args:
        held: counts what is held.
        slow: messages that may take long at once, over all connections.
        seconds: that the one message of a call may take.
        refused: called with the method of each call that is refused, the code and the reason.
    """

    def __init__(self, held: HeldBytes, slow: int, seconds: float, refused: Refused) -> None:
        self.held = held
        self.slow = slow
        self.seconds = seconds
        self.refused = refused
        self.slow_messages = 0  # that have been arriving for longer than `QUICK_SECONDS`
        self.connections = Connections()
        self._beginning = HeldBytes(BEGINNING * MOST_BYTES)
        self._waits: dict[_Wait, None] = {}  # in the order in which they began
        self._check: asyncio.TimerHandle | None = None

    async def receive(
        self,
        context: grpc.aio.ServicerContext,
        seconds: float | None = None,
        expected: Hold | None = None,
    ) -> bytes | None:
        """Return a call's next message, or None at the end of its requests.

        Without `seconds`, the call is a stream, which may wait for as long as it likes.

        Read from the context: the iterator of requests that gRPC passes to a handler holds the
        latest message, and itself, until garbage is collected.

        Args:
            context: of the call.
            seconds: that the message may take.
            expected: what is held for it already.

        Raises:
            TimedOut: the message was not complete after `seconds`.
            Overloaded: too many messages take long, or are too large together, and this is the
                oldest of them.
        """
        loop = asyncio.get_running_loop()
        wait = _Wait(context.peer(), seconds is None, loop.time(), expected)
        if wait.is_stream:
            self._count_connection(wait)
        look = loop.call_later(LOOK_SECONDS, self._watch, wait)
        try:
            async with asyncio.timeout(seconds), wait.evicted:
                message: bytes = await to_its_end(context.read())
                if message is grpc.aio.EOF:
                    return None
                self.connections.received(wait.peer, len(message))
                return message
        except TimeoutError:
            pass
        finally:
            look.cancel()
            if wait.counted:
                self.connections.waited(wait.peer)
            self._waits.pop(wait, None)
            if self.held.arriving:  # it is whole, or gone
                self._count(self._came())
        if wait.refusal:
            raise Overloaded(wait.refusal, RETRY_SECONDS)
        raise TimedOut(f"the message was not complete after {seconds:g} s")

    async def expect(self, context: grpc.aio.ServicerContext, size: int | None) -> Hold:
        """Wait for room for a stream's next message, and hold it.

        A next message may be as large as the one before; of the first, nothing is known, so that
        few streams at once may be about to receive one. The hold is released by the caller, or once
        no part of a message has come for a moment, so that streams that wait hold nothing.

        Args:
            context: of the stream.
            size: of the message before, bytes; None before the first.
        """
        if size is None:
            await self._beginning.room()
            hold, seconds = self._beginning.hold(MOST_BYTES), BEGIN_SECONDS
            try:
                await self.held.room(large=True)
            except BaseException:
                hold.release()
                raise
        else:
            await self.held.room(large=size > PART_BYTES)
            hold, seconds = self.held.hold(size if size > PART_BYTES else 0), QUICK_SECONDS
        if hold.size:
            loop = asyncio.get_running_loop()
            ends = loop.time() + EXPECTED_SECONDS
            loop.call_later(seconds, self._check_expected, hold, context.peer(), seconds, ends)
        return hold

    def _check_expected(self, hold: Hold, peer: str, seconds: float, ends: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= ends or (self.connections.in_part(peer) or 0) <= PART_BYTES:
            hold.release()
        elif hold.size:
            loop.call_later(seconds, self._check_expected, hold, peer, seconds, ends)

    def _watch(self, wait: "_Wait") -> None:
        """Look at a call whose message is not whole at once, and again until it is."""
        if not wait.counted:
            self._count_connection(wait)
        self._waits[wait] = None
        if self._check is None:
            self._check_all()

    def _count_connection(self, wait: "_Wait") -> None:
        self.connections.wait(wait.peer)
        wait.counted = True

    def _check_all(self) -> None:
        """Count what has come in part; refuse the oldest messages if they are too slow or many."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        came = self._came()
        slow = []
        for wait in self._waits:
            part = came[wait.peer]
            if part is None or part > PART_BYTES or not wait.is_stream:
                if wait.partial_since is None:
                    wait.partial_since = now if wait.is_stream else wait.began
                if now - wait.partial_since > QUICK_SECONDS:
                    slow.append(wait)
            else:
                wait.partial_since = None
        too_slow = max(len(slow) - self.slow, 0)
        self.slow_messages = len(slow) - too_slow
        for wait in slow[:too_slow]:
            self._refuse_rest(
                wait,
                came,
                f"the message was not complete after {now - wait.began:.1f} s; at most "
                f"{self.slow} messages may take longer than {QUICK_SECONDS} s at once",
            )
        self._count(came)
        for wait in self._large(came)[:-1]:  # the newest has the process to itself if need be
            if not self.held.past_large:
                break
            self._refuse_rest(wait, came, self.held.why)
            self._count(came)
        took = loop.time() - now
        self._check = (
            loop.call_later(max(CHECK_SECONDS, took / CHECK_SHARE), self._check_all)
            if self._waits
            else None
        )

    def _came(self) -> dict[str, int | None]:
        """Return how much came on the connections of calls that wait, by peer."""
        return {wait.peer: self.connections.in_part(wait.peer) for wait in self._waits}

    def _large(self, came: dict[str, int | None]) -> list["_Wait"]:
        """Return the calls of whose message more came than was expected, the oldest first.

        Of a connection's calls, nothing says whose bytes they are: rather those of its unary ones.
        """
        unary = {wait.peer for wait in self._waits if not wait.is_stream}
        return [
            wait
            for wait in self._waits
            if (came[wait.peer] or 0) > max(wait.expected_bytes, PART_BYTES)
            and not (wait.is_stream and wait.peer in unary)
        ]

    def _count(self, came: dict[str, int | None]) -> None:
        """Count what came toward the bytes held, less what is held for it."""
        more = {peer: part for peer, part in came.items() if part is not None and part > PART_BYTES}
        for wait in self._waits:
            if wait.peer in more and wait.expected_bytes < MOST_BYTES:
                more[wait.peer] -= wait.expected_bytes
        self.held.arrive(sum(max(part, 0) for part in more.values()))

    def _refuse_rest(self, wait: "_Wait", came: dict[str, int | None], why: str) -> None:
        """Receive no more of a call's message; what came of it goes with the call."""
        del self._waits[wait]
        if (part := came[wait.peer]) is not None and part > PART_BYTES:
            self.connections.received(wait.peer, part)
            came[wait.peer] = 0
        wait.refusal = why
        wait.evicted.reschedule(asyncio.get_running_loop().time())

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Serve a method whose requests are received one by one."""
        handler = await continuation(details)
        if handler is None:
            return None
        name, make = method_name(details), grpc.stream_stream_rpc_method_handler
        if handler.request_streaming:
            serve = self._stream(handler, name)
        elif handler.response_streaming:
            serve = self._unary_stream(handler, name)
        else:
            serve, make = self._unary(handler, name), grpc.stream_unary_rpc_method_handler
        return make(serve, response_serializer=handler.response_serializer)

    def _unary(self, handler: grpc.RpcMethodHandler, name: str) -> Any:  # noqa: ANN401 - grpc ships no types
        decode = handler.request_deserializer or _unchanged

        async def serve(_: object, context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401 - grpc ships no types
            if (received := await self._one(context, decode, name)) is None:
                return None
            message, hold = received
            del received
            response = await handler.unary_unary(message, context)
            del message
            if isinstance(response, bytes):
                hold.resize(len(response))
            return response

        return serve

    def _unary_stream(self, handler: grpc.RpcMethodHandler, name: str) -> Any:  # noqa: ANN401 - grpc ships no types
        decode = handler.request_deserializer or _unchanged

        async def serve(_: object, context: grpc.aio.ServicerContext) -> None:
            if (received := await self._one(context, decode, name)) is not None:
                await _respond(handler.unary_stream(received[0], context), context)

        return serve

    def _stream(self, handler: grpc.RpcMethodHandler, name: str) -> Any:  # noqa: ANN401 - grpc ships no types
        if getattr(handler.stream_stream, "receives", False):  # under the bounds by itself
            return handler.stream_stream
        decode = handler.request_deserializer or _unchanged

        async def bounded(context: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
            while True:
                await self.held.room()
                received = await self._next(context, decode, None)
                if received is None:
                    return
                if isinstance(received, DigitstripError):
                    self._refuse(context, name, received)
                    return
                message, size = received
                hold = self.held.hold(size)
                try:
                    yield message
                finally:
                    hold.release()

        async def serve(_: object, context: grpc.aio.ServicerContext) -> None:
            await _respond(handler.stream_stream(bounded(context), context), context)

        return serve

    async def _one(
        self,
        context: grpc.aio.ServicerContext,
        decode: Callable[[bytes], Message],
        name: str,
    ) -> tuple[Message, Hold] | None:
        """Receive and decode the one message of a call; it is held until the call has ended.

        Returns None if the call is refused.
        """
        received: tuple[Message, int] | DigitstripError | None = self.held.overloaded()
        try:
            if await self._has_room():
                received = await self._next(context, decode, self.seconds)
            if received is None:
                await asyncio.sleep(ENDED_SECONDS)
                received = MalformedMessage("the call ended without a message; expected one")
        except asyncio.CancelledError:
            self.refused(name, NOT_RECEIVED_CODE, NOT_RECEIVED)
            raise
        if isinstance(received, DigitstripError):
            self._refuse(context, name, received)
            return None
        message, size = received
        if size > PART_BYTES and not self.held.fits(size):  # others were whole before
            self._refuse(context, name, self.held.overloaded())
            return None
        hold = self.held.hold(size)
        context.add_done_callback(lambda _: hold.release())
        return message, hold

    def _refuse(self, context: grpc.aio.ServicerContext, name: str, error: DigitstripError) -> None:
        self.refused(name, error.code, error.reason)
        refuse(context, error)

    async def _has_room(self) -> bool:
        try:
            await asyncio.wait_for(self.held.room(), self.seconds)
        except TimeoutError:
            return False
        return True

    async def _next(
        self,
        context: grpc.aio.ServicerContext,
        decode: Callable[[bytes], Message],
        seconds: float | None,
    ) -> tuple[Message, int] | DigitstripError | None:
        """Return the next message and its size, None at the end, or the error as a value.

        An error that is raised holds the frames that it passed through, and with them the message.
        """
        try:
            content = await self.receive(context, seconds)
        except DigitstripError as error:
            return error.with_traceback(None)
        if content is None:
            return None
        size = len(content)
        try:
            return decode(content), size
        except DecodeError:
            pass  # an error made here would have a context, whose traceback holds this frame
        return MalformedMessage(f"a message of {size} bytes is not of this method's request type")


@dataclass(eq=False)
class _Wait:
    """A call that waits for a message."""

    peer: str
    is_stream: bool
    began: float  # of the loop's clock
    expected: Hold | None  # held for the message
    counted: bool = False  # among those that wait on its connection
    evicted: asyncio.Timeout = field(default_factory=lambda: asyncio.Timeout(None))
    partial_since: float | None = None  # a part of a message has been there, without a break
    refusal: str = ""  # why no more of the message is received

    @property
    def expected_bytes(self) -> int:
        """The bytes that are held for the message."""
        return self.expected.size if self.expected is not None else 0


async def _respond(responses: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: ANN401 - as above
    """Write what a method yields; one that writes by itself is only awaited."""
    if not inspect.isasyncgen(responses):
        await responses
        return
    async for response in responses:
        await to_its_end(context.write(response))


def _unchanged(message: bytes) -> bytes:
    return message
