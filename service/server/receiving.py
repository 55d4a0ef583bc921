"""Bounds on the requests that are being received and held: one bound for all calls and connections.

gRPC takes a message in whole, however slowly it comes, and has no bound but each message's own. So
every method is served as one whose requests stream in: nothing is taken in before authentication
and load shedding have let the call through, and each message is received under the bounds here.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from service.api.status import to_status
from service.errors import DigitstripError, MalformedMessage, Overloaded, TimedOut

QUICK_SECONDS = 0.25  # a message that takes longer is a slow one, of which there may be few
RETRY_SECONDS = 1.0  # that a refused caller is asked to wait


class HeldBytes:
    """The bytes of requests and responses that the process holds, and their upper bound.

    Args:
        limit: bytes, past which no further message is received.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: deque[asyncio.Event] = deque()

    @property
    def full(self) -> bool:
        """Whether no further message is received."""
        return self.held >= self.limit

    def hold(self, size: int) -> "Hold":
        """Count a message until it is released."""
        return Hold(self, size)

    async def room(self) -> None:
        """Wait until a further message may be received; first come, first served."""
        turn = asyncio.Event()
        self._waiting.append(turn)
        try:
            while self.full or self._waiting[0] is not turn:
                turn.clear()
                await turn.wait()
        finally:
            self._waiting.remove(turn)
            self._wake()

    def add(self, size: int) -> None:
        """Change the number of bytes held; negative for what is released."""
        self.held += size
        self._wake()

    def _wake(self) -> None:
        if self._waiting and not self.full:
            self._waiting[0].set()


class Hold:
    """A message's share of the bytes held."""

    def __init__(self, total: HeldBytes, size: int) -> None:
        self._total = total
        self._size = 0
        self.resize(size)

    def resize(self, size: int) -> None:
        """Count another size, as when a response takes the place of its request."""
        self._total.add(size - self._size)
        self._size = size

    def release(self) -> None:
        """Count the message no longer."""
        self.resize(0)


