"""Kinds of trouble that a server's callers make: each is a coroutine that makes it once.

Each returns the name of the status that it got, of those that its kind may get.
"""

import asyncio
import io
import os
import random
import re
import socket
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache

import grpc
from PIL import Image

from service.client.ended_with import EndedWith
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import STRIPS
from tests.fuzz.damage import chunk
from tests.support import http1
from tests.support.http2 import Connection

MIB = 2**20
SECONDS = 60.0  # that a call of a kind may take
RECOGNIZE = "/digitstrip.v1.RecognizerService/Recognize"
READ = "/v1/read"
STREAM = "/digitstrip.v1.RecognizerService/RecognizeStream"
COSTLY = r"((\d{0,9}|[1-3]{2,9})?(\d|[2-5]{1,7}){3,9}){1,3}"
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
BUSY = {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}  # what any call may get from a busy server


@dataclass
class Target:
    """A server, and what is known of it.

    Args:
        address: of its gRPC port.
        metrics: of its port for Prometheus.
        web: of its port for HTTP.
        said: with what sentences its calls failed, and how often.
    """

    address: str
    metrics: str
    web: str
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    said: Counter = field(default_factory=Counter)

    def channel(self):
        """Open a channel of its own connection."""
        return grpc.aio.insecure_channel(
            self.address, [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        )


@dataclass(frozen=True)
class Kind:
    """A kind of trouble.

    Args:
        make: makes it once, for a Target; returns a status.
        allowed: the statuses that it may get.
        weight: how often it is made, of all kinds.
    """

    make: object
    allowed: frozenset
    weight: float


KINDS = {}


def kind(*allowed, weight=1.0):
    """Register a coroutine as a kind of trouble."""

    def register(make):
        KINDS[make.__name__] = Kind(make, BUSY | set(allowed), weight)
        return make

    return register


def sentence(error):
    """The status of a failed call and how its details begin, with every number as 0."""
    details = re.sub(r"\b\d+([.,:]\d+)*", "0", error.details() or "")
    return f"{error.code().name}: {details[:80]}"


async def status(target, call):
    """The status with which a call ended."""
    began = time.monotonic()
    try:
        await call
    except grpc.aio.AioRpcError as error:
        target.said[sentence(error)] += 1
        name = error.code().name
        # A server that sees the deadline before its client does cancels the call.
        late = name == "CANCELLED" and time.monotonic() - began >= SECONDS - 1
        return "DEADLINE_EXCEEDED" if late else name
    return "OK"


async def stream(target, channel, messages):
    """Send a stream of messages; return the status with which the server ended it."""
    call = channel.stream_stream(STREAM)(iter(messages), timeout=SECONDS)
    ended = EndedWith(call)  # grpc.aio says INTERNAL where a message meets a call that has ended
    try:
        async for _ in call:
            pass
    except grpc.RpcError as error:
        failure = ended.failure(error)
        if failure is None:
            return "OK"
        target.said[sentence(failure)] += 1
        return failure.code().name
    return "OK"


async def recognize(target, request, **options):
    """Make one call on a connection of its own; return its status."""
    async with target.channel() as channel:
        method = channel.unary_unary(RECOGNIZE)
        return await status(target, method(request, **{"timeout": SECONDS} | options))


@cache
def strip(name="postcode-ruled.png"):
    """An example strip."""
    return (STRIPS / name).read_bytes()


@cache
def request(content=None, **fields):
    """A serialized request for an image."""
    image = pb.Image(encoded=strip() if content is None else content)
    return pb.RecognizeRequest(image=image, **fields).SerializeToString()


def encoded(image, **options):
    """An image as a PNG."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


@cache
def unsupported():
    """A large image of a format that is refused, as a phone takes it."""
    return request(b"\0\0\0\x18ftypheic" + os.urandom(30 * MIB))


@cache
def heavy():
    """A strip in 20 MiB: a PNG with a chunk that nobody knows."""
    end = chunk(b"IEND", b"")
    body = strip().removesuffix(end)
    return request(body + chunk(b"prVt", os.urandom(20 * MIB)) + end)


@cache
def transparent():
    """A transparent page of as many pixels as are allowed, in few bytes."""
    return request(encoded(Image.new("RGBA", (8192, 8192), (9, 9, 9, 90)), compress_level=1))


@kind("INVALID_ARGUMENT")
async def damaged_image(target):
    """Half an image."""
    return await recognize(target, request(strip()[: len(strip()) // 2]))


@kind("INVALID_ARGUMENT")
async def unsupported_image(target):
    """30 MiB of a format that is refused."""
    return await recognize(target, unsupported())


@kind("OK", "DEADLINE_EXCEEDED", weight=0.5)
async def images_in_streams(target):
    """Three streams at once, of three images of 20 MiB each."""
    each = pb.RecognizeStreamRequest(
        id="1", request=pb.RecognizeRequest.FromString(heavy())
    ).SerializeToString()

    async with target.channel() as channel:
        ends = await asyncio.gather(*(stream(target, channel, [each] * 3) for _ in range(3)))
    return next((end for end in ends if end != "OK"), "OK")


@kind("OK", "DEADLINE_EXCEEDED", weight=0.1)
async def huge_page(target):
    """A transparent page of 64 megapixels."""
    return await recognize(target, transparent())


@kind("INVALID_ARGUMENT", "OK")
async def nonsense(target):
    """Bytes that are no message."""
    return await recognize(target, target.rng.randbytes(target.rng.randrange(2000)))


@kind("OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED")
async def nonsense_in_stream(target):
    """A stream of messages that are none."""
    async with target.channel() as channel:
        return await stream(target, channel, [target.rng.randbytes(50) for _ in range(5)])


@kind("UNIMPLEMENTED")
async def compressed(target):
    """A message that gzip makes small."""
    return await recognize(target, bytes(4 * MIB), compression=grpc.Compression.Gzip)


@kind()
async def message_too_large(target):
    """A message over the limit."""
    return await recognize(target, bytes(70 * MIB))


@kind("OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED")
async def costly_constraint(target):
    """A small request that takes long: another pattern each time, so that none is kept."""
    low, high = target.rng.randrange(9), target.rng.randrange(9, 99)
    constraint = pb.Constraint(pattern=COSTLY + rf"\d{{{low},{high}}}")
    image = pb.Image(encoded=strip())
    message = pb.RecognizeRequest(image=image, constraint=constraint)
    return await recognize(target, message.SerializeToString())


@kind("OK", "DEADLINE_EXCEEDED")
async def short_deadline(target):
    """A call that allows a few milliseconds."""
    return await recognize(target, request(), timeout=target.rng.uniform(0.001, 0.02))


@kind("CANCELLED")
async def hung_up(target):
    """A call whose caller leaves."""
    async with target.channel() as channel:
        call = channel.unary_unary(RECOGNIZE)(heavy())
        await asyncio.sleep(target.rng.uniform(0, 0.3))
        call.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await call
    return "CANCELLED"


@kind("UNIMPLEMENTED")
async def unknown_method(target):
    """A call of a method that is not there, with a message."""
    async with target.channel() as channel:
        return await status(target, channel.unary_unary("/no.such.Service/Method")(bytes(MIB)))


@kind("OK", "DEADLINE_EXCEEDED", "CANCELLED")
async def half_sent(target):
    """Four calls whose message stops after 8 MiB, for three seconds."""

    def send():
        with closing(Connection(target.address)) as connection:
            connection.listen(1)
            connection.open(RECOGNIZE)
            connection.send(bytes(8 * MIB), declared=30 * MIB, seconds=1)
            connection.until_ended(3)

    await asyncio.gather(*(asyncio.to_thread(send) for _ in range(4)))
    return "OK"


@kind("OK")
async def silent_connections(target):
    """Ten connections that say nothing, and ten that say nonsense, on every port."""

    def connect():
        for address in (target.address, target.metrics, target.web):
            host, _, port = address.rpartition(":")
            opened = [socket.create_connection((host, int(port)), 10) for _ in range(20)]
            for each in opened[::2]:
                with suppress(OSError):
                    each.sendall(os.urandom(200))
            for each in opened:
                each.close()

    await asyncio.to_thread(connect)
    return "OK"


@kind("CANCELLED", "OK")
async def idle_stream(target):
    """A stream that sends one image, and nothing more for ten seconds."""
    async with target.channel() as channel:
        stub = RecognizerServiceStub(channel)
        call = stub.RecognizeStream()
        with suppress(grpc.aio.AioRpcError, asyncio.TimeoutError):
            await call.write(
                pb.RecognizeStreamRequest(id="1", request=pb.RecognizeRequest.FromString(request()))
            )
            async with asyncio.timeout(10):
                while await call.read() is not grpc.aio.EOF:
                    pass
        call.cancel()
    return "OK"


@kind("OK")
async def answers_unread(target):
    """A stream of which no answer is read, for five seconds."""
    each = pb.RecognizeStreamRequest(
        id="1", request=pb.RecognizeRequest.FromString(request(include_scores=True))
    ).SerializeToString()
    async with target.channel() as channel:
        call = channel.stream_stream(STREAM)(iter([each] * 200), timeout=SECONDS)
        await asyncio.sleep(5)
        call.cancel()
    return "OK"


@kind("400")
async def damaged_over_http(target):
    """Half an image over HTTP."""
    return await over_http(target, strip()[: len(strip()) // 2])


@kind("400")
async def unsupported_over_http(target):
    """30 MiB of a format that is refused, over HTTP."""
    return await over_http(target, unsupported()[-30 * MIB - 12 :])


@kind("413", weight=0.5)
async def too_large_over_http(target):
    """A body over the limit, over HTTP."""
    return await over_http(target, bytes(70 * MIB))


@kind("OK")
async def half_sent_over_http(target):
    """Four requests whose body stops after 8 MiB, for three seconds."""
    host, _, port = target.web.rpartition(":")

    async def send():
        with suppress(OSError):  # it may be refused before all is sent
            _, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(http1.request("POST", READ, Content_Length=30 * MIB))
                writer.write(bytes(8 * MIB))
                await asyncio.sleep(3)
            finally:
                writer.close()

    await asyncio.gather(*(send() for _ in range(4)))
    return "OK"


async def over_http(target, body):
    """Have an image read over HTTP; return the status, by gRPC's names where it is a busy one."""
    try:
        answer = await asyncio.to_thread(http1.call, f"http://{target.web}", READ, body)
    except OSError:  # it may be refused, and the connection ended, before all is sent
        return "UNAVAILABLE"
    return {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(answer.status, str(answer.status))
