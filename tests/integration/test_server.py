import asyncio
import signal
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from service.client.client import OPTIONS, AsyncClient, Client
from service.errors import DamagedImage, InputError, ServerUnavailable, UnknownFormat
from service.imaging.decode import decode
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.recognition.model import Scorer
from tests.conftest import PATIENCE, STRIPS, Figures, free_address, until

NAME = "postcode-ruled.png"


@pytest.fixture
def client(service):
    with Client(service.address) as client:
        yield client


@pytest.fixture
def stub(service):
    with grpc.insecure_channel(service.address, OPTIONS) as channel:
        yield RecognizerServiceStub(channel)


def encoded(name=NAME):
    return (STRIPS / name).read_bytes()


def test_an_encoded_image_is_read(client, truths):
    response = client.recognize(encoded())
    assert response.text == truths[NAME]
    assert 0 < response.confidence <= 1
    assert "".join(digit.label for digit in response.digits) == response.text
    assert not response.HasField("scores")


def test_a_raw_raster_reads_as_its_png(client):
    assert client.recognize(decode(encoded()).gray, scores=True) == client.recognize(
        encoded(), scores=True
    )


def test_scores_come_with_the_source_pixel_of_every_position(client):
    response = client.recognize(encoded(), scores=True)
    scores = response.scores
    assert scores.rows == 1
    assert list(scores.labels) == [*"0123456789", "none"]
    shape = (scores.rows, scores.positions, len(scores.labels))
    chances = np.exp(np.array(scores.log_probabilities).reshape(shape))
    assert np.allclose(chances.sum(axis=2), 1, atol=1e-5)
    for digit in response.digits:
        position = (digit.first_position + digit.last_position) / 2
        x = scores.centers.origin_x + position * scores.centers.step_x
        assert digit.extent.left - scores.centers.step_x <= x
        assert x <= digit.extent.right + scores.centers.step_x
        best = chances[0, digit.first_position : digit.last_position + 1].max(axis=0)
        assert best[:10].argmax() == int(digit.label)


def test_normalization_is_reported(client):
    done = client.recognize(encoded()).normalization
    height, width = decode(encoded()).gray.shape
    assert (done.source_width, done.source_height) == (width, height)
    assert done.polarity == pb.POLARITY_DARK_ON_LIGHT
    assert 0 <= done.text_band.top < done.text_band.bottom <= height
    assert done.scale_y * (done.text_band.bottom - done.text_band.top) == pytest.approx(
        20, rel=0.05
    )
    light = client.recognize(encoded("meter-light-on-dark.png")).normalization
    assert light.polarity == pb.POLARITY_LIGHT_ON_DARK


def test_the_model_is_described(client):
    model, scorer = client.get_model(), Scorer()
    assert list(model.labels) == list(scorer.metadata.labels)
    assert (model.receptive_field, model.stride) == (32, 4)
    assert model.digest == scorer.digest == client.recognize(encoded()).model_digest
    assert "training_digits" in model.training_json


@pytest.mark.parametrize(
    ("image", "reason", "field"),
    [
        (pb.Image(), "EMPTY_IMAGE", "image"),
        (pb.Image(encoded=b""), "EMPTY_IMAGE", "image.encoded"),
        (pb.Image(encoded=b"hello, world"), "UNKNOWN_FORMAT", "image.encoded"),
        (pb.Image(encoded=encoded()[:300]), "DAMAGED_IMAGE", "image.encoded"),
        (pb.Image(encoded=encoded(), page=1), "NO_SUCH_PAGE", "image.page"),
        (
            pb.Image(raster=pb.GrayRaster(width=3, height=2, pixels=b"12345")),
            "RASTER_MISMATCH",
            "image.raster.pixels",
        ),
        (
            pb.Image(raster=pb.GrayRaster(width=1, height=1, pixels=b"1"), page=2),
            "NO_SUCH_PAGE",
            "image.page",
        ),
        (
            pb.Image(raster=pb.GrayRaster(width=2**20, height=2**20, pixels=b"1")),
            "TOO_MANY_PIXELS",
            "image.raster",
        ),
        (pb.Image(encoded=b"\x89PNG" + bytes(33 * 2**20)), "TOO_MANY_BYTES", "image.encoded"),
    ],
)
def test_bad_input_is_an_invalid_argument_with_details(stub, image, reason, field):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Recognize(pb.RecognizeRequest(image=image))
    status = rpc_status.from_call(raised.value)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, info.domain) == (reason, "digitstrip")
    assert bad.field_violations[0].field == field
    assert bad.field_violations[0].description == raised.value.details() != ""


