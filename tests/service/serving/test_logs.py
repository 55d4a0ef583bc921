import io
import logging
import re
import subprocess
import sys
import threading

import grpc
import pytest

from service.api.options import to_image
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.serving.observability.logs import LOGGER, LogFormat, logging_to_stderr
from tests.conftest import STRIPS, Figures, free_address, until
from tests.support.observed import Observed

NAME = "postcode-ruled.png"
REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / NAME).read_bytes()))
BAD = pb.RecognizeRequest(image=to_image(b"hello, world"))
MILLISECONDS = {
    f"{stage}_ms" for stage in ("queue", "decode", "normalize", "score", "search", "total")
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Observed(tmp_path_factory.mktemp("logs") / "log")
    yield server
    assert server.stop()[0] == 0


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.address) as channel:
        yield RecognizerServiceStub(channel)


def lines(server, id_, count=1):
    """The lines of the images of a call."""

    def own():
        return [line for line in server.logged("image") if line["id"] == id_]

    return until(lambda: len(own()) == count and own())


def test_an_image_is_one_line_with_its_id_code_pixels_time_and_model(server, stub):
    _, call = stub.Recognize.with_call(REQUEST, metadata=(("x-request-id", "mine-1"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-1"
    (line,) = lines(server, "mine-1")
    assert line.keys() >= MILLISECONDS
    assert all(line[each] >= 0 for each in MILLISECONDS)
    assert (line["code"], line["method"], line["image"]) == ("OK", "Recognize", 1)
    assert line["bytes"] == REQUEST.ByteSize()
    assert line["pixels"] > 0
    assert stub.GetModel(pb.GetModelRequest()).digest.startswith(line["model"])
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])


def test_an_image_that_is_not_read_is_a_line_with_its_reason(server, stub):
    call = stub.Recognize.future(BAD, metadata=(("x-request-id", "mine-2"),))
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-2"
    (line,) = lines(server, "mine-2")
    assert (line["code"], line["reason"]) == ("INVALID_ARGUMENT", "UNKNOWN_FORMAT")
    assert "pixels" not in line


def test_every_image_of_a_stream_is_a_line_under_the_calls_id(server, stub):
    asked = [
        pb.RecognizeStreamRequest(id=str(number), request=request)
        for number, request in enumerate((REQUEST, BAD, REQUEST))
    ]
    call = stub.RecognizeStream(iter(asked), metadata=(("x-request-id", "mine-3"),))
    assert len(list(call)) == 3
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-3"
    logged = lines(server, "mine-3", 3)
    assert sorted(line["image"] for line in logged) == [1, 2, 3]
    assert sorted(line["code"] for line in logged) == ["INVALID_ARGUMENT", "OK", "OK"]


@pytest.mark.parametrize("asked", [None, "", "with spaces", "x" * 65])
def test_a_call_without_a_usable_id_gets_one(server, stub, asked):
    metadata = () if asked is None else (("x-request-id", asked),)
    _, call = stub.Recognize.with_call(REQUEST, metadata=metadata)
    id_ = dict(call.trailing_metadata())["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", id_)
    assert lines(server, id_)


def test_neither_text_nor_image_is_logged(server, stub, truths):
    stub.Recognize(REQUEST, metadata=(("x-request-id", "mine-4"),))
    stub.Recognize.future(BAD).code()
    (line,) = lines(server, "mine-4")
    assert "text" not in line
    said = server.log.read_text()
    assert truths[NAME] not in [value for each in server.logged() for value in each.values()]
    assert "hello, world" not in said
    assert "68 65 6c 6c 6f" not in said  # its bytes


def test_texts_are_logged_where_asked_and_text_lines_are_logfmt(tmp_path, truths):
    server = Observed(tmp_path / "log", DIGITSTRIP_LOG_TEXTS="true", DIGITSTRIP_LOG_FORMAT="text")
    with grpc.insecure_channel(server.address) as channel:
        RecognizerServiceStub(channel).Recognize(REQUEST)
    server.stop()
    (line,) = [line for line in server.log.read_text().splitlines() if "event=image" in line]
    fields = dict(each.split("=", 1) for each in line.split())
    assert fields.keys() >= MILLISECONDS | {"timestamp", "level", "id", "code", "model"}
    assert fields["text"] == truths[NAME]


def test_a_disk_that_is_full_costs_lines_and_no_answers(start_service, truths):
    address = free_address()
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        server = start_service(
            stderr=full, DIGITSTRIP_WORKERS="1", DIGITSTRIP_METRICS_LISTEN=address
        )
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        for _ in range(5):
            assert stub.Recognize(REQUEST).text == truths[NAME]
    until(lambda: Figures(address)("log_lines_lost_total") >= 5)
    assert server.stop()[0] == 0


def test_nothing_is_logged_where_nothing_is_wanted(start_service):
    server = start_service(DIGITSTRIP_LOG_FORMAT="none", DIGITSTRIP_WORKERS="1")
    with grpc.insecure_channel(server.address) as channel:
        RecognizerServiceStub(channel).Recognize(REQUEST)
    _, said = server.stop()
    assert not [line for line in said.splitlines() if "event=image" in line]


@pytest.mark.parametrize("format_", LogFormat)
@pytest.mark.parametrize("name", ["asyncio", "service.of.a.test"])
def test_no_line_is_written_by_the_thread_that_serves(monkeypatch, format_, name):
    written = []

    class Stream(io.StringIO):
        def write(self, text):
            written.append((threading.current_thread().name, text))
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stream())
    with logging_to_stderr(format_):
        logging.getLogger(name).error("never retrieved")
    assert {thread for thread, _ in written} == {"log"}
    assert "never retrieved" in "".join(text for _, text in written)


def test_a_line_says_when_it_happened_not_when_it_was_written(capsys):
    record = logging.LogRecord("service", logging.INFO, "here.py", 1, "done", (), None)
    record.created = 1e9
    with logging_to_stderr(LogFormat.JSON):
        LOGGER.handle(record)
    assert '"timestamp": "2001-09-09T01:46:40.000000Z"' in capsys.readouterr().err


def test_logging_ends_with_what_it_was_asked_for(capsys):
    with logging_to_stderr(LogFormat.JSON) as lines:
        logging.getLogger("service.of.a.test").info("done", extra={"number": 1})
    assert not LOGGER.handlers
    assert lines.lost == 0
    assert '"number": 1' in capsys.readouterr().err


def test_a_worker_that_stops_reading_the_log_costs_lines_and_no_answers(start_service, truths):
    address = free_address()
    server = start_service(
        stderr=subprocess.PIPE,  # that nobody reads until the end
        DIGITSTRIP_WORKERS="1",
        DIGITSTRIP_METRICS_LISTEN=address,
        DIGITSTRIP_LOG_FORMAT="json",
    )
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        for _ in range(500):  # some 200 kB of lines; a pipe holds 64
            stub.Recognize.future(BAD).code()
        assert stub.Recognize(REQUEST).text == truths[NAME]
        server.process.terminate()
        assert server.process.wait(60) == 0  # though nobody reads even now
