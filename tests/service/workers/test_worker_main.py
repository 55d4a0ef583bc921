import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from service.api.options import to_image
from service.api.responses import to_response
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
from service.recognition.model import SHIPPED_MODEL, ModelFiles
from service.recognition.recognizer import Options, Recognizer
from service.workers.framing import read_frame, write_frame
from service.workers.worker_config import WorkerConfig, to_frame
from service.workers.worker_main import recognize
from tests.conftest import ROOT, STRIPS

CONFIG = WorkerConfig(Limits(max_bytes=2_000_000, max_pixels=1_500_000), max_pixels=1_000_000)
MOST_IMAGES = 3  # that a test sends before it hears


class Worker:
    """A worker process, and what it says of its model."""

    def __init__(self, config=CONFIG, files=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.workers.worker_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        write_frame(self.process.stdin, *to_frame(config, files or ModelFiles.read()))
        self.head, self.body = read_frame(self.process.stdout)

    def send(self, request):
        write_frame(self.process.stdin, {}, request.SerializeToString())

    def hear(self):
        return read_frame(self.process.stdout)

    def ask(self, request):
        self.send(request)
        return self.hear()

    def end(self):
        """Close its stdin; returns its exit status and what it said on stderr."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    assert worker.end() == (0, b"")


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


def request(image, **asked):
    return pb.RecognizeRequest(image=to_image(image), **asked)


def test_a_worker_says_that_it_is_ready_and_describes_its_model(worker, recognizer):
    described = pb.GetModelResponse.FromString(worker.body)
    assert worker.head == {"ready": True}
    assert described.digest == recognizer.scorer.digest
    assert list(described.labels) == list(recognizer.metadata.labels)


def test_a_worker_answers_as_the_recognizer_does_here(worker, recognizer, truths):
    for name in truths:
        encoded = (STRIPS / name).read_bytes()
        head, body = worker.ask(request(encoded, include_scores=True, alternatives=2))
        gray = decode(encoded).gray
        expected = to_response(
            recognizer.recognize(gray, Options(alternatives=2)),
            recognizer,
            include_scores=True,
        )
        assert pb.RecognizeResponse.FromString(body) == expected
        assert head["pixels"] == gray.size
        assert head["seconds"].keys() == {"decode", "normalize", "score", "search"}
        assert 0 < head["none_share"] < 1


def test_answers_come_in_the_order_of_the_requests(worker, truths):
    names = list(truths)[:MOST_IMAGES]
    for name in names:
        worker.send(request((STRIPS / name).read_bytes()))
    answers = [pb.RecognizeResponse.FromString(worker.hear()[1]).text for _ in names]
    assert answers == [truths[name] for name in names]


@pytest.mark.parametrize(
    ("asked", "reason", "field"),
    [
        (request(b"hello, world"), "UNKNOWN_FORMAT", "image.encoded"),
        (request(bytes(2_000_001)), "TOO_MANY_BYTES", "image.encoded"),
        (request(np.zeros((1501, 1000), np.uint8)), "TOO_MANY_PIXELS", "image.raster"),
        (request(b"", alternatives=21), "BAD_OPTION", "alternatives"),
        (pb.RecognizeRequest(), "EMPTY_IMAGE", "image"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_the_worker_goes_on(
    worker, truths, asked, reason, field
):
    head, body = worker.ask(asked)
    assert (head["error"]["reason"], head["error"]["field"], body) == (reason, field, b"")
    name, text = next(iter(truths.items()))
    _, body = worker.ask(request((STRIPS / name).read_bytes()))
    assert pb.RecognizeResponse.FromString(body).text == text


def test_bytes_that_are_no_request_are_an_error_of_the_caller(worker):
    write_frame(worker.process.stdin, {}, b"\xff no RecognizeRequest")
    head, _ = worker.hear()
    assert head["error"]["reason"] == "MALFORMED_MESSAGE"
    assert "trace" not in head


def test_an_internal_fault_reveals_itself_to_the_log_alone(recognizer, monkeypatch):
    monkeypatch.setattr(Recognizer, "recognize", lambda *_: 1 / 0)
    asked = request((STRIPS / "one-digit.png").read_bytes()).SerializeToString()
    head, _ = recognize(recognizer, asked, CONFIG)
    assert head["error"]["reason"] == "INTERNAL"
    assert head["error"]["message"] == "the server failed on this image; its log says why"
    assert "ZeroDivisionError" in head["trace"]


def test_what_libraries_print_about_an_image_goes_nowhere():
    file = io.BytesIO()
    Image.new("L", (40, 40)).save(file, "TIFF", compression="tiff_lzw")
    encoded = bytearray(file.getvalue())
    encoded[10:30] = b"\xff" * 20  # libtiff: "Using code not yet in table."
    worker = Worker()
    head, _ = worker.ask(request(bytes(encoded)))
    assert head["error"]["reason"] == "DAMAGED_IMAGE"
    assert worker.end() == (0, b"")


def test_a_page_that_is_too_large_for_this_worker_is_sent_back_with_its_size(worker):
    head, body = worker.ask(request(np.zeros((1001, 1000), np.uint8)))
    assert (head, body) == ({"too_large": 1_001_000}, b"")


@pytest.mark.parametrize("shape", [(1, 15_626), (15_626, 1), (63, 15_626)])
def test_a_flat_page_counts_as_a_higher_one_since_it_is_read_by_its_width(worker, shape):
    head, body = worker.ask(request(np.zeros(shape, np.uint8)))
    assert (head, body) == ({"too_large": 15_626 * 64}, b"")


def test_a_page_over_the_limit_says_what_is_allowed_to_all(worker):
    head, _ = worker.ask(request(np.zeros((1501, 1000), np.uint8)))
    assert "at most 1,500,000 are allowed" in head["error"]["message"]


@pytest.mark.parametrize(
    ("config", "files", "reason"),
    [
        (CONFIG, ModelFiles(b"no model at all"), "BAD_MODEL"),
        (CONFIG, ModelFiles(SHIPPED_MODEL.read_bytes(), b"no model at all"), "BAD_MODEL"),
        (replace(CONFIG, providers=("Abacus",)), None, "BAD_SETTING"),
    ],
)
def test_a_worker_that_cannot_start_says_why_and_ends(config, files, reason):
    worker = Worker(config, files)
    assert worker.head["error"]["reason"] == reason
    assert worker.end() == (0, b"")


def test_a_worker_whose_server_is_gone_before_it_said_a_word_ends_quietly():
    process = subprocess.run(
        [sys.executable, "-m", "service.workers.worker_main"],
        input=b"",
        capture_output=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
