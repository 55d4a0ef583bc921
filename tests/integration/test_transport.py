"""Misuse of the transport; `python -m tests.fuzz.transport` tries very much more."""

import contextlib

import grpc
import pytest

from service.api.options import to_image
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import STRIPS, until
from tests.fuzz.transport import (
    BETWEEN,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    KINDS,
    SETTINGS,
    Watch,
    converse,
    field,
)
from tests.support.http2 import PREFACE, frame
from tests.support.observed import Observed

REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / "postcode-ruled.png").read_bytes()))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Observed(
        tmp_path_factory.mktemp("transport") / "log",
        DIGITSTRIP_RECEIVE_SECONDS="1",
        DIGITSTRIP_WEB_LISTEN="127.0.0.1:0",
    )
    yield server
    assert server.stop()[0] == 0


def call(path, *more):
    """The frames of a call without a message."""
    usual = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"))
    fields = (*usual, ("te", "trailers"), ("content-type", "application/grpc"), *more)
    block = b"".join(field(name, value) for name, value in fields)
    return frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1)


@pytest.mark.parametrize("path", ["/\xff\xfe", "/digitstrip.v1.RecognizerService/\xf7", "\xe9"])
def test_a_method_whose_name_is_no_text_stops_nothing(server, path):
    converse(server.address, PREFACE + frame(SETTINGS, 0, 0) + call(path))
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        assert stub.Recognize(REQUEST, timeout=60).text == "68767"


def test_metadata_that_are_no_text_stop_nothing(server):
    path = "/digitstrip.v1.RecognizerService/Recognize"
    for name in ("x-request-id", "authorization", "traceparent", "x-\xff"):
        sent = call(path, (name, "\xff\xfe"))
        converse(server.address, PREFACE + frame(SETTINGS, 0, 0) + sent)
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        assert stub.Recognize(REQUEST, timeout=60).text == "68767"


@pytest.mark.parametrize(
    "method", ["/no.such.Service/Method", "/digitstrip.v1.RecognizerService/No"]
)
def test_a_method_that_is_not_there_is_unimplemented(server, method):
    with grpc.insecure_channel(server.address) as channel:
        ended = channel.unary_unary(method).future(b"")
        assert ended.code() is grpc.StatusCode.UNIMPLEMENTED
        streamed = channel.stream_stream(method)(iter([b"1", b"2"]))
        with contextlib.suppress(grpc.RpcError):
            list(streamed)
        assert streamed.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", KINDS)
def test_frames_calls_and_messages_of_every_kind_leave_the_server_as_it_was(server, kind):
    watch = Watch(server, server.figures)
    KINDS[kind](server.web if kind == "http1" else server.address, 1, BETWEEN // 2)
    watch.look(BETWEEN)
    assert watch.findings == []
    until(lambda: server.figures("held_bytes") == 0)
