import os
import signal
import time

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from service.client import Client
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.requests import to_image
from tests.conftest import STRIPS, Figures, free_address, until

NAME = "postcode-ruled.png"
REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / NAME).read_bytes()), omit_scores=True)
SMALLEST_QUEUE = {"DIGITSTRIP_WORKERS": "1", "DIGITSTRIP_QUEUE_PIXELS": "1"}  # one at a time


@pytest.fixture
def start(start_service):
    """Start a server of one reader; returns it, its figures and its channel."""
    channels = []

    def start(**environment):
        address = free_address()
        server = start_service(
            DIGITSTRIP_METRICS_LISTEN=address, **{"DIGITSTRIP_WORKERS": "1"} | environment
        )
        channels.append(grpc.insecure_channel(server.address))
        return server, Figures(address), channels[-1]

    yield start
    for channel in channels:
        channel.close()


def details(error):
    """The reason, and the seconds after which to ask again."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(info)
        detail.Unpack(retry)
    assert info.domain == "digitstrip"
    return info.reason, retry.retry_delay.ToNanoseconds() / 1e9


def test_a_full_server_refuses_at_once_says_when_to_ask_again_and_stays_healthy(start, truths):
    server, figures, channel = start(**SMALLEST_QUEUE)
    stub = RecognizerServiceStub(channel)
    server.signal_readers(signal.SIGSTOP)
    accepted = stub.Recognize.future(REQUEST)
    until(lambda: figures("queue_pixels", lane="small"))
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as raised:
            stub.Recognize(REQUEST, timeout=60)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        reason, after = details(raised.value)
        assert reason == "OVERLOADED"
        assert 0 < after <= 10
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert not accepted.done()
    server.signal_readers(signal.SIGCONT)
    assert accepted.result().text == truths[NAME]
    assert stub.Recognize(REQUEST).text == truths[NAME]
    assert figures("refused_total", reason="OVERLOADED") == 20


def test_of_a_burst_everything_is_read_right_or_refused(start, truths):
    _, figures, channel = start(DIGITSTRIP_QUEUE_PIXELS="300000")
    stub = RecognizerServiceStub(channel)
    calls = [stub.Recognize.future(REQUEST) for _ in range(100)]
    codes = [call.code() for call in calls]
    read = [call.result() for call in calls if call.code() is grpc.StatusCode.OK]
    assert {response.text for response in read} == {truths[NAME]}
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert figures("requests_total", method="Recognize", code="OK") == len(read)
    assert figures("queue_pixels", lane="small") == 0


def test_streams_are_held_back_and_nothing_of_them_is_refused(start, truths):
    server, figures, channel = start(**SMALLEST_QUEUE)
    server.signal_readers(signal.SIGSTOP)
    accepted = RecognizerServiceStub(channel).Recognize.future(REQUEST)
    until(lambda: figures("queue_pixels", lane="small"))
    with Client(server.address) as client:
        images = [(name, (STRIPS / name).read_bytes()) for name in truths]
        answers = client.recognize_many(images)
        server.signal_readers(signal.SIGCONT)
        assert {name: answer.text for name, answer in answers} == truths
    assert accepted.result().text == truths[NAME]
    assert figures("refused_total", reason="OVERLOADED") == 0


def test_a_deadline_that_cannot_be_met_is_refused_before_any_work(start):
    server, figures, channel = start()
    stub = RecognizerServiceStub(channel)
    server.signal_readers(signal.SIGSTOP)
    teaches = stub.Recognize.future(REQUEST)
    time.sleep(1.5)  # what an image takes here
    server.signal_readers(signal.SIGCONT)
    teaches.result()
    server.signal_readers(signal.SIGSTOP)
    others = [stub.Recognize.future(REQUEST) for _ in range(3)]
    until(lambda: figures("queue_images", lane="small") == 2)
    with pytest.raises(grpc.RpcError) as raised:
        stub.Recognize(REQUEST, timeout=2)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert details(raised.value) == ("DEADLINE_TOO_SHORT", 0)
    assert figures("refused_total", reason="DEADLINE_TOO_SHORT") == 1
    server.signal_readers(signal.SIGCONT)
    assert all(each.result() for each in others)


def test_calls_that_were_cancelled_or_expired_leave_the_queue(start):
    server, figures, channel = start()
    stub = RecognizerServiceStub(channel)
    server.signal_readers(signal.SIGSTOP)
    in_hand = stub.Recognize.future(REQUEST)
    until(lambda: figures("queue_pixels", lane="small"))
    cancelled = stub.Recognize.future(REQUEST)
    expired = stub.Recognize.future(REQUEST, timeout=1)
    until(lambda: figures("queue_images", lane="small") == 2)
    cancelled.cancel()
    assert expired.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: figures("queue_images", lane="small") == 0)
    until(lambda: figures("requests_total", method="Recognize", code="CANCELLED") == 1)
    until(lambda: figures("requests_total", method="Recognize", code="DEADLINE_EXCEEDED") == 1)
    assert figures("images_total", code="CANCELLED", reason="") == 1
    assert figures("images_total", code="DEADLINE_EXCEEDED", reason="") == 1
    server.signal_readers(signal.SIGCONT)
    assert in_hand.result().text


def test_work_past_the_grace_period_is_ended_and_the_server_ends_well(start):
    server, figures, channel = start(DIGITSTRIP_GRACE_SECONDS="0.5")
    stub = RecognizerServiceStub(channel)
    server.signal_readers(signal.SIGSTOP)
    endless = stub.Recognize.future(REQUEST)
    until(lambda: figures("queue_pixels", lane="small"))
    readers = server.readers
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert endless.code() is grpc.StatusCode.UNAVAILABLE
    assert not [pid for pid in readers if alive(pid)]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - the kernel's file
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_is_to_drain_goes_on_serving_while_balancers_take_note(start, truths):
    server, _, channel = start(DIGITSTRIP_DRAIN_DELAY_SECONDS="1.5")
    stub = RecognizerServiceStub(channel)
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
    server.process.send_signal(signal.SIGTERM)
    assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert stub.Recognize(REQUEST).text == truths[NAME]
    assert server.process.wait(30) == 0


def test_a_giant_does_not_keep_small_ones_waiting(start, truths):
    server, figures, channel = start()
    stub = RecognizerServiceStub(channel)
    (small_reader,) = server.readers
    giant = pb.RecognizeRequest(image=to_image(np.full((40, 50_000), 255, np.uint8)))
    call = stub.Recognize.future(giant)
    until(lambda: figures("readers", lane="giant"))
    for pid in set(server.readers) - {small_reader}:
        os.kill(pid, signal.SIGSTOP)
    assert stub.Recognize(REQUEST).text == truths[NAME]
    server.signal_readers(signal.SIGCONT)
    assert call.code() is grpc.StatusCode.OK
