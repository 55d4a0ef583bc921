import asyncio

import pytest

from service.held_bytes import HeldBytes
from service.http.server import LINGER_SECONDS
from tests.conftest import in_a_loop
from tests.support.http1 import ask, ended, reply, request


@in_a_loop
async def test_a_body_is_read_up_to_the_limit(serving):
    async with serving(max_body_bytes=1000) as server:
        answer = await ask(server.port, "POST", "/echo", b"x" * 1000)
        assert (answer.status, answer.body) == (200, b'{"bytes":1000}')


@in_a_loop
async def test_a_body_over_the_limit_is_refused_by_its_length_alone(serving):
    async with serving(max_body_bytes=1000) as server:
        answer = await ask(server.port, "POST", "/echo", Content_Length=1001)
        assert (answer.status, answer.error["reason"]) == (413, "TOO_MANY_BYTES")
        assert answer.error["field"] == "body"
        assert "1,001" in answer.error["message"]


@in_a_loop
async def test_a_body_without_a_length_is_refused_at_the_limit(serving):
    async with serving(max_body_bytes=1000) as server:
        reader, writer = await server.connect()
        writer.write(request("POST", "/echo", Transfer_Encoding="chunked"))
        for _ in range(4):
            writer.write(b"100\r\n" + b"x" * 256 + b"\r\n")
        assert (await reply(reader)).status == 413