class Receiver(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Receives every method's requests under the bounds.

    At most `slow` messages may take longer than `QUICK_SECONDS` to arrive. When there is one more,
    the oldest of them is refused: a message that was begun and never finished, or a stream that
    has been idle for longest.

    Args:
        held: counts what is held.
        slow: messages that may take long at once, over all connections.
        seconds: that the one message of a call may take.
    """

    def __init__(self, held: HeldBytes, slow: int, seconds: float) -> None:
        self.held = held
        self.slow = slow
        self.seconds = seconds
        self._slow: dict[asyncio.Timeout, None] = {}  # in the order in which they became slow

    @property
    def slow_messages(self) -> int:
        """The number of messages that have been arriving for longer than `QUICK_SECONDS`."""
        return len(self._slow)

    async def receive(
        self, requests: AsyncIterator[bytes], seconds: float | None = None
    ) -> bytes | None:
        """Return a call's next message, or None at the end of its requests.

        Raises:
            TimedOut: the message was not complete after `seconds`.
            Overloaded: too many messages take long, and this is the oldest of them.
        """
        loop = asyncio.get_running_loop()
        evicted = asyncio.Timeout(None)
        begun = loop.time()
        slow = loop.call_later(QUICK_SECONDS, self._is_slow, evicted)
        try:
            async with asyncio.timeout(seconds), evicted:
                return await anext(requests, None)
        except TimeoutError:
            pass
        finally:
            slow.cancel()
            self._slow.pop(evicted, None)
        if evicted.expired():
            raise Overloaded(
                f"the message was not complete after {loop.time() - begun:.1f} s; at most "
                f"{self.slow} messages may take longer than {QUICK_SECONDS} s at once",
                RETRY_SECONDS,
            )
        raise TimedOut(f"the message was not complete after {seconds:g} s")

    def _is_slow(self, evicted: asyncio.Timeout) -> None:
        self._slow[evicted] = None
        if len(self._slow) > self.slow:
            oldest = next(iter(self._slow))
            del self._slow[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Serve a method whose requests are received one by one."""
        handler = await continuation(details)
        if handler is None:
            return None
        decode = handler.request_deserializer or _unchanged
        if handler.request_streaming:
            serve, make = self._stream(handler, decode), grpc.stream_stream_rpc_method_handler
        elif handler.response_streaming:
            serve, make = self._unary_stream(handler, decode), grpc.stream_stream_rpc_method_handler
        else:
            serve, make = self._unary(handler, decode), grpc.stream_unary_rpc_method_handler
        return make(serve, response_serializer=handler.response_serializer)

    def _unary(self, handler: grpc.RpcMethodHandler, decode: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - grpc ships no types
        async def serve(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
            message, hold = await self._one(requests, context, decode)
            response = await handler.unary_unary(message, context)
            del message
            if isinstance(response, bytes):
                hold.resize(len(response))
            return response

        return serve

    def _unary_stream(self, handler: grpc.RpcMethodHandler, decode: Callable[[bytes], Any]) -> Any:  # noqa: ANN401
        async def serve(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
            message, _ = await self._one(requests, context, decode)
            await _respond(handler.unary_stream(message, context), context)

        return serve

    def _stream(self, handler: grpc.RpcMethodHandler, decode: Callable[[bytes], Any]) -> Any:  # noqa: ANN401
        if getattr(handler.stream_stream, "receives", False):  # under the bounds by itself
            return handler.stream_stream

        async def bounded(
            requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
        ) -> AsyncIterator[Any]:
            while True:
                await self.held.room()
                received = await self._next(requests, decode, None)
                if received is None:
                    return
                if isinstance(received, DigitstripError):
                    await abort(context, received)
                    return
                message, size = received
                hold = self.held.hold(size)
                try:
                    yield message
                finally:
                    hold.release()

        async def serve(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
            await _respond(handler.stream_stream(bounded(requests, context), context), context)

        return serve

    async def _one(
        self,
        requests: AsyncIterator[bytes],
        context: grpc.aio.ServicerContext,
        decode: Callable[[bytes], Any],
    ) -> tuple[Any, Hold]:
        """Receive and decode the one message of a call; it is held until the call has ended."""
        received: tuple[Any, int] | DigitstripError = self.full()
        if await self._has_room():
            received = await self._next(requests, decode, self.seconds) or MalformedMessage(
                "the call ended without a message; expected one"
            )
        if isinstance(received, DigitstripError):
            await abort(context, received)
            raise AssertionError("abort raises")
        message, size = received
        hold = self.held.hold(size)
        context.add_done_callback(lambda _: hold.release())
        return message, hold

    async def _has_room(self) -> bool:
        try:
            await asyncio.wait_for(self.held.room(), self.seconds)
        except TimeoutError:
            return False
        return True

    async def _next(
        self,
        requests: AsyncIterator[bytes],
        decode: Callable[[bytes], Any],
        seconds: float | None,
    ) -> tuple[Any, int] | DigitstripError | None:
        """Return the next message and its size, None at the end, or the error as a value.

        An error that is raised holds the frames that it passed through, and with them the message.
        """
        try:
            content = await self.receive(requests, seconds)
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

    def full(self) -> Overloaded:
        """Return why no further message is received."""
        return Overloaded(
            f"{self.held.held:,} bytes of requests and responses are held; "
            f"at most {self.held.limit:,} are allowed; retry in {RETRY_SECONDS:g} s",
            RETRY_SECONDS,
        )


async def abort(context: grpc.aio.ServicerContext, error: DigitstripError) -> None:
    """End a call with an error and its details.

    Raises:
        grpc.aio.AbortError: always.
    """
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


async def _respond(responses: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: ANN401
    """Write what a method yields; one that writes by itself is only awaited."""
    if not inspect.isasyncgen(responses):
        await responses
        return
    async for response in responses:
        await context.write(response)


def _unchanged(message: bytes) -> bytes:
    return message
