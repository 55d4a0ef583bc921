"""gRPC's own bounds, as the settings set them."""

import threading

import grpc
import pytest
from google.protobuf.message import Message

from service.api.options import to_image
from service.client.client import Client
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import STRIPS

STRIP = (STRIPS / "postcode-ruled.png").read_bytes()
SMALL = pb.RecognizeRequest(image=to_image(STRIP))
LARGE = pb.RecognizeRequest(image=to_image(STRIP), include_scores=True)


def stay_open(ended, *requests):
    yield from requests
    ended.wait(60)


def test_a_connection_that_is_too_old_ends_and_the_client_opens_another(start_service):
    server = start_service(
        DIGITSTRIP_WORKERS="1",
        DIGITSTRIP_MAX_CONNECTION_AGE_SECONDS="0.3",
        DIGITSTRIP_CONNECTION_GRACE_SECONDS="0.3",
    )
    ended = threading.Event()
    with grpc.insecure_channel(server.address) as channel:
        stream = RecognizerServiceStub(channel).RecognizeStream(stay_open(ended))
        with pytest.raises(grpc.RpcError) as raised:
            next(stream)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    ended.set()
    with Client(server.address) as client:
        answers = list(client.recognize_many((str(number), STRIP) for number in range(120)))
    assert {answer.text for _, answer in answers if isinstance(answer, Message)} == {"68767"}
    assert sorted(int(name) for name, _ in answers) == list(range(120))


def test_an_answer_over_the_limit_is_refused_and_a_smaller_one_is_sent(start_service):
    server = start_service(DIGITSTRIP_WORKERS="1", DIGITSTRIP_MAX_RESPONSE_BYTES="1000")
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.Recognize(LARGE)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert stub.Recognize(SMALL).text == "68767"


def test_calls_and_connections_over_the_limit_wait_or_are_refused(start_service):
    server = start_service(
        DIGITSTRIP_WORKERS="1",
        DIGITSTRIP_MAX_CONCURRENT_STREAMS="1",
        DIGITSTRIP_MAX_CONNECTIONS="1",
    )
    ended = threading.Event()
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        first = pb.RecognizeStreamRequest(id="first", request=SMALL)
        stream = stub.RecognizeStream(stay_open(ended, first))
        assert next(stream).id == "first"  # the stream has the connection's one place
        second = stub.Recognize.future(SMALL, timeout=60)
        with pytest.raises(grpc.FutureTimeoutError):
            second.result(1)
        options = [("grpc.use_local_subchannel_pool", 1)]  # or both would share a connection
        with (
            grpc.insecure_channel(server.address, options) as other,
            pytest.raises(grpc.RpcError) as raised,
        ):
            RecognizerServiceStub(other).Recognize(SMALL, timeout=60)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        ended.set()
        assert list(stream) == []
        assert second.result().text == "68767"