@in_a_loop
async def test_a_compressed_body_is_refused(serving):
    async with serving() as server:
        answer = await ask(server.port, "POST", "/echo", b"\x1f\x8b", Content_Encoding="gzip")
        assert (answer.status, answer.error["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert "'gzip'" in answer.error["message"]


@in_a_loop
async def test_a_slow_body_is_refused_and_its_connection_ended(serving):
    async with serving(body_seconds=0.3) as server:
        reader, writer = await server.connect()
        writer.write(request("POST", "/echo", Content_Length=100) + b"xy")
        answer = await reply(reader)
        assert (answer.status, answer.error["reason"]) == (408, "BODY_TOO_SLOW")
        assert "2 bytes of it came" in answer.error["message"]
        assert await ended(reader, 3 * LINGER_SECONDS)


@in_a_loop
async def test_an_answer_arrives_while_its_body_is_still_sent(serving):
    async with serving(max_body_bytes=1000) as server:
        reader, writer = await server.connect()
        writer.write(request("POST", "/unread", Content_Length=900) + b"x" * 100)
        assert (await reply(reader)).status == 200
        assert await ended(reader, 3 * LINGER_SECONDS)


@in_a_loop
async def test_of_bodies_that_are_too_many_bytes_together_the_oldest_are_refused(serving):
    async with serving(max_body_bytes=1000, held=HeldBytes(8000)) as server:
        opened = [await server.connect() for _ in range(5)]
        for _, writer in opened:
            writer.write(request("POST", "/echo", Content_Length=1000) + b"x" * 900)
            await asyncio.sleep(0.1)
        for reader, _ in opened[:3]:
            refused = await reply(reader)
            assert (refused.status, refused.error["reason"]) == (429, "OVERLOADED")
            assert "2,000" in refused.error["message"]
        for reader, writer in opened[3:]:
            writer.write(b"x" * 100)
            assert (await reply(reader)).body == b'{"bytes":1000}'


@in_a_loop
async def test_what_was_refused_or_left_counts_no_longer(serving):
    async with serving(max_body_bytes=1000, held=HeldBytes(1000), body_seconds=0.3) as server:
        slow, writer = await server.connect()
        writer.write(request("POST", "/echo", Content_Length=1000) + b"x" * 900)
        assert (await reply(slow)).status == 408
        for _ in range(3):
            _, writer = await server.connect()
            writer.write(request("POST", "/echo", Content_Length=1000) + b"x" * 900)
            await asyncio.sleep(0.05)
            writer.close()
        answer = await ask(server.port, "POST", "/echo", b"x" * 1000)
        assert (answer.status, answer.body) == (200, b'{"bytes":1000}')
        await asyncio.sleep(0.05)
        assert (server.app.bodies.arriving, server.app.bodies.held.total) == (0, 0)


KIB = 1024
WHOLE = 300 * KIB  # a large body


@pytest.fixture
def held():
    """A bound whose half is for other messages than bodies, which hold it."""
    held = HeldBytes(1024 * KIB)
    held.hold(512 * KIB)
    return held


def gone(server, held):
    """Whether nothing of any body counts any more."""
    return server.app.bodies.arriving == 0 and held.total == 512 * KIB


async def until_gone(server, held):
    async with asyncio.timeout(20):
        while not gone(server, held):
            await asyncio.sleep(0.01)


@in_a_loop
async def test_a_large_body_without_room_is_refused_by_its_length_alone(serving, held):
    async with serving(max_body_bytes=WHOLE, held=held) as server:
        answer = await ask(server.port, "POST", "/echo", Content_Length=WHOLE)
        assert (answer.status, answer.error["reason"]) == (429, "OVERLOADED")
        assert "524,288 bytes of requests and responses are held" in answer.error["message"]
        assert answer.headers["retry-after"] == "1"
        assert (await ask(server.port, "POST", "/echo", b"x" * 60_000)).status == 200
        assert gone(server, held)


@in_a_loop
async def test_what_a_body_is_worked_on_with_needs_room_too(serving, held):
    body = b"x" * 100 * KIB
    async with serving(max_body_bytes=WHOLE, held=held, body_copies=2) as server:
        assert (await ask(server.port, "POST", "/echo", body)).status == 200
    async with serving(max_body_bytes=WHOLE, held=held, body_copies=3) as server:
        assert (await ask(server.port, "POST", "/echo", Content_Length=len(body))).status == 429
        chunked = b"19000\r\n" + body + b"\r\n0\r\n\r\n"
        answer = await ask(server.port, "POST", "/echo", chunked, Transfer_Encoding="chunked")
        assert answer.status == 429


@in_a_loop
async def test_a_body_that_does_not_give_its_length_is_refused_as_it_grows(serving, held):
    async with serving(max_body_bytes=WHOLE, held=held) as server:
        reader, writer = await server.connect()
        writer.write(request("POST", "/echo", Transfer_Encoding="chunked"))
        writer.write(b"4b000\r\n" + b"x" * (WHOLE - 10 * KIB))
        answer = await reply(reader)
        assert (answer.status, answer.error["reason"]) == (429, "OVERLOADED")
        assert "bytes of requests and responses are held" in answer.error["message"]
        await until_gone(server, held)


@in_a_loop
async def test_bodies_that_do_not_end_give_way_to_one_that_does(serving, held):
    async with serving(max_body_bytes=WHOLE, held=held) as server:
        opened = [await server.connect() for _ in range(2)]
        for _, writer in opened:
            writer.write(request("POST", "/echo", Content_Length=200 * KIB) + b"x" * 100 * KIB)
            await asyncio.sleep(0.1)
        answer = await ask(server.port, "POST", "/echo", b"x" * 200 * KIB)
        assert answer.status == 200
        for reader, _ in opened:
            assert (await reply(reader)).status == 429
        await until_gone(server, held)


@in_a_loop
async def test_the_largest_body_is_read_beside_little_else(serving):
    held = HeldBytes(200 * KIB)
    held.hold(70 * KIB)
    async with serving(max_body_bytes=WHOLE, held=held) as server:
        assert (await ask(server.port, "POST", "/echo", b"x" * WHOLE)).status == 200
        assert held.total == 70 * KIB


@pytest.mark.parametrize("ending", ["hangs up", "is slow", "is refused", "is too large"])
@in_a_loop
async def test_however_a_body_ends_it_counts_no_longer(serving, held, ending):
    seconds = 0.2 if ending == "is slow" else 30.0
    async with serving(max_body_bytes=WHOLE, held=held, body_seconds=seconds) as server:
        reader, writer = await server.connect()
        writer.write(request("POST", "/echo", Transfer_Encoding="chunked"))
        writer.write(b"64000\r\n" + b"x" * 100 * KIB)
        async with asyncio.timeout(20):
            while held.total < 612 * KIB and seconds > 1:
                await asyncio.sleep(0.01)
        if ending == "hangs up":
            writer.transport.abort()
        elif ending == "is refused":
            await refuse_oldest(server)
        elif ending == "is too large":
            writer.write(b"x" * 300 * KIB)  # the rest of the part
        if ending != "hangs up":
            assert (await reply(reader)).status in (408, 413, 429)
        await until_gone(server, held)


async def refuse_oldest(server):
    """Refuse the oldest body, once it is no quick one any more."""
    async with asyncio.timeout(20):
        while not server.app.bodies.refuse_oldest():
            await asyncio.sleep(0.05)
