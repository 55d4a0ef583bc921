import json
import signal

import onnx
import pytest

from service.client import Client
from service.scorer import SHIPPED_MODEL
from tests.conftest import STRIPS, Figures, free_address, until

NAME = "postcode-ruled.png"


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped model that a test may exchange."""
    path = tmp_path / "model.onnx"
    path.write_bytes(SHIPPED_MODEL.read_bytes())
    return path


class Run:
    """A server that logs to a file, its figures and a client."""

    def __init__(self, start_service, log, model, **environment):
        address = free_address()
        self.log = log
        self.figures = Figures(address)
        with log.open("w") as stderr:
            self.server = start_service(
                stderr=stderr,
                DIGITSTRIP_MODEL=str(model),
                DIGITSTRIP_WORKERS="1",
                DIGITSTRIP_METRICS_LISTEN=address,
                DIGITSTRIP_LOG_FORMAT="json",
                **environment,
            )

    def digests(self):
        """Of the model that is described, and of the one that reads."""
        with Client(self.server.address) as client:
            read = client.recognize((STRIPS / NAME).read_bytes())
            return client.get_model().digest, read.model_digest

    def reloads(self, result):
        return self.figures("reloads_total", result=result)

    def logged(self, event):
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == event]


def exchange(model, content):
    """As an orchestrator does: the new file takes the old one's place at once."""
    new = model.with_suffix(".new")
    new.write_bytes(content)
    new.replace(model)


def test_sighup_loads_the_model_anew_and_a_bad_one_changes_nothing(
    start_service, tmp_path, model, calibrated_model
):
    run = Run(start_service, tmp_path / "log", model)
    (old, _) = run.digests()
    exchange(model, b"no model at all")
    run.server.process.send_signal(signal.SIGHUP)
    until(lambda: run.reloads("failed") == 1)
    assert run.digests() == (old, old)
    (kept,) = run.logged("kept the old model")
    assert kept["level"] == "error"
    assert str(model) in kept["error"] or "model" in kept["error"]

    exchange(model, calibrated_model.read_bytes())
    run.server.process.send_signal(signal.SIGHUP)
    until(lambda: run.reloads("ok") == 1)
    new, reads = run.digests()
    assert new == reads != old
    assert run.logged("model loaded anew")[0]["model"] == new[:12]
    infos = [key for key in run.figures.all() if key[0] == "digitstrip_model_info"]
    assert [dict(labels)["digest"] for _, *labels in infos] == [new]

    model.unlink()
    run.server.process.send_signal(signal.SIGHUP)
    until(lambda: run.reloads("failed") == 2)
    assert run.digests() == (new, new)
    assert run.figures("reader_deaths_total") == 0


def test_a_model_of_another_geometry_changes_nothing(start_service, tmp_path, model):
    run = Run(start_service, tmp_path / "log", model)
    old, _ = run.digests()
    other = onnx.load(SHIPPED_MODEL)
    del other.metadata_props[:]
    exchange(model, other.SerializeToString())
    run.server.process.send_signal(signal.SIGHUP)
    until(lambda: run.reloads("failed") == 1)
    assert run.digests() == (old, old)


def test_a_watched_model_is_loaded_anew_when_its_file_changes(
    start_service, tmp_path, model, calibrated_model
):
    run = Run(start_service, tmp_path / "log", model, DIGITSTRIP_WATCH_MODEL="true")
    old, _ = run.digests()
    exchange(model, calibrated_model.read_bytes())
    until(lambda: run.reloads("ok") == 1)
    new, reads = run.digests()
    assert new == reads != old


def test_an_unwatched_model_is_left_alone_and_answers_go_on_through_reloads(
    start_service, tmp_path, model, calibrated_model
):
    run = Run(start_service, tmp_path / "log", model)
    old, _ = run.digests()
    exchange(model, calibrated_model.read_bytes())
    image = (STRIPS / NAME).read_bytes()
    seen = []

    def images():
        while len(set(seen)) < 2:
            yield str(len(seen)), image

    with Client(run.server.address) as client:
        for _ in range(20):
            assert client.recognize(image).model_digest == old
        run.server.process.send_signal(signal.SIGHUP)
        for _, answer in client.recognize_many(images()):
            seen.append(answer.model_digest)
    first_new = seen.index(next(digest for digest in seen if digest != old))
    assert set(seen[:first_new]) <= {old}
    assert run.figures("reloads_total", result="ok") == 1
