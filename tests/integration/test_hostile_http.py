"""Whoever reaches the HTTP port may send anything: it is refused, and calls over gRPC go on."""

import asyncio
import gzip
import time
from contextlib import asynccontextmanager, suppress

import pytest

from service.client.client import Client
from service.http.server import Bounds
from tests.conftest import STRIPS, in_a_loop, until
from tests.service.web.conftest import start
from tests.support.http1 import ask, call, ended, reply, request

IMAGE = (STRIPS / "postcode-ruled.png").read_bytes()
RECOGNIZE = "/digitstrip.v1.RecognizerService/Recognize"
PATIENCE = 5.0  # seconds for a call that takes milliseconds, on a machine that is busy with others


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that gives bodies two seconds."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    server = start(log, DIGITSTRIP_RECEIVE_SECONDS="2", DIGITSTRIP_MAX_BYTES=str(4 * 2**20))
    server.port = int(server.web.rpartition(":")[2])
    yield server
    status, _ = server.stop()
    assert status == 0
    assert not [line for line in server.logged() if line["level"] == "error"]


@pytest.fixture(autouse=True)
def reads_on(server):
    """After each attack, an image is read over HTTP and over gRPC, by the same workers."""
    workers = server.workers
    yield
    assert call(server.web, "/v1/read", IMAGE).json["text"] == "68767"
    with Client(server.address) as client:
        assert client.recognize(IMAGE).text == "68767"
    assert server.workers == workers


@asynccontextmanager
async def connections(server, count):
    """Open many connections; gives their streams."""
    opened = []
    try:
        for _ in range(count):
            opened.append(await asyncio.open_connection("127.0.0.1", server.port))
        yield opened
    finally:
        for _, writer in opened:
            writer.close()


async def read_over_grpc(server):
    """Seconds that a call over gRPC takes meanwhile."""
    began = time.monotonic()
    with Client(server.address, timeout=PATIENCE) as client:
        text = (await asyncio.to_thread(client.recognize, IMAGE)).text
    assert text == "68767"
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Host": "evil.example"}, 421, "WRONG_HOST"),
        ({"Origin": "https://evil.example"}, 403, "WRONG_ORIGIN"),
        ({"Origin": "null"}, 403, "WRONG_ORIGIN"),
        ({"Content_Type": "text/html"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Content_Encoding": "gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Content_Length": 2**40}, 413, "TOO_MANY_BYTES"),
        ({"Content_Length": 2**40, "Expect": "100-continue"}, 413, "TOO_MANY_BYTES"),
    ],
)
@in_a_loop
async def test_what_the_headers_give_away_is_refused_without_the_body(
    server, headers, status, reason
):
    answer = await ask(server.port, "POST", "/v1/read", **{"Content_Length": 9} | headers)
    assert (answer.status, answer.error["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: five\r\n\r\n",
        b"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Y: z\r\n" * 5_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
@in_a_loop
async def test_what_is_no_http_is_refused(server, sent):
    async with connections(server, 1) as [(reader, writer)]:
        writer.write(sent)
        answer = await reply(reader)
        assert answer is None or 400 <= answer.status < 500


@in_a_loop
async def test_a_length_and_chunks_smuggle_no_second_request(server):
    inner = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    async with connections(server, 1) as [(reader, writer)]:
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner)
        first, second = await reply(reader), await reply(reader)
        # As chunks it ends before the second; as four bytes it would end within it.
        assert first.status == 400
        assert second is None or second.status in (200, 400)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/page/../../../../etc/passwd",
        "/page/%2e%2e/%2e%2e/web/read.py",
        "/page/..%5c..%5cread.py",
        "/page//etc/passwd",
        "/page/app.js/../../../read.py",
        "/page/__init__.py",
        "/page/",
        "/page/app.js%00",
        "/%ff%fe",
        "http://evil.example/etc/passwd",
    ],
)
@in_a_loop
async def test_no_path_leads_to_a_file_that_is_not_of_the_page(server, path):
    answer = await ask(server.port, path=path)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


@in_a_loop
async def test_an_upgrade_is_not_taken(server):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": 13}
    assert (await ask(server.port, path="/healthz", **headers)).status == 200


