"""What becomes of gRPC's operations when nobody waits for them any more."""

import asyncio
import gc
from contextlib import suppress

import pytest
from grpc.aio import UsageError

from service.errors import TimedOut
from service.held_bytes import HeldBytes
from service.server.receiving import Receiver
from tests.conftest import in_a_loop


class Context:
    """A call whose message comes when it is let."""

    def __init__(self, ended=False):
        self.let, self.reads, self.ended = asyncio.Event(), [], ended

    def peer(self):
        return "unix:"

    async def read(self):
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.reads.append("cancelled")
            raise
        self.reads.append("whole")
        if self.ended:
            raise UsageError("RPC already finished.")
        return b"message"


def receiver():
    return Receiver(HeldBytes(2**20), 4, 30.0, lambda method, code, reason: None)


@in_a_loop
async def test_what_grpc_reads_for_a_caller_who_leaves_is_read_to_its_end():
    context = Context()  # or gRPC would keep the message
    receiving = asyncio.create_task(receiver().receive(context, 30.0))
    await asyncio.sleep(0.01)
    receiving.cancel()
    with suppress(asyncio.CancelledError):
        await receiving
    context.let.set()
    await asyncio.sleep(0.01)
    assert context.reads == ["whole"]


@in_a_loop
async def test_what_grpc_reads_of_a_message_that_comes_too_late_is_read_to_its_end():
    context = Context()
    with pytest.raises(TimedOut):
        await receiver().receive(context, 0.01)
    context.let.set()
    await asyncio.sleep(0.01)
    assert context.reads == ["whole"]


@in_a_loop
async def test_nothing_is_logged_of_what_grpc_reads_when_the_call_has_ended():
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
    context = Context(ended=True)
    with pytest.raises(TimedOut):
        await receiver().receive(context, 0.01)
    context.let.set()
    await asyncio.sleep(0.01)
    assert context.reads == ["whole"]
    gc.collect()
    await asyncio.sleep(0)
    assert not said
