import os
import signal
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from service.api.options import to_image
from service.client.client import Client
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import STRIPS, until
from tests.support.observed import Observed

NAME = "postcode-ruled.png"
REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / NAME).read_bytes()))


class Loaded(Observed):
    """A server of one worker, and a channel to it."""

    def __init__(self, log, **environment):
        super().__init__(log, **environment)
        self.channel = grpc.insecure_channel(self.address)
        self.stub = RecognizerServiceStub(self.channel)

    def stop(self):
        self.channel.close()
        self.signal_workers(signal.SIGCONT)
        return super().stop()

    def hold(self):
        """Keep the worker at work on an image until `go_on`; returns its call."""
        self.signal_workers(signal.SIGSTOP)
        held = self.stub.Recognize.future(REQUEST)
        until(lambda: self.figures("queue_pixels", group="regular"))
        return held

    def go_on(self):
        self.signal_workers(signal.SIGCONT)


def started(**environment):
    """A fixture: one such server for the tests that only load it."""

    def start(tmp_path_factory):
        server = Loaded(tmp_path_factory.mktemp("loaded") / "log", **environment)
        yield server
        assert server.stop()[0] == 0

    return start


one_at_a_time = pytest.fixture(scope="module")(started(DIGITSTRIP_QUEUE_PIXELS="1"))
some_at_a_time = pytest.fixture(scope="module")(started(DIGITSTRIP_QUEUE_PIXELS="300000"))


@pytest.fixture
def start(tmp_path):
    """Start a server of the test's own."""
    servers = []

    def start(**environment):
        servers.append(Loaded(tmp_path / "log", **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def details(error):
    """The reason, and the seconds after which to retry."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(info)
        detail.Unpack(retry)
    assert info.domain == "digitstrip"
    return info.reason, retry.retry_delay.ToNanoseconds() / 1e9


def test_a_full_server_refuses_at_once_says_when_to_ask_again_and_stays_healthy(
    one_at_a_time, truths
):
    server = one_at_a_time
    before = server.figures("refused_total", reason="OVERLOADED")
    accepted = server.hold()
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as raised:
            server.stub.Recognize(REQUEST, timeout=60)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        reason, after = details(raised.value)
        assert reason == "OVERLOADED"
        assert 0 < after <= 10
    health = health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert not accepted.done()
    server.go_on()
    assert accepted.result().text == truths[NAME]
    assert server.stub.Recognize(REQUEST).text == truths[NAME]
    assert server.figures("refused_total", reason="OVERLOADED") == before + 20
    until(lambda: sum(line["calls"] for line in server.logged("calls refused")) == 20)


def test_streams_are_held_back_and_nothing_of_them_is_refused(one_at_a_time, readings):
    server = one_at_a_time
    before = server.figures("refused_total", reason="OVERLOADED")
    accepted = server.hold()
    with Client(server.address) as client:
        answers = client.recognize_many([(name, (STRIPS / name).read_bytes()) for name in readings])
        server.go_on()
        assert {name: answer.text for name, answer in answers} == readings
    assert accepted.result().text == readings[NAME]
    assert server.figures("refused_total", reason="OVERLOADED") == before


def test_of_a_burst_everything_is_read_right_or_refused(some_at_a_time, truths):
    server = some_at_a_time
    before = server.figures("requests_total", method="Recognize", code="OK")
    held = server.hold()
    calls = [server.stub.Recognize.future(REQUEST) for _ in range(100)]
    until(lambda: any(call.done() for call in calls))
    server.go_on()
    assert held.result().text == truths[NAME]
    codes = [call.code() for call in calls]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    read = [call.result() for call in calls if call.code() is grpc.StatusCode.OK]
    assert {response.text for response in read} == {truths[NAME]}
    now = server.figures("requests_total", method="Recognize", code="OK")
    assert now - before == len(read) + 1
    assert server.figures("queue_pixels", group="regular") == 0


def test_calls_that_were_cancelled_or_expired_leave_the_queue(start):
    server = start()
    in_hand = server.hold()
    cancelled = server.stub.Recognize.future(REQUEST)
    expired = server.stub.Recognize.future(REQUEST, timeout=1)
    until(lambda: server.figures("queue_images", group="regular") == 2 or expired.done())
    cancelled.cancel()
    assert expired.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: server.figures("queue_images", group="regular") == 0)
    for code in ("CANCELLED", "DEADLINE_EXCEEDED"):
        until(lambda code=code: server.figures("requests_total", method="Recognize", code=code))
        assert server.figures("images_total", code=code, reason="") == 1
    server.go_on()
    assert in_hand.result().text


def test_a_deadline_that_cannot_be_met_is_refused_before_any_work(start):
    server = start()
    teaches = server.hold()
    time.sleep(1.5)  # what an image takes here
    server.go_on()
    teaches.result()
    others = [server.hold(), *(server.stub.Recognize.future(REQUEST) for _ in range(4))]
    until(lambda: server.figures("queue_images", group="regular") == 4)
    with pytest.raises(grpc.RpcError) as raised:
        server.stub.Recognize(REQUEST, timeout=4)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert details(raised.value) == ("DEADLINE_TOO_SHORT", 0)
    assert server.figures("refused_total", reason="DEADLINE_TOO_SHORT") == 1
    server.go_on()
    assert all(each.result() for each in others)


def test_a_large_page_does_not_delay_small_ones(some_at_a_time, truths):
    server = some_at_a_time
    (regular_worker,) = server.workers
    large = pb.RecognizeRequest(image=to_image(np.full((40, 50_000), 255, np.uint8)))
    call = server.stub.Recognize.future(large)
    until(lambda: server.figures("workers", group="large"))
    for pid in set(server.workers) - {regular_worker}:
        os.kill(pid, signal.SIGSTOP)
    assert server.stub.Recognize(REQUEST).text == truths[NAME]
    server.go_on()
    assert call.code() is grpc.StatusCode.OK


def test_work_past_the_grace_period_is_ended_and_the_server_ends_well(start):
    server = start(DIGITSTRIP_GRACE_SECONDS="0.5")
    endless = server.hold()
    (worker,) = server.workers
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert endless.code() is grpc.StatusCode.UNAVAILABLE
    assert not Path(f"/proc/{worker}").exists()


def test_a_draining_server_keeps_serving_while_balancers_take_note(start, truths):
    server = start(DIGITSTRIP_DRAIN_DELAY_SECONDS="2")
    watching = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
    server.process.send_signal(signal.SIGTERM)
    assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert server.stub.Recognize(REQUEST).text == truths[NAME]
    assert server.process.wait(30) == 0
