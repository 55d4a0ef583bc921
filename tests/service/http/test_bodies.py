import asyncio

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
    async with serving(max_body_bytes=1000, arriving_bytes=2000) as server:
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
    async with serving(max_body_bytes=1000, arriving_bytes=1000, body_seconds=0.3) as server:
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
        assert server.app.bodies.held == 0
