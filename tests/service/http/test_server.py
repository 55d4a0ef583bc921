import asyncio
import signal

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.errors import SettingsError
from service.held_bytes import HeldBytes
from service.http import bodies
from service.http.app import HttpApp
from service.http.policy import Policy
from service.http.server import Bounds, HttpServer
from tests.conftest import LONGEST, in_a_loop
from tests.support.http1 import ask, ended, reply, request

SOON = Bounds(header_seconds=0.3, keep_alive_seconds=0.3)


async def trickle(writer):
    """Send headers that do not end, a byte at a time."""
    for byte in request()[:-2] + b"X: y\r\n" * 100:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.03)


@in_a_loop
async def test_signals_are_left_alone(serving):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    async with serving():
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@in_a_loop
async def test_a_port_that_is_taken_is_named(serving):
    async with serving() as server:
        with pytest.raises(SettingsError, match=f"127.0.0.1:{server.port} for HTTP"):
            await HttpServer(HttpApp([], Policy()), f"127.0.0.1:{server.port}").start()


@pytest.mark.parametrize("listen", ["8080", "localhost:", "localhost:http", ":80", "h:65536"])
@in_a_loop
async def test_what_is_no_address_is_refused(listen):
    with pytest.raises(SettingsError, match="expected host:port"):
        await HttpServer(HttpApp([], Policy()), listen).start()


@in_a_loop
async def test_a_connection_serves_several_requests(serving):
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(request() + request("POST", "/echo", b"abc") + request())
        assert [(await reply(reader)).status for _ in range(3)] == [200] * 3


@in_a_loop
async def test_a_silent_connection_is_ended(serving):
    async with serving(bounds=SOON) as server:
        fresh, _ = await server.connect()
        used, writer = await server.connect()
        writer.write(request())
        await reply(used)
        assert await ended(fresh)
        assert await ended(used)


@in_a_loop
async def test_slow_headers_are_ended_however_steadily_they_come(serving):
    async with serving(bounds=SOON) as server:
        for before in (b"", request()):
            reader, writer = await server.connect()
            writer.write(before)
            if before:
                await reply(reader)
            with pytest.raises(ConnectionError):
                await trickle(writer)


@in_a_loop
async def test_one_connection_too_many_ends_the_oldest_that_is_idle(serving):
    async with serving(bounds=Bounds(connections=3)) as server:
        opened = [await server.connect() for _ in range(3)]
        busy, writer = opened[0]
        writer.write(request("POST", "/echo", Content_Length=3))
        await asyncio.sleep(0.1)
        opened.append(await server.connect())
        assert await ended(opened[1][0])
        writer.write(b"abc")
        assert (await reply(busy)).status == 200
        for reader, other in opened[2:]:
            other.write(request())
            assert (await reply(reader)).status == 200
        assert server.connections == 3


@in_a_loop
async def test_a_new_connection_is_ended_where_none_is_idle_and_all_bodies_are_quick(
    serving, monkeypatch
):
    monkeypatch.setattr(bodies, "QUICK_SECONDS", LONGEST)
    async with serving(bounds=Bounds(connections=1)) as server:
        busy, writer = await server.connect()
        writer.write(request("POST", "/echo", Content_Length=3))
        await asyncio.sleep(0.1)
        assert await ended((await server.connect())[0])
        writer.write(b"abc")
        assert (await reply(busy)).status == 200


@in_a_loop
async def test_a_new_connection_is_ended_where_all_requests_are_being_answered():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(asked):
        await asked.body()
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    app = HttpApp([Route("/", wait, methods=["POST"])], Policy())
    server = HttpServer(app, "127.0.0.1:0", Bounds(connections=1))
    port = await server.start()
    asked = asyncio.create_task(ask(port, "POST", "/", b"abc"))
    await begun.wait()
    await asyncio.sleep(2 * bodies.QUICK_SECONDS)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await ended(reader)
    writer.close()
    go_on.set()
    assert (await asked).body == b"done"
    await server.stop()


@in_a_loop
async def test_bodies_that_do_not_end_give_way_to_who_asks_the_oldest_first(serving, monkeypatch):
    monkeypatch.setattr(bodies, "QUICK_SECONDS", 0.0)
    async with serving(bounds=Bounds(connections=3)) as server:
        unfinished = []
        for _ in range(3):
            reader, writer = await server.connect()
            writer.write(request("POST", "/echo", Content_Length=3) + b"a")
            await asyncio.sleep(0.1)
            unfinished.append((reader, writer))
        assert (await ask(server.port)).status == 200
        refused = await reply(unfinished[0][0])
        assert (refused.status, refused.error["reason"]) == (429, "OVERLOADED")
        assert "retry-after" in refused.headers
        assert await ended(unfinished[0][0])
        for reader, writer in unfinished[1:]:
            writer.write(b"bc")
            assert (await reply(reader)).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000,
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
@in_a_loop
async def test_rubbish_is_answered_with_400_and_the_next_is_served(serving, sent, capfd):
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(sent)
        assert (await reply(reader)).status == 400
        assert (await ask(server.port)).status == 200
    assert capfd.readouterr() == ("", "")


@in_a_loop
async def test_rubbish_in_a_body_that_is_answered_already_ends_the_connection(serving, caplog):
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(request("POST", "/unread", Transfer_Encoding="chunked"))
        assert (await reply(reader)).status == 200
        writer.write(b"no length of a part\r\n")
        assert await ended(reader)
    assert not caplog.records


@pytest.mark.parametrize("taken", [True, False])
@in_a_loop
async def test_an_answer_counts_as_held_until_it_is_taken_or_its_caller_is_gone(taken):
    async def vast(_):
        return PlainTextResponse(bytes(16 * 2**20))

    held = HeldBytes(2**27)
    server = HttpServer(HttpApp([Route("/", vast)], Policy(), held), "127.0.0.1:0")
    port = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
    writer.write(request())
    async with asyncio.timeout(20):
        while held.total < 2**20:
            await asyncio.sleep(0.01)
        if taken:
            assert len((await reply(reader)).body) == 16 * 2**20
        else:
            writer.transport.abort()
        while held.total:
            await asyncio.sleep(0.01)
    writer.close()
    await server.stop()


@in_a_loop
async def test_a_stopping_server_finishes_what_is_in_progress(serving):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_):
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    async with serving([Route("/", wait)]) as server:
        idle, _ = await server.connect()
        asked = asyncio.create_task(ask(server.port))
        await begun.wait()
        stopped = asyncio.create_task(server.stop(30))
        assert await ended(idle)
        with pytest.raises(ConnectionError):
            await server.connect()
        assert not stopped.done()
        go_on.set()
        assert (await asked).body == b"done"
        await stopped


@in_a_loop
async def test_a_stopping_server_ends_what_takes_longer_than_it_may(serving):
    begun = asyncio.Event()

    async def wait(_):
        begun.set()
        await asyncio.Event().wait()

    async with serving([Route("/", wait)]) as server:
        asked = asyncio.create_task(ask(server.port))
        await begun.wait()
        async with asyncio.timeout(5):
            await server.stop(0.1)
            answer = await asked
        assert answer is None or answer.status == 500
