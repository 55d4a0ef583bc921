"""Misuse a server's transport, very often: `python -m tests.fuzz.transport --minutes 10`.

Each input is a connection with a program of frames, drawn from a seed that is printed if it breaks
something: frames that are none, calls whose parts come in any order, messages that are damaged,
alone and in streams, and requests of HTTP/1.1, or what looks like some. Now and then a call that
behaves must be answered as ever, no worker may have died, and the server must not have grown.
"""

import argparse
import asyncio
import contextlib
import random
import socket
import struct
import sys
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor

import grpc

from service.api.options import to_image
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import STRIPS, Figures, Service, free_address
from tests.fuzz.damage import damage
from tests.support.http2 import PREFACE, frame

SERVICE = "/digitstrip.v1.RecognizerService/"
PATHS = (
    *(SERVICE + name for name in ("Recognize", "RecognizeStream", "GetModel", "None", "")),
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "", "/", "//", "*", "/a/b/c",
)  # fmt: skip
HTTP1_PATHS = (
    *(SERVICE + name for name in ("Recognize", "GetModel", "None")),
    "/v1/read", "/v1/read", "/v1/read?alternatives=2&pattern=%5Cd%2B", "/v1/read?%",
    "/v1/read?page=x", "/", "/openapi.json", "/health", "/../etc/passwd", "//x", "*", "http://a/b",
    "", "/%00", "/\xe9",
)  # fmt: skip
HTTP1_TYPES = (
    "image/png", "application/json", "application/proto", "multipart/form-data; boundary=b",
    "multipart/form-data", "multipart/form-data; boundary=", "text/plain; charset=utf-7", ";", "",
)  # fmt: skip
HTTP1_BODIES = (
    ("image/png", (STRIPS / "one-digit.png").read_bytes()),
    ("application/json", b"{}"),
    ("application/json", b'{"image": {"encoded": "AAAA"}, "alternatives": 1e400}'),
    ("application/json", b'{"image": ' * 2000),
    (
        "application/proto",
        pb.RecognizeRequest(
            image=to_image((STRIPS / "one-digit.png").read_bytes())
        ).SerializeToString(),
    ),
    (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n--b--\r\n',
    ),
    (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Disposition: form-data; name=length\r\n\r\n3-\r\n--b\r\n\r\n--b--",
    ),
)
HTTP1_LENGTHS = (0, 1, -1, "+5", "1_0", "5, 5", 10**30, 2**31, "0x10", "")
HTTP1_FIELDS = (
    ("Origin", "null"), ("Origin", "http://localhost"), ("Connection", "close"),
    ("Connection", "keep-alive, Upgrade"), ("Upgrade", "h2c"), ("Expect", "100-continue"),
    ("Authorization", "Bearer " + "x" * 60), ("Authorization", "Basic \xff"),
    ("Connect-Timeout-Ms", "1"), ("Connect-Timeout-Ms", "-1"), ("Connect-Timeout-Ms", "9" * 40),
    ("Connect-Protocol-Version", "1"), ("Content-Encoding", "gzip"), ("Accept", "*/*;q=x"),
    ("Accept-Encoding", "gzip"), ("X-Request-Id", "\xe9" * 70), ("Traceparent", "00-" + "f" * 60),
    ("Range", "bytes=9-1"), ("If-None-Match", '"'), ("Cookie", "=;=;"), ("x" * 200, "y" * 9000),
    (" folded", "x"), ("a b", "c"), ("", "nameless"), ("Host", "twice"),
)  # fmt: skip
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
CONNECTIONS = 8  # at a time
BETWEEN = 250  # inputs from one call that behaves to the next
LONGEST = 5.0  # seconds for such a call
GROWTH = 96 * 2**20  # bytes of the server's own memory, after the first thousand inputs
STREAMS = (1, 3, 5, 7)
TIMEOUTS = ("1S", "10m", "1n", "0S", "99999999H", "-1S", "x", "")
CODINGS = ("gzip", "identity", "deflate", "snappy", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(
        f"{'kind':10}{'inputs':>10}{'seconds':>9}{'start MiB':>11}{'end':>6}  findings", flush=True
    )
    found = sum(
        run(kind, 60 * args.minutes / len(args.kinds), args.seed, tell=True) for kind in args.kinds
    )
    sys.exit(found > 0)


def run(kind, seconds, seed, tell=False):
    """Try inputs of a kind against a server of its own; return how many broke something."""
    metrics = free_address()
    server = Service(
        DIGITSTRIP_WORKERS="1",
        DIGITSTRIP_LOG_FORMAT="none",
        DIGITSTRIP_RECEIVE_SECONDS="1",
        DIGITSTRIP_METRICS_LISTEN=metrics,
        DIGITSTRIP_WEB_LISTEN="127.0.0.1:0",
    )
    watch = Watch(server, Figures(metrics))
    began, tried = time.monotonic(), 0
    try:
        while time.monotonic() < began + seconds and not watch.findings:
            try:
                address = server.web if kind == "http1" else server.address
                KINDS[kind](address, seed + tried, BETWEEN)
            except (AssertionError, ConnectionError) as error:
                watch.findings.append(str(error))
            tried += BETWEEN
            watch.look(tried)
    finally:
        status, said = server.stop()
    if status != 0:
        watch.findings.append(f"exit status {status}: {said[-2000:]}")
    if tell:
        found = (
            "; ".join(f"before seed {seed + tried}: {each}" for each in watch.findings) or "none"
        )
        took, start, end = time.monotonic() - began, watch.start >> 20, watch.end >> 20
        print(f"{kind:10}{tried:>10,}{took:>9.0f}{start:>11}{end:>6}  {found}", flush=True)
    return len(watch.findings)


class Watch:
    """Looks whether a server is still well."""

    def __init__(self, server, figures):
        self.server, self.figures = server, figures
        self.findings = []
        self.start = self.end = 0

    def look(self, tried):
        """Make a call that behaves, and compare processes and memory with before."""
        request = pb.RecognizeRequest(image=to_image((STRIPS / "postcode-ruled.png").read_bytes()))
        try:
            with grpc.insecure_channel(
                self.server.address, [("grpc.use_local_subchannel_pool", 1)]
            ) as channel:
                stub = RecognizerServiceStub(channel)
                text = stub.Recognize(request, timeout=LONGEST, wait_for_ready=True).text
        except grpc.RpcError as error:
            self.findings.append(f"a call that behaves got {error.code().name}: {error.details()}")
            return
        if text != "68767":
            self.findings.append(f"a call that behaves read {text}")
        if self.server.process.poll() is not None:
            self.findings.append("the server died")
            return
        figures = self.figures.all()
        # A worker that is busy a second longer than its caller waits is killed; that is no death.
        if deaths := figures[("digitstrip_worker_deaths_total",)]:
            self.findings.append(f"{deaths:.0f} workers died")
        self.end = int(figures[("process_resident_memory_bytes",)])
        if tried <= 4 * BETWEEN:
            self.start = self.end
        elif self.end > self.start + GROWTH:
            self.findings.append(f"memory grew to {self.end >> 20} MiB")


def at_once(one):
    """Make of one program what tries many, some connections at a time: most of each is waiting."""

    def many(address, seed, count):
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            deque(pool.map(lambda number: one(address, number), range(seed, seed + count)), 0)

    return many


def try_frames(address, seed):
    """Send frames that are none, or stand where they must not."""
    rng = random.Random(f"frames {seed}")
    frames = [any_frame(rng) for _ in range(rng.randint(1, 20))]
    sent = b"".join(frames)
    if rng.random() < 0.3:
        sent = damage("frames", sent, rng)
    start = PREFACE if rng.random() < 0.95 else rng.randbytes(rng.randrange(40))
    converse(address, start + frame(SETTINGS, 0, 0) + sent)


def try_calls(address, seed):
    """Send the parts of calls in any order."""
    rng = random.Random(f"calls {seed}")
    parts = [call_part(rng) for _ in range(rng.randint(2, 25))]
    converse(address, PREFACE + frame(SETTINGS, 0, 0) + b"".join(parts))


def try_messages(address, seed, count):
    """Send damaged messages as gRPC does, alone and in streams; none may get a status of Python."""
    asyncio.run(_messages(address, seed, count))


async def _messages(address, seed, count):
    image = (STRIPS / "one-digit.png").read_bytes()
    valid = pb.RecognizeRequest(
        image=to_image(image),
        alternatives=2,
        constraint=pb.Constraint(pattern=r"\d+", allowed=["0", "12"]),
    )
    alone = valid.SerializeToString()
    in_stream = pb.RecognizeStreamRequest(id="7", request=valid).SerializeToString()
    codes = Counter()

    async def one(channel, number):
        rng = random.Random(f"messages {number}")
        kind = rng.choice(("request", "plain"))
        try:
            if rng.random() < 0.5:
                await channel.unary_unary(SERVICE + rng.choice(("Recognize", "GetModel")))(
                    damaged(kind, alone, rng), timeout=30
                )
            else:
                sent = [damaged(kind, in_stream, rng) for _ in range(rng.randrange(5))]
                async for _ in channel.stream_stream(SERVICE + "RecognizeStream")(
                    iter(sent), timeout=30
                ):
                    pass
        except grpc.aio.AioRpcError as error:
            codes[error.code().name] += 1
            if error.code().name in ("UNKNOWN", "INTERNAL"):
                raise AssertionError(f"seed {number}: {error}") from error

    async with grpc.aio.insecure_channel(
        address, [("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        for first in range(seed, seed + count, 16):
            last = min(first + 16, seed + count)
            await asyncio.gather(*(one(channel, number) for number in range(first, last)))


def damaged(kind, message, rng):
    """A message that is damaged in one place or several, or not at all."""
    for _ in range(rng.choice((0, 1, 1, 3))):
        message = damage(kind, message, rng)
    return message[:200_000]


def try_http1(address, seed):
    """Send requests of HTTP/1.1, several on a connection, whole or not; none may get a 500."""
    rng = random.Random(f"http1 {seed}")
    sent = b"".join(http1_request(rng) for _ in range(rng.choice((1, 1, 2, 5))))
    if rng.random() < 0.4:
        sent = damage("http1", sent, rng)
    answered = converse(address.removeprefix("http://"), sent, seconds=0.005)
    assert b"HTTP/1.1 500" not in answered, f"seed {seed}: {answered!r}"


KINDS = {
    "http2": at_once(try_frames),
    "calls": at_once(try_calls),
    "messages": try_messages,
    "http1": at_once(try_http1),
}


def converse(address, sent, seconds=0.002):
    """Send some bytes on a connection of its own, return what comes soon, and hang up."""
    answered = b""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    with connection, contextlib.suppress(OSError):
        connection.sendall(sent)
        connection.settimeout(seconds)
        while taken := connection.recv(2**16):
            answered += taken
    return answered


def any_frame(rng):
    """A frame of any kind, on any stream, perhaps with a length that is not its own."""
    payload = rng.randbytes(rng.choice((0, 1, 4, 5, 6, 8, 9, 40, 300)))
    kind, flags = rng.choice((*range(10), 10, 99, 255)), rng.choice((0, 1, 4, 5, 8, 32, 255))
    stream = rng.choice((0, 1, 1, 2, 3, 2**31 - 1, 2**31))
    if kind == SETTINGS and rng.random() < 0.7:
        payload = struct.pack(
            ">HI", rng.randrange(8), rng.choice((0, 1, 2**14, 2**31 - 1, 2**32 - 1))
        )
    built = frame(kind, flags, stream, payload)
    if rng.random() < 0.1:
        length = rng.choice((0, 1, len(payload) + 1, 2**14, 2**14 + 1, 2**24 - 1))
        built = struct.pack(">I", length)[1:] + built[3:]
    return built


def http1_request(rng):
    """A request of HTTP/1.1, of which each part is now and then not what it must be."""

    def usually(right, others, share=0.9):
        return right if rng.random() < share else rng.choice(others)

    method = usually("POST", ("GET", "GET", "HEAD", "OPTIONS", "PUT", "CONNECT", "get", ""), 0.7)
    path = usually("/v1/read", HTTP1_PATHS, 0.5)
    version = usually("HTTP/1.1", ("HTTP/1.0", "HTTP/2.0", "HTTP/1.1 ", "x", ""))
    kind, body = usually(HTTP1_BODIES[0], HTTP1_BODIES, 0.3)
    body = body if rng.random() < 0.8 else rng.randbytes(rng.randrange(300))
    fields = [
        ("Host", usually("localhost", ("elsewhere", "", "[::1", "a:b:c"))),
        ("Content-Type", usually(kind, HTTP1_TYPES)),
    ]
    fields += rng.sample(HTTP1_FIELDS, rng.choice((0, 0, 0, 1, 2, 4)))
    if rng.random() < 0.2:
        fields.append(("Transfer-Encoding", usually("chunked", ("gzip", "Chunked, x"))))
        at = rng.randrange(len(body) + 1)
        parts = [part for part in (body[:at], body[at:]) if part]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif rng.random() < 0.95:
        fields.append(("Content-Length", usually(len(body), HTTP1_LENGTHS)))
    rng.shuffle(fields)
    end = usually("\r\n", ("\n", "\r"), 0.97)
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in fields)]
    return end.join([*lines, "", ""]).encode("latin-1") + body


def call_part(rng):  # noqa: PLR0911 - a kind of frame each
    """A frame that a call has, in some place of it."""
    stream = rng.choice(STREAMS)
    end = END_STREAM if rng.random() < 0.3 else 0
    match rng.choices(range(8), (8, 8, 1, 2, 1, 1, 1, 1))[0]:
        case 0:
            return frame(HEADERS, END_HEADERS | end, stream, headers(rng))
        case 1:
            return frame(DATA, end, stream, content(rng))
        case 2:
            return frame(RST_STREAM, 0, stream, struct.pack(">I", rng.randrange(14)))
        case 3:
            room = rng.choice((1, 65_535, 2**31 - 1))
            return frame(WINDOW_UPDATE, 0, rng.choice((0, stream)), struct.pack(">I", room))
        case 4:
            return frame(PING, rng.randrange(2), 0, rng.randbytes(8))
        case 5:
            return frame(PRIORITY, 0, stream, struct.pack(">IB", rng.choice(STREAMS), 9))
        case 6:
            return frame(GOAWAY, 0, 0, struct.pack(">II", stream, rng.randrange(14)))
        case _:
            block = headers(rng)
            cut = rng.randrange(len(block) + 1)
            first = frame(HEADERS, end, stream, block[:cut])
            return first + frame(CONTINUATION, END_HEADERS, stream, block[cut:])


def headers(rng):
    """A call's headers; now and then one is missing, twice there, or not what it must be."""
    fields = [
        (":method", rng.choice(("POST", "POST", "POST", "GET", "PUT", ""))),
        (":scheme", "http"),
        (":path", rng.choice(PATHS)),
        (":authority", "test"),
        ("te", "trailers"),
        ("content-type", rng.choice(("application/grpc",) * 5 + ("application/grpc+json", "text"))),
    ]
    extra = (
        ("grpc-timeout", rng.choice(TIMEOUTS)),
        ("grpc-encoding", rng.choice(CODINGS)),
        ("grpc-accept-encoding", rng.choice(CODINGS)),
        ("authorization", "Bearer " + "x" * rng.randrange(60)),
        ("x-request-id", "".join(chr(rng.randrange(256)) for _ in range(rng.randrange(70)))),
        ("traceparent", "00-" + "f" * rng.randrange(60)),
        ("x-bin", "%%%" * rng.randrange(20)),
        ("x-" + "y" * rng.randrange(100), "z" * rng.choice((0, 1, 100, 9000))),
        ("Upper", "case"),
        ("", "nameless"),
    )
    fields += rng.sample(extra, rng.choice((0, 0, 1, 2, 4)))
    if rng.random() < 0.1:
        rng.shuffle(fields)
    if rng.random() < 0.1:
        fields.pop(rng.randrange(len(fields)))
    block = b"".join(field(name, value) for name, value in fields)
    return damage("headers", block, rng) if rng.random() < 0.1 else block


def field(name, value):
    """A header field that is not indexed (RFC 7541, section 6.2.2)."""
    return b"\0" + text(name) + text(value)


def text(value):
    """A string literal of HPACK, not compressed (RFC 7541, section 5.2)."""
    encoded = value.encode("latin-1")
    size = len(encoded)
    if size < 127:
        return bytes([size]) + encoded
    rest, head = size - 127, bytearray([127])
    while rest > 127:
        head.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*head, rest]) + encoded


def content(rng):
    """A message's frame, whole or not, whose prefix may lie."""
    message = rng.randbytes(rng.choice((0, 1, 10, 100, 5000)))
    declared = len(message) if rng.random() < 0.6 else rng.choice((0, 1, 10**6, 2**31, 2**32 - 1))
    prefixed = struct.pack(">BI", rng.choice((0, 0, 0, 1, 9)), declared) + message
    return prefixed[rng.randrange(len(prefixed)) :] if rng.random() < 0.2 else prefixed


if __name__ == "__main__":
    main()
