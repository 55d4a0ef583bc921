"""What becomes of an asynchronous stream when nobody waits for its answers any more."""

import asyncio
from contextlib import suppress

from service.client.in_flight import Outstanding
from service.client.streaming import AsyncStream
from service.pb import recognizer_pb2 as pb
from tests.conftest import in_a_loop


class Call:
    """A call whose answer comes when it is let."""

    def __init__(self, requests):
        self.requests, self.let, self.reads = requests, asyncio.Event(), []

    async def __aiter__(self):
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.reads.append("cancelled")
            raise
        self.reads.append("whole")
        yield pb.RecognizeStreamResponse()

    def add_done_callback(self, done):
        pass

    def cancel(self):
        pass


@in_a_loop
async def test_what_grpc_receives_for_a_caller_who_leaves_is_received_to_its_end():
    opened = []  # or gRPC would keep the answer

    def open_call(requests):
        opened.append(Call(requests))
        return opened[-1]

    async def images():
        yield "one", pb.RecognizeRequest()

    def no_tries():
        raise AssertionError("the call did not fail")

    stream = aiter(
        AsyncStream(
            open_call, images(), Outstanding(4, no_tries, pb.RecognizeStreamRequest), no_tries
        )
    )
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    (call,) = opened
    call.let.set()
    await asyncio.sleep(0.01)
    assert call.reads == ["whole"]
