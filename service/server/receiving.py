"""Bounds on the requests that are being received and held: one bound for all calls and connections.

gRPC takes a message in whole, however slowly it comes, and has no bound but each message's own. So
every method is served as one whose requests stream in: nothing is taken in before authentication
and load shedding have let the call through, and each message is received under the bounds here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from service.errors import DigitstripError, MalformedMessage, Overloaded, TimedOut
from service.server.connections import Connections
from service.server.refusal import Refused, method_name, refuse
from service.serving.held_bytes import RETRY_SECONDS, HeldBytes, Hold
from service.serving.observability.call import NOT_RECEIVED, NOT_RECEIVED_CODE

QUICK_SECONDS = 0.25  # a message that takes longer is a slow one, of which there may be few
ENDED_SECONDS = 1.0  # from gRPC's saying that no message comes to its saying that the call is over
CHECK_SECONDS = 0.1  # between checks of what has come in part
CHECKS = 3  # in a row at which a stream has a part of a message, from which that is a slow one
PART_BYTES = 65_535  # that gRPC holds of any call's message, whether it is read or not

Message = Any  # what a method's deserializer makes: protobuf's class, or the bytes as they are


class Receiver(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Receives every method's requests under the bounds.

    At most `slow` messages may take longer than `QUICK_SECONDS` to arrive. When there is one more,
    the oldest of them is refused. A stream that waits and has sent no part of a message is none of
    them, where the kernel says how much came (`Connections`).

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
        self.connections = Connections()
        self._slow: dict[asyncio.Timeout, _Wait] = {}  # in the order in which they became slow
        self._check: asyncio.TimerHandle | None = None

    @property
    def slow_messages(self) -> int:
        """The number of messages that have been arriving for longer than `QUICK_SECONDS`."""
        return len(self._slow)

    async def receive(
        self, context: grpc.aio.ServicerContext, seconds: float | None = None
    ) -> bytes | None:
        """Return a call's next message, or None at the end of its requests.

        Without `seconds`, the call is a stream, which may wait for as long as it likes.

        Read from the context: the iterator of requests that gRPC passes to a handler holds the
        latest message, and itself, until garbage is collected.

        Raises:
            TimedOut: the message was not complete after `seconds`.
            Overloaded: too many messages take long, and this is the oldest of them.
        """
        loop = asyncio.get_running_loop()
        evicted = asyncio.Timeout(None)
        begun = loop.time()
        wait = _Wait(context.peer(), seconds is None)
        if wait.is_stream:
            self.connections.wait(wait.peer)
        slow = loop.call_later(QUICK_SECONDS, self._is_slow, evicted, wait)
        try:
            async with asyncio.timeout(seconds), evicted:
                message: bytes = await context.read()
                if message is grpc.aio.EOF:
                    return None
                self.connections.received(wait.peer, len(message))
                return message
        except TimeoutError:
            pass
        finally:
            slow.cancel()
            self._slow.pop(evicted, None)
            if wait.is_stream:
                self.connections.waited(wait.peer)
        if evicted.expired():
            raise Overloaded(
                f"the message was not complete after {loop.time() - begun:.1f} s; at most "
                f"{self.slow} messages may take longer than {QUICK_SECONDS} s at once",
                RETRY_SECONDS,
            )
        raise TimedOut(f"the message was not complete after {seconds:g} s")

    def expect(self, context: grpc.aio.ServicerContext, size: int) -> Hold:
        """Hold room for a stream's next message, which may be as large as the one before.

        It is released by the caller, or once no part of a message has come for a moment, so that
        streams that wait hold nothing.
        """
        hold = self.held.hold(size if size > PART_BYTES else 0)
        self._expect_soon(hold, context.peer())
        return hold

    def _expect_soon(self, hold: Hold, peer: str) -> None:
        if hold.size:
            loop = asyncio.get_running_loop()
            loop.call_later(QUICK_SECONDS, self._check_expected, hold, peer)

    def _check_expected(self, hold: Hold, peer: str) -> None:
        if (self.connections.in_part(peer) or 0) <= PART_BYTES:
            hold.release()
        self._expect_soon(hold, peer)

    def _is_slow(self, evicted: asyncio.Timeout, wait: "_Wait") -> None:
        self._slow[evicted] = wait
        wait.checks = CHECKS - 1  # it may have begun its message long ago
        self._check_slow()

    def _check_slow(self) -> None:
        """Refuse the oldest of those that hold a part of a message, if they are too many.

        Those that wait with nothing in hand may begin a message at any time, so that they are
        looked at again and again while there are more of both than may be slow.
        """
        if self._check is not None:
            self._check.cancel()
            self._check = None
        if len(self._slow) <= self.slow:
            return
        partial = []
        parts: dict[str, bool] = {}
        for evicted, wait in self._slow.items():
            if wait.is_stream and wait.peer not in parts:
                came = self.connections.in_part(wait.peer)
                parts[wait.peer] = came is None or came > PART_BYTES
            wait.checks = wait.checks + 1 if not wait.is_stream or parts[wait.peer] else 0
            if wait.checks >= CHECKS:
                partial.append(evicted)
        loop = asyncio.get_running_loop()
        for oldest in partial[: max(len(partial) - self.slow, 0)]:
            del self._slow[oldest]
            oldest.reschedule(loop.time())
        self._check = loop.call_later(CHECK_SECONDS, self._check_slow)

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
    checks: int = 0  # in a row, at which a part of a message was there


async def _respond(responses: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: ANN401 - as above
    """Write what a method yields; one that writes by itself is only awaited."""
    if not inspect.isasyncgen(responses):
        await responses
        return
    async for response in responses:
        await context.write(response)


def _unchanged(message: bytes) -> bytes:
    return message