def test_a_bomb_that_is_not_declared_is_no_image(server):
    bomb = gzip.compress(bytes(50 * 2**20))
    answer = call(server.web, "/v1/read", bomb)
    assert (answer.status, answer.error["reason"]) == (400, "UNKNOWN_FORMAT")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 4_000_000,
        b'{"a":' * 500_000,
        b'{"constraint":{"allowed":[' + b'"1",' * 90_000 + b'"1"]}}',
        b'{"alternatives":' + b"9" * 4_000_000 + b"}",
        b'{"image":{"encoded":"' + b"A" * 4_000_000 + b'"}}',
        b'"' + b"\\u0000" * 600_000 + b'"',
    ],
    ids=["deep", "deeper", "many", "number", "base64", "escapes"],
)
@in_a_loop
async def test_json_that_is_a_burden_delays_nobody(server, body):
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            sending = ask(server.port, "POST", RECOGNIZE, body, Content_Type="application/json")
            group.create_task(sending)
        took = await read_over_grpc(server)
    assert took < PATIENCE


@in_a_loop
async def test_bodies_that_drip_are_ended_and_hold_up_nobody(server):
    async with connections(server, 60) as opened:
        for _, writer in opened:
            writer.write(request("POST", "/v1/read", Content_Length=1000))

        async def drip():
            with suppress(ConnectionError):
                while True:
                    for _, writer in opened:
                        writer.write(b"x")
                    await asyncio.sleep(0.2)

        dripping = asyncio.create_task(drip())
        assert await read_over_grpc(server) < PATIENCE
        answers = await asyncio.gather(*(reply(reader) for reader, _ in opened))
        assert {answer.status for answer in answers} == {408}
        assert all(await asyncio.gather(*(ended(reader) for reader, _ in opened)))
        dripping.cancel()


@in_a_loop
async def test_large_bodies_that_do_not_end_refuse_one_another_and_not_grpc(server):
    part = bytes(3 * 2**20)
    async with connections(server, 24) as opened:
        for _, writer in opened:
            writer.write(request("POST", "/v1/read", Content_Length=5_000_000) + part)
        first = await asyncio.gather(*(reply(reader) for reader, _ in opened[:4]))
        assert await read_over_grpc(server) < PATIENCE
        statuses = {answer.status for answer in first if answer is not None}
        assert statuses <= {408, 429}
    assert server.figures("held_bytes") < 128 * 2**20


@pytest.fixture
def patient(tmp_path):
    """A server that gives bodies longer than a test may take."""
    server = start(tmp_path / "log", DIGITSTRIP_RECEIVE_SECONDS="120")
    server.port = int(server.web.rpartition(":")[2])
    yield server
    assert server.stop()[0] == 0


@in_a_loop
async def test_bodies_that_do_not_end_keep_nobody_out(patient):
    unfinished = request("POST", "/v1/read", Content_Length=1000) + b"x"
    async with connections(patient, Bounds.connections + 44) as opened:
        for _, writer in opened:
            with suppress(ConnectionError):
                writer.write(unfinished)
        for _ in range(20):
            opened.append(await asyncio.open_connection("127.0.0.1", patient.port))
            opened[-1][1].write(unfinished)
            answer = None
            while answer is None:  # ended, while no body has been arriving for long
                await asyncio.sleep(0.05)
                with suppress(ConnectionError):
                    answer = await ask(patient.port, "POST", "/v1/read", IMAGE)
            assert answer.status == 200
    assert patient.figures("refused_total", reason="OVERLOADED") >= 1
    until(lambda: [each for each in patient.logged("calls refused") if each["calls"]])


@in_a_loop
async def test_idle_connections_give_way_to_those_that_ask(server):
    async with connections(server, 2 * Bounds.connections) as opened:
        assert (await ask(server.port, path="/healthz")).status == 200
        assert await read_over_grpc(server) < PATIENCE
        assert all(await asyncio.gather(*(ended(reader) for reader, _ in opened[:100])))


def test_names_that_are_scripts_stay_names(server):
    name = "<script>alert(1)</script>"
    call(server.web, "/v1/read", IMAGE, X_Request_Id=name)
    until(lambda: [line for line in server.logged("image") if line["id"] == name])
    for path in (f"/{name}", f"/v1/read?{name}=1"):
        answer = call(server.web, path, IMAGE)
        assert name in answer.error["message"]
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
