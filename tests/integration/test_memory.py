"""What bounds the memory of the process that speaks gRPC, before and after authentication."""

import os
import re
import select
import socket
import struct
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import grpc
import pytest

from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.server.app import UNREAD_BYTES
from service.server.servicer import SERVICE
from tests.conftest import STRIPS, until
from tests.service.web.conftest import start
from tests.support.http1 import request
from tests.support.http2 import Connection
from tests.support.observed import Observed
from tests.trouble.peaks import large_image

MIB = 2**20
RECOGNIZE = "/digitstrip.v1.RecognizerService/Recognize"
CALLS = 12
OPTIONS = [("grpc.max_send_message_length", -1)]


def peak(server):
    """The greatest resident memory of the server's own process so far, bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.fixture(scope="module")
def heic():
    """A request with a large image of a format that is refused, as a phone takes it."""
    image = b"\0\0\0\x18ftypheic" + os.urandom(30 * MIB)
    return pb.RecognizeRequest(image=pb.Image(encoded=image))


@pytest.fixture
def server(start_service):
    return start_service(DIGITSTRIP_WORKERS="1")


@pytest.fixture
def guarded(start_service, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-that-nobody-shows\n")
    return start_service(DIGITSTRIP_WORKERS="1", DIGITSTRIP_TOKENS_FILE=str(tokens))


def refusals(server, method):
    """What a server counts and logs of the calls of a method that it refused, by reason."""
    counted = {
        dict(labels)["code"]: count
        for (name, *labels), count in server.figures.all().items()
        if name == "digitstrip_requests_total" and dict(labels)["method"] == method
    }
    logged = [line for line in server.logged("calls refused") if line["method"] == method]
    summed = {}
    for line in logged:
        calls = summed.get(line["reason"], ("", 0))[1] + line["calls"]
        summed[line["reason"]] = line["code"], calls
    return counted, summed


def test_every_call_that_is_not_received_is_counted_and_logged(tmp_path):
    server = Observed(tmp_path / "log", DIGITSTRIP_RECEIVE_SECONDS="1")
    nonsense = b"\xff" * 100
    try:
        with grpc.insecure_channel(server.address, OPTIONS) as channel:
            for path in (f"/{SERVICE}/GetModel", "/grpc.health.v1.Health/Check"):
                malformed = channel.unary_unary(path).future(nonsense)
                assert malformed.code() is grpc.StatusCode.INVALID_ARGUMENT
            recognize = channel.unary_unary(RECOGNIZE)
            too_large = recognize.future(bytes(65 * MIB))
            assert too_large.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            compressed = recognize.future(bytes(MIB), compression=grpc.Compression.Gzip)
            assert compressed.code() is grpc.StatusCode.UNIMPLEMENTED
        with closing(Connection(server.address)) as connection:
            connection.listen(1)
            connection.open(RECOGNIZE)
            connection.send(bytes(1000), declared=MIB, seconds=1)
            assert connection.until_ended(20)
        malformed = {"INVALID_ARGUMENT": 1}, {"MALFORMED_MESSAGE": ("INVALID_ARGUMENT", 1)}
        until(lambda: refusals(server, "GetModel") == malformed)
        until(lambda: refusals(server, "Check") == malformed)
        slow = ("DEADLINE_EXCEEDED", 1)
        until(lambda: refusals(server, "Recognize")[1].get("TIMED_OUT") == slow)
        assert server.figures("refused_total", reason="TIMED_OUT") == 1
        # Of a call that gRPC ends itself, the server's code may hear nothing, or an empty message.
        kinds = ("MALFORMED_MESSAGE", "NOT_RECEIVED")
        assert 2 <= sum(server.figures("refused_total", reason=kind) for kind in kinds) <= 4
    finally:
        assert server.stop()[0] == 0


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    server = Observed(tmp_path_factory.mktemp("observed") / "log")
    yield server
    server.stop()


@pytest.mark.parametrize("method", ["Recognize", "RecognizeStream"])
@pytest.mark.parametrize(
    ("message", "options", "code"),
    [
        (bytes(65 * MIB), {}, "RESOURCE_EXHAUSTED"),
        (bytes(MIB), {"compression": grpc.Compression.Gzip}, "UNIMPLEMENTED"),
    ],
)
def test_one_metric_counts_messages_that_grpc_refuses(observed, method, message, options, code):
    def refused():
        return observed.figures("refused_total", reason="NOT_RECEIVED")

    def counted():  # under load, gRPC may end a call before it says that there is one
        call = channel.stream_stream(f"/{SERVICE}/{method}")(iter([message]), **options)
        assert call.code().name == code
        sent = time.monotonic()
        until(lambda: refused() > before or time.monotonic() > sent + 2)
        return refused() > before

    before = refused()
    with grpc.insecure_channel(observed.address, OPTIONS) as channel:
        until(counted)


def test_a_refused_call_keeps_nothing_of_its_message(server, heic):
    before = peak(server)
    with grpc.insecure_channel(server.address, OPTIONS) as channel:
        stub = RecognizerServiceStub(channel)
        for _ in range(CALLS):
            with pytest.raises(grpc.RpcError) as raised:
                stub.Recognize(heic)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert peak(server) - before < CALLS * 30 * MIB  # kept, each would be twice that


def test_a_refused_image_of_a_stream_keeps_nothing_of_its_message(server, heic):
    before = peak(server)
    request = pb.RecognizeStreamRequest(id="1", request=heic)
    with grpc.insecure_channel(server.address, OPTIONS) as channel:
        answers = list(RecognizerServiceStub(channel).RecognizeStream(iter([request] * CALLS)))
    assert {answer.error.code for answer in answers} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
    assert len(answers) == CALLS
    # Two are in hand at once, each as a message and as the copy for its worker.
    assert peak(server) - before < CALLS * 30 * MIB


def test_a_malformed_message_of_a_stream_has_its_answer_and_ends_nothing(server, truths):
    image = pb.Image(encoded=(STRIPS / "one-digit.png").read_bytes())
    whole = [
        pb.RecognizeStreamRequest(id=id_, request=pb.RecognizeRequest(image=image))
        for id_ in ("first", "last")
    ]
    sent = [whole[0].SerializeToString(), b"\xff" * 100, whole[1].SerializeToString()]
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(
            STREAM, response_deserializer=pb.RecognizeStreamResponse.FromString
        )(iter(sent))
        answers = {answer.id: answer for answer in call}
        assert call.code() is grpc.StatusCode.OK
    assert {answers[id_].response.text for id_ in ("first", "last")} == {truths["one-digit.png"]}
    assert answers[""].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "python" not in str(answers[""].error).lower()


def test_a_call_without_a_token_is_answered_without_receiving_its_message(guarded, heic):
    before = peak(guarded)
    with grpc.insecure_channel(guarded.address, OPTIONS) as channel:
        stub = RecognizerServiceStub(channel)
        for _ in range(CALLS):
            with pytest.raises(grpc.RpcError) as raised:
                stub.Recognize(heic)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert peak(guarded) - before < 30 * MIB


def test_of_a_message_that_is_not_read_one_small_window_is_taken(server):
    with closing(Connection(server.address)) as connection:
        connection.listen(1)  # the server's settings come first
        assert connection.of_stream == UNREAD_BYTES
        connection.open("/no.such.Service/Method")
        assert connection.send(bytes(MIB), declared=MIB, seconds=1) <= UNREAD_BYTES


def test_a_message_that_stays_unfinished_is_given_up(start_service):
    server = start_service(DIGITSTRIP_WORKERS="1", DIGITSTRIP_RECEIVE_SECONDS="1")
    with closing(Connection(server.address)) as connection:
        connection.listen(1)
        connection.open(RECOGNIZE)
        assert connection.send(bytes(MIB), declared=2 * MIB, seconds=1)
        assert connection.until_ended(20)
        assert b"the message was not complete after 1 s" in connection.trailers


STREAM = f"/{SERVICE}/RecognizeStream"


def test_of_too_many_streams_that_stop_in_a_message_the_oldest_are_refused(start_service):
    server = start_service(DIGITSTRIP_WORKERS="1", DIGITSTRIP_MAX_SLOW_MESSAGES="2")
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(Connection(server.address))) for _ in range(5)]
        for connection in opened:
            connection.listen(1)
            connection.open(STREAM)
            time.sleep(0.2)  # so that it is clear which is older
        time.sleep(1)  # they wait, with nothing in hand
        for connection in opened:
            connection.send(bytes(MIB), declared=2 * MIB, seconds=0.1)
        assert all(connection.until_ended(20) for connection in opened[:3])
        assert all(b"may take longer than" in each.trailers for each in opened[:3])
        assert not any(connection.until_ended(0.5) for connection in opened[3:])


def test_of_messages_that_are_too_large_together_the_oldest_is_refused_while_it_arrives(
    start_service,
):
    server = start_service(
        DIGITSTRIP_WORKERS="1",
        DIGITSTRIP_MAX_HELD_BYTES=str(7 * MIB),
        DIGITSTRIP_RECEIVE_SECONDS="300",
    )
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(Connection(server.address))) for _ in range(3)]
        for connection in opened:
            connection.listen(1)
            connection.open(RECOGNIZE)
            assert connection.send(bytes(2 * MIB), declared=3 * MIB, seconds=20) > MIB
        assert opened[0].until_ended(20)
        assert b"bytes of requests and responses are held" in opened[0].trailers
        assert not any(connection.until_ended(0.5) for connection in opened[1:])


def test_few_streams_at_once_receive_a_first_message(start_service):
    server = start_service(DIGITSTRIP_WORKERS="1")

    def held_back():  # not where a busy machine is late to send
        with ExitStack() as stack:
            opened = [stack.enter_context(closing(Connection(server.address))) for _ in range(3)]
            for connection in opened:
                connection.listen(1)
                connection.open(STREAM)
                taken = connection.send(bytes(MIB), declared=2 * MIB, seconds=1)
            return taken <= UNREAD_BYTES

    until(held_back)


def test_what_a_stream_is_about_to_receive_counts_toward_the_bound(tmp_path):
    message = pb.RecognizeStreamRequest(
        id="1", request=pb.RecognizeRequest(image=pb.Image(encoded=large_image(bytes(3 * MIB))))
    ).SerializeToString()
    begun = message + struct.pack(">BI", 0, len(message)) + message[: 2 * MIB]
    server = Observed(tmp_path / "log", DIGITSTRIP_MAX_HELD_BYTES=str(3 * MIB))

    def held_back():  # not where a busy machine is late to send what was begun
        with ExitStack() as stack:
            first, second = (
                stack.enter_context(closing(Connection(server.address))) for _ in range(2)
            )
            for connection in (first, second):
                connection.listen(1)
            first.open(STREAM)
            assert first.send(begun, declared=len(message), seconds=30) == len(begun) + 5
            second.open(STREAM)
            return second.send(bytes(MIB), declared=MIB, seconds=1) <= UNREAD_BYTES

    try:
        until(held_back, 90)
        until(lambda: server.figures("held_bytes") == 0)
    finally:
        assert server.stop()[0] == 0


def test_streams_that_wait_with_nothing_received_are_not_slow_messages(start_service, truths):
    server = start_service(DIGITSTRIP_WORKERS="1", DIGITSTRIP_MAX_SLOW_MESSAGES="1")
    image = (STRIPS / "one-digit.png").read_bytes()
    later = threading.Event()

    def requests(number):
        request = pb.RecognizeRequest(image=pb.Image(encoded=image))
        yield pb.RecognizeStreamRequest(id=f"{number} first", request=request)
        later.wait(30)
        yield pb.RecognizeStreamRequest(id=f"{number} second", request=request)

    options = [("grpc.use_local_subchannel_pool", 1)]  # or all would share a connection
    with ExitStack() as stack:
        streams = []
        for number in range(6):
            channel = stack.enter_context(grpc.insecure_channel(server.address, options))
            stub = RecognizerServiceStub(channel)
            streams += [stub.RecognizeStream(requests(f"{number} {each}")) for each in range(2)]
        assert all(next(stream).id.endswith("first") for stream in streams)
        time.sleep(2)
        later.set()
        texts = [answer.response.text for stream in streams for answer in stream]
        assert texts == 12 * [truths["one-digit.png"]]


def test_a_compressed_message_is_refused_by_its_headers(server):
    with closing(Connection(server.address)) as connection:
        connection.listen(1)
        connection.open(RECOGNIZE, ("grpc-encoding", "gzip"))
        assert connection.until_ended(20)
        assert b"'gzip' is disabled" in connection.trailers


@pytest.fixture
def both(tmp_path):
    """A server of gRPC and HTTP that holds 7 MiB, of them 5.25 MiB of large messages."""
    server = start(
        tmp_path / "log",
        DIGITSTRIP_MAX_HELD_BYTES=str(7 * MIB),
        DIGITSTRIP_RECEIVE_SECONDS="300",
    )
    yield server
    assert server.stop()[0] == 0


@contextmanager
def half_sent(server, **headers):
    """A request over HTTP, of which 2 MiB are sent or what is taken in; gives its socket."""
    host, port = server.web.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request("POST", "/v1/read", Content_Type="image/png", **headers))
        if "Transfer_Encoding" in headers:
            connection.sendall(b"%x\r\n" % (3 * MIB))
        for _ in range(32):
            if select.select([connection], [], [], 0.01)[0]:  # it is refused
                break
            connection.sendall(bytes(MIB // 16))
        yield connection


def half_called(stack, server):
    """A call over gRPC of whose 3 MiB 2 MiB are sent."""
    connection = stack.enter_context(closing(Connection(server.address)))
    connection.listen(1)
    connection.open(RECOGNIZE)
    assert connection.send(bytes(2 * MIB), declared=3 * MIB, seconds=20) > MIB
    return connection


def test_bodies_that_arrive_over_http_count_toward_the_bound_of_calls_over_grpc(both):
    with ExitStack() as stack:
        # Without what came over HTTP, two calls have room.
        stack.enter_context(half_sent(both, Content_Length=3 * MIB))
        until(lambda: both.figures("held_bytes") >= 2 * MIB)
        first, second = (half_called(stack, both) for _ in range(2))
        assert first.until_ended(20)
        assert b"bytes of requests and responses are held" in first.trailers
        assert not second.until_ended(0.5)
    until(lambda: both.figures("held_bytes") == 0)


@pytest.mark.parametrize(
    "headers", [{"Content_Length": 3 * MIB}, {"Transfer_Encoding": "chunked"}], ids=str
)
def test_messages_that_arrive_over_grpc_count_toward_the_bound_of_bodies_over_http(both, headers):
    with ExitStack() as stack:
        calls = [half_called(stack, both) for _ in range(2)]
        until(lambda: both.figures("held_bytes") >= 3 * MIB)
        connection = stack.enter_context(half_sent(both, **headers))
        assert connection.recv(100).startswith(b"HTTP/1.1 429 ")
        assert not any(call.until_ended(0.5) for call in calls)
    until(lambda: both.figures("held_bytes") == 0)
