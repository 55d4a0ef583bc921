import subprocess
import sys
from concurrent import futures
from itertools import pairwise

import grpc
import pytest

from service.api.options import to_image
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.serving.observability.tracing import STAGES
from tests.conftest import ROOT, STRIPS
from tests.support.observed import Observed

collector = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    reason="spans are collected where the extra otel is installed",
)
collector_grpc = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc"
)

NAME = "postcode-ruled.png"
METHOD = "digitstrip.v1.RecognizerService/Recognize"
REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / NAME).read_bytes()))
BAD = pb.RecognizeRequest(image=to_image(b"hello, world"))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{PARENT}-01")


class Collector(collector_grpc.TraceServiceServicer):
    """An OTLP collector that keeps what it is sent."""

    def __init__(self):
        self.resources = []
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        collector_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def Export(self, request, context):  # noqa: N802 - the schema's name
        self.resources += request.resource_spans
        return collector.ExportTraceServiceResponse()

    @property
    def spans(self):
        return [
            span for each in self.resources for scope in each.scope_spans for span in scope.spans
        ]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """What a collector got of a server that read with and without a parent, and refused once."""
    collecting = Collector()
    server = Observed(
        tmp_path_factory.mktemp("tracing") / "log",
        DIGITSTRIP_TRACING="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collecting.address}",
    )
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        stub.Recognize(REQUEST, metadata=(TRACEPARENT, ("x-request-id", "child")))
        stub.Recognize(REQUEST, metadata=(("x-request-id", "orphan"),))
        stub.Recognize.future(BAD, metadata=(("x-request-id", "refused"),)).code()
        stub.Recognize(REQUEST, metadata=(("traceparent", "nonsense"), ("x-request-id", "misled")))
    assert server.stop()[0] == 0  # sends what was not sent yet
    yield collecting
    collecting.server.stop(None)


def attributes(span):
    return {each.key: each.value.string_value for each in span.attributes}


def of_image(collected, id_):
    """The span of a call's image, and those of its stages in the order of their begin."""
    (whole,) = [span for span in collected.spans if attributes(span).get("digitstrip.id") == id_]
    stages = [span for span in collected.spans if span.parent_span_id == whole.span_id]
    return whole, sorted(stages, key=lambda span: span.start_time_unix_nano)


@pytest.mark.parametrize("id_", ["child", "orphan", "misled"])
def test_an_image_is_a_span_and_its_stages_follow_each_other_within(collected, id_):
    whole, stages = of_image(collected, id_)
    assert whole.name == METHOD
    assert attributes(whole)["digitstrip.code"] == "OK"
    assert [stage.name for stage in stages] == list(STAGES)
    assert stages[0].start_time_unix_nano >= whole.start_time_unix_nano
    assert stages[-1].end_time_unix_nano <= whole.end_time_unix_nano
    for before, after in pairwise(stages):
        assert before.end_time_unix_nano <= after.start_time_unix_nano
    assert {stage.trace_id for stage in stages} == {whole.trace_id}


def test_the_callers_span_is_the_parent(collected):
    whole, _ = of_image(collected, "child")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize("id_", ["orphan", "misled"])
def test_without_a_callers_span_there_is_no_parent(collected, id_):
    whole, _ = of_image(collected, id_)
    assert whole.parent_span_id == b""
    assert whole.trace_id.hex() != TRACE


def test_an_image_that_is_not_read_is_a_failed_span(collected):
    whole, stages = of_image(collected, "refused")
    assert attributes(whole)["digitstrip.code"] == "INVALID_ARGUMENT"
    assert whole.status.code == whole.status.STATUS_CODE_ERROR
    assert stages == []


def test_spans_say_what_service_they_are_of_and_nothing_of_what_was_read(collected, truths):
    (named,) = {
        each.value.string_value
        for resource in collected.resources
        for each in resource.resource.attributes
        if each.key == "service.name"
    }
    assert named == "digitstrip"
    assert truths[NAME] not in str(collected.resources)


def test_a_collector_that_is_not_there_costs_no_answer(start_service, truths):
    server = start_service(
        DIGITSTRIP_TRACING="true",
        DIGITSTRIP_WORKERS="1",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    with grpc.insecure_channel(server.address) as channel:
        assert RecognizerServiceStub(channel).Recognize(REQUEST).text == truths[NAME]
    assert server.stop()[0] == 0


def test_without_tracing_opentelemetry_is_not_imported():
    program = (
        "import sys, service.cli.main, service.server.app\n"
        "from service.serving.settings import load_settings\n"
        "from service.serving.observability.tracing import NoOpTracer\n"
        "assert not load_settings().tracing\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert printed.strip() == "[]"