def test_a_message_far_over_the_limit_is_refused_before_it_is_taken_in(stub):
    huge = pb.Image(encoded=bytes(140 * 2**20))
    with pytest.raises(grpc.RpcError) as raised:
        stub.Recognize(pb.RecognizeRequest(image=huge))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_client_raises_the_errors_of_the_service(client):
    with pytest.raises(UnknownFormat, match="which is none of PNG, JPEG"):
        client.recognize(b"hello, world")


def test_a_server_that_is_not_there_is_unavailable():
    with socket.socket() as taken:  # bound, so nobody else's, but not listening
        taken.bind(("127.0.0.1", 0))
        with (
            Client(f"127.0.0.1:{taken.getsockname()[1]}", timeout=5) as client,
            pytest.raises(ServerUnavailable, match="UNAVAILABLE"),
        ):
            client.recognize(encoded())


def test_a_stream_answers_every_image_under_its_id(client, truths):
    images = [(f"{turn}/{name}", encoded(name)) for turn in range(3) for name in truths]
    alone = {name: client.recognize(encoded(name)) for name in truths}
    answers = dict(client.recognize_many(images))
    assert answers.keys() == dict(images).keys()
    assert all(answers[name] == alone[name.split("/")[1]] for name, _ in images)


def test_a_bad_image_in_a_stream_is_an_error_of_its_own(client, truths):
    images = [("good", encoded()), ("bad", encoded()[:300]), ("worse", b""), ("last", encoded())]
    answers = dict(client.recognize_many(images))
    assert answers["good"].text == answers["last"].text == truths[NAME]
    assert isinstance(answers["bad"], DamagedImage)
    assert isinstance(answers["worse"], InputError)
    assert answers["bad"].field == "image.encoded"


def test_a_stream_takes_in_no_more_than_it_can_answer(stub):
    """Answers left unread fill the transport; then the server stops taking images in."""
    taken_in = 0
    width = 32_000  # its answer holds 220 kB of scores
    raster = pb.GrayRaster(width=width, height=32, pixels=bytes(32 * width))
    request = pb.RecognizeRequest(image=pb.Image(raster=raster), include_scores=True)
    enough = threading.Event()

    def requests():
        nonlocal taken_in
        for number in range(1000):
            if enough.is_set():
                return
            taken_in += 1
            yield pb.RecognizeStreamRequest(id=str(number), request=request)

    answers = stub.RecognizeStream(requests())
    next(answers)
    before = -1
    while before != taken_in:  # until nothing moves any more
        before = taken_in
        time.sleep(1)
    enough.set()
    assert taken_in < 500
    assert 1 + sum(1 for _ in answers) == taken_in


def test_the_async_client_does_as_the_blocking_one(service, client, truths):
    async def ask():
        async def images():
            for name in truths:
                yield name, encoded(name)

        async with AsyncClient(service.address) as asynchronous:
            one = await asynchronous.recognize(encoded(), scores=True)
            with pytest.raises(UnknownFormat):
                await asynchronous.recognize(b"hello, world")
            many = {name: answer async for name, answer in asynchronous.recognize_many(images())}
            return one, many, await asynchronous.get_model()

    one, many, model = asyncio.run(ask())
    assert one == client.recognize(encoded(), scores=True)
    assert many.keys() == truths.keys()
    assert model == client.get_model()


