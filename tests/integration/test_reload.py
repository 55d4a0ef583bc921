import signal

import onnx
import pytest

from service.client.client import Client
from service.recognition.model import SHIPPED_MODEL
from tests.conftest import STRIPS, until
from tests.support.observed import Observed

NAME = "postcode-ruled.png"


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped model that a test may exchange."""
    path = tmp_path / "model.onnx"
    path.write_bytes(SHIPPED_MODEL.read_bytes())
    return path


@pytest.fixture
def start(tmp_path, model):
    """Start a server that reads with that model."""
    started = []

    def start(**environment):
        started.append(
            Observed(tmp_path / "log", DIGITSTRIP_MODEL=str(model), **environment),
        )
        return started[-1]

    yield start
    for server in started:
        server.stop()


def digests(server):
    """Of the model that is described, and of the one that reads."""
    with Client(server.address) as client:
        read = client.recognize((STRIPS / NAME).read_bytes())
        return client.get_model().digest, read.model_digest


def reloads(server, result):
    return server.figures("reloads_total", result=result)


def exchange(model, content):
    """As an orchestrator does: the new file takes the old one's place at once."""
    new = model.with_suffix(".new")
    new.write_bytes(content)
    new.replace(model)


def test_a_reload_whose_worker_is_killed_as_it_starts_is_tried_again(
    start, model, calibrated_model
):
    server = start(DIGITSTRIP_WORKERS="1")
    before = set(server.workers)
    exchange(model, calibrated_model.read_bytes())
    server.process.send_signal(signal.SIGHUP)
    until(lambda: set(server.workers) - before)
    server.signal_workers(signal.SIGKILL, set(server.workers) - before)
    until(lambda: reloads(server, "ok") == 1)
    assert reloads(server, "failed") == 0
    new, reads = digests(server)
    assert new == reads


def test_sighup_reloads_the_model_and_a_bad_one_changes_nothing(start, model, calibrated_model):
    server = start()
    (old, _) = digests(server)
    exchange(model, b"no model at all")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: reloads(server, "failed") == 1)
    assert digests(server) == (old, old)
    (kept,) = until(lambda: server.logged("model reload failed; the old model stays"))
    assert kept["level"] == "error"
    assert "model" in kept["error"]

    exchange(model, calibrated_model.read_bytes())
    server.process.send_signal(signal.SIGHUP)
    until(lambda: reloads(server, "ok") == 1)
    new, reads = digests(server)
    assert new == reads != old
    (event,) = until(lambda: server.logged("model reloaded"))
    assert event["model"] == new[:12]
    infos = [key for key in server.figures.all() if key[0] == "digitstrip_model_info"]
    assert [dict(labels)["digest"] for _, *labels in infos] == [new]

    model.unlink()
    server.process.send_signal(signal.SIGHUP)
    until(lambda: reloads(server, "failed") == 2)
    assert digests(server) == (new, new)
    assert server.figures("worker_deaths_total") == 0


def test_a_model_of_another_geometry_changes_nothing(start, model):
    server = start()
    old, _ = digests(server)
    other = onnx.load(SHIPPED_MODEL)
    del other.metadata_props[:]
    exchange(model, other.SerializeToString())
    server.process.send_signal(signal.SIGHUP)
    until(lambda: reloads(server, "failed") == 1)
    assert digests(server) == (old, old)


def test_a_watched_model_is_reloaded_when_its_file_changes(start, model, calibrated_model):
    server = start(DIGITSTRIP_WATCH_MODEL="true")
    old, _ = digests(server)
    exchange(model, calibrated_model.read_bytes())
    until(lambda: reloads(server, "ok") == 1)
    new, reads = digests(server)
    assert new == reads != old


def test_an_unwatched_model_is_left_alone_and_answers_go_on_through_reloads(
    start, model, calibrated_model
):
    server = start()
    old, _ = digests(server)
    exchange(model, calibrated_model.read_bytes())
    image = (STRIPS / NAME).read_bytes()
    seen = []

    def images():
        while len(set(seen)) < 2:
            yield str(len(seen)), image

    with Client(server.address) as client:
        for _ in range(20):
            assert client.recognize(image).model_digest == old
        server.process.send_signal(signal.SIGHUP)
        for _, answer in client.recognize_many(images()):
            seen.append(answer.model_digest)
    first_new = seen.index(next(digest for digest in seen if digest != old))
    assert set(seen[:first_new]) <= {old}
    assert server.figures("reloads_total", result="ok") == 1