@pytest.mark.parametrize("name", ["", "digitstrip.v1.RecognizerService"])
def test_health_is_serving(service, name):
    with grpc.insecure_channel(service.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_tells_the_schema(service):
    with grpc.insecure_channel(service.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([asked]))
        names = {each.name for each in answer.list_services_response.service}
        assert "digitstrip.v1.RecognizerService" in names


def test_reflection_can_be_switched_off(start_service):
    server = start_service(DIGITSTRIP_REFLECTION="false")
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as raised:
            next(stub.ServerReflectionInfo(iter([asked])))
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_health_first_and_work_in_progress_is_finished(start_service, sign):
    metrics = free_address()
    server = start_service("--metrics-listen", metrics, DIGITSTRIP_GRACE_SECONDS="120")
    figures = Figures(metrics)
    with grpc.insecure_channel(server.address, OPTIONS) as channel:
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        wide = pb.GrayRaster(width=50_000, height=40, pixels=bytes(range(200)) * 10_000)
        stub = RecognizerServiceStub(channel)
        request = pb.RecognizeRequest(image=pb.Image(raster=wide))
        in_progress = stub.Recognize.future(request)
        until(lambda: figures("queue_pixels", group="large"))
        assert not in_progress.done()
        status, said = server.stop(sign)
        assert in_progress.result().normalization.source_width == 50_000
        assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert status == 0
    assert "stopped" in said


def test_a_taken_port_ends_the_start_with_a_sentence(service, run):
    ended = run("serve", "--listen", service.address)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith(b"has no such host:port")


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (
            {"DIGITSTRIP_LISTEN": "127.0.0.1:99999"},
            b"expected host:port, with a port of 0 to 65535",
        ),
        ({"DIGITSTRIP_LISTEN": "nonsense"}, b"expected host:port"),
        ({"DIGITSTRIP_WORKERS": "0"}, b"workers = '0': Input should be greater than or equal to 1"),
        ({"DIGITSTRIP_PROVIDERS": '["Abacus"]'}, b"execution provider Abacus is not available"),
    ],
)
def test_a_bad_setting_ends_the_start_with_a_sentence(run, environment, complaint):
    ended = run("serve", **environment)
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_flags_outweigh_the_environment_and_that_the_file(start_service, tmp_path):
    file = tmp_path / "digitstrip.toml"
    file.write_text("workers = 3\nmax_bytes = 1000\ngrace_seconds = 2\n")
    server = start_service(
        "--config", str(file), "--workers", "1", DIGITSTRIP_WORKERS="2", DIGITSTRIP_MAX_BYTES="2000"
    )
    status, said = server.stop()
    assert status == 0
    for line in ("workers = 1", "max_bytes = 2000", "grace_seconds = 2.0"):
        assert line in said.splitlines()
    assert "second_reader" not in said  # which nobody set


@pytest.mark.parametrize("content", ["treads = 1", "threads = ", "max_bytes = 'many'"])
def test_a_bad_settings_file_ends_the_start_with_a_sentence(run, tmp_path, content):
    file = tmp_path / "digitstrip.toml"
    file.write_text(content)
    ended = run("serve", "--config", file)
    assert ended.returncode == 2
    assert b"bad settings" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_missing_model_ends_the_start_with_a_sentence(run):
    ended = run("serve", "--listen", "127.0.0.1:0", DIGITSTRIP_MODEL="/nowhere.onnx")
    assert ended.returncode == 1
    assert b"cannot read the model /nowhere.onnx" in ended.stderr


def test_a_draining_server_answers_what_it_took_in_and_ends_the_stream(start_service, truths):
    server = start_service(DIGITSTRIP_GRACE_SECONDS="120")
    ended = threading.Event()

    def images():
        request = pb.RecognizeRequest(image=pb.Image(encoded=encoded()))
        yield pb.RecognizeStreamRequest(id="first", request=request)
        ended.wait(30)  # a stream that stays open

    with grpc.insecure_channel(server.address, OPTIONS) as channel:
        answers = RecognizerServiceStub(channel).RecognizeStream(images())
        answer = next(answers)
        assert (answer.id, answer.response.text) == ("first", truths[NAME])
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as raised:
            next(answers)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the server is stopping" in raised.value.details()
        ended.set()
        assert server.process.wait(60) == 0


def test_a_stream_that_is_answered_whole_ends_well_though_the_server_drains(start_service):
    server = start_service(DIGITSTRIP_GRACE_SECONDS="240", DIGITSTRIP_WORKERS="2")
    wide = np.full((40, 50_000), 255, np.uint8)
    wide[8:32, 10::20] = 0  # strokes, which take a while
    with Client(server.address, timeout=PATIENCE) as client:
        # The slow one first: once the other is answered, the server has received both.
        answers = client.recognize_many([("slow", wide), ("quick", encoded())])
        first, _ = next(answers)
        server.process.send_signal(signal.SIGTERM)
        assert {first, *(name for name, _ in answers)} == {"quick", "slow"}
    assert server.process.wait(30) == 0


def test_a_stream_that_its_client_leaves_does_not_hold_up_the_server(start_service):
    server = start_service(DIGITSTRIP_GRACE_SECONDS="50")
    with Client(server.address) as client:
        for _ in client.recognize_many((str(number), encoded()) for number in range(1000)):
            break  # the generator is closed, the call cancelled
    began = time.monotonic()
    assert server.stop()[0] == 0
    assert time.monotonic() - began < 40


def test_an_error_of_the_callers_own_iterable_is_raised_as_it_is(service):
    def images():
        yield "first", encoded()
        raise KeyError("mine")

    async def ask():
        async def as_async():
            for pair in images():
                yield pair

        async with AsyncClient(service.address) as asynchronous:
            async for _ in asynchronous.recognize_many(as_async()):
                pass

    with Client(service.address) as client, pytest.raises(KeyError, match="mine"):
        list(client.recognize_many(images()))
    with pytest.raises(KeyError, match="mine"):
        asyncio.run(ask())
