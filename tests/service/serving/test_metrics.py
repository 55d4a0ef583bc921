import os
import select
import signal
import socket
from pathlib import Path

import grpc
import numpy as np
import pytest

from service.client.client import Client
from service.errors import UnknownFormat
from service.imaging.decode import decode
from service.pb import recognizer_pb2 as pb
from service.serving.observability.metrics import resident_bytes
from service.serving.observability.metrics_server import MAX_CONNECTIONS, SILENCE_SECONDS
from tests.conftest import STRIPS, until
from tests.support.observed import Observed

NAME = "postcode-ruled.png"
STAGES = {"queue", "decode", "normalize", "score", "search", "total"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, calibrated_model):
    """A server that has read some images, and refused one."""
    server = Observed(
        tmp_path_factory.mktemp("metrics") / "log", DIGITSTRIP_MODEL=str(calibrated_model)
    )
    image = (STRIPS / NAME).read_bytes()
    with Client(server.address) as client:
        client.get_model()
        client.recognize(image)
        client.recognize(image, accepted_error_rate=0.5)
        client.recognize(image, accepted_error_rate=0.001)
        client.recognize(image, constraint=pb.Constraint(pattern=r"\d{5}"))
        client.recognize(image, constraint=pb.Constraint(pattern=r"\d{4}"))
        client.recognize(np.full((40, 30_000), 255, np.uint8))  # a large page
        with pytest.raises(UnknownFormat):
            client.recognize(b"hello, world")
        assert len(list(client.recognize_many([("1", image), ("2", b"hello, world")]))) == 2
    until(lambda: server.figures("requests_total", method="RecognizeStream", code="OK"))
    yield server
    server.stop()


def labels(figures, name):
    """The labels of a figure's samples."""
    return [dict(labels) for sample, *labels in figures if sample == f"digitstrip_{name}"]


def test_calls_are_counted_by_method_and_code(server):
    assert server.figures("requests_total", method="GetModel", code="OK") == 1
    assert server.figures("requests_total", method="Recognize", code="OK") == 6
    assert server.figures("requests_total", method="Recognize", code="INVALID_ARGUMENT") == 1
    assert server.figures("requests_total", method="RecognizeStream", code="OK") == 1


def test_images_are_counted_by_code_and_reason(server):
    assert server.figures("images_total", code="OK", reason="") == 7
    refused = {"code": "INVALID_ARGUMENT", "reason": "UNKNOWN_FORMAT"}
    assert server.figures("images_total", **refused) == 2


def test_every_stage_of_every_image_that_was_read_is_timed(server):
    figures = server.figures.all()
    assert {each["stage"] for each in labels(figures, "stage_seconds_count")} == STAGES
    for stage in STAGES:
        assert server.figures("stage_seconds_count", stage=stage) == 7
        assert server.figures("stage_seconds_bucket", stage=stage, le="+Inf") == 7
    total = server.figures("stage_seconds_sum", stage="total")
    parts = sum(server.figures("stage_seconds_sum", stage=each) for each in STAGES - {"total"})
    assert 0 < parts <= total


def test_the_pixels_that_were_read_are_counted(server):
    small = decode((STRIPS / NAME).read_bytes()).gray.size
    assert server.figures("pixels_total") == 6 * small + 40 * 30_000


def test_the_quality_of_what_was_read_is_told(server):
    assert server.figures("confidence_count") == server.figures("none_share_count") == 7
    assert 0 < server.figures("confidence_sum") <= 7
    assert 0 < server.figures("none_share_sum") <= 7
    assert server.figures("none_share_bucket", le="0.99") == 6  # all but the blank one
    assert server.figures("decisions_total", decision="ACCEPT") == 1
    assert server.figures("decisions_total", decision="REVIEW") == 1
    assert server.figures("constraint_outcomes_total", outcome="FREE") == 1
    assert server.figures("constraint_outcomes_total", outcome="CHANGED") == 1


def test_queues_and_workers_are_reported_by_group(server):
    figures = server.figures.all()
    for name in ("queue_images", "queue_pixels", "queue_age_seconds", "workers"):
        assert labels(figures, name) == [{"group": "regular"}, {"group": "large"}]
    assert server.figures("workers", group="regular") == 1
    assert server.figures("workers", group="large") == 1
    assert server.figures("queue_pixels", group="regular") == 0
    assert server.figures("queue_age_seconds", group="regular") == 0


def test_the_model_and_the_memory_are_told(server):
    with Client(server.address) as client:
        model = client.get_model()
    (info,) = labels(server.figures.all(), "model_info")
    second = model.second_reader.digest
    assert info == {
        "digest": model.digest,
        "version": model.version,
        "second_reader_digest": second,
        "calibrated": "true",
    }
    figures = server.figures.all()
    assert figures[("process_resident_memory_bytes",)] > 2**20
    assert figures[("process_open_fds",)] > 3
    resident = server.figures("workers_resident_bytes")
    assert resident > 2**20
    assert resident_bytes(server.process.pid) > 2**20
    assert resident_bytes(2**30) == 0


def test_a_worker_that_dies_is_counted(server):
    before = server.figures("worker_deaths_total")
    os.kill(server.workers[0], signal.SIGKILL)
    until(lambda: server.figures("worker_deaths_total") == before + 1)
    until(lambda: server.figures("workers", group="regular") == 1)


def test_what_never_happened_is_told_as_zero(server):
    figures = server.figures.all()
    assert figures[("digitstrip_log_lines_lost_total",)] == 0
    assert ("digitstrip_worker_deaths_total",) in figures


def test_an_address_for_metrics_that_is_taken_ends_the_start_with_a_sentence(server, run):
    taken = server.figures.url.split("/")[2]
    ended = run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", taken)
    assert ended.returncode == 2
    assert b"for metrics" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_connections_that_say_nothing_hold_few_threads_and_no_scrape(server):
    host, _, port = server.figures.url.split("/")[2].rpartition(":")
    silent = [socket.create_connection((host, int(port)), 30) for _ in range(100)]
    threads = Path(f"/proc/{server.process.pid}/task")
    before = len(list(threads.iterdir()))
    try:
        assert server.figures("workers", group="regular") == 1
        assert before < 2 * MAX_CONNECTIONS + 20  # of gRPC and Python itself
        ended = [each for each in silent if select.select([each], [], [], 0)[0]]
        assert len(ended) > 100 - MAX_CONNECTIONS - 2
    finally:
        for each in silent:
            each.close()


def test_a_silent_connection_is_ended_after_a_while(server):
    host, _, port = server.figures.url.split("/")[2].rpartition(":")
    with socket.create_connection((host, int(port)), SILENCE_SECONDS + 10) as silent:
        assert silent.recv(1) == b""


def test_metrics_are_served_on_no_port_by_default(start_service):
    server = start_service()
    pid = server.process.pid
    port = int(server.address.rpartition(":")[2])
    with grpc.insecure_channel(server.address):
        assert listening(pid) == {port}


def listening(pid):
    """The TCP ports that a process listens on."""
    own = {
        str(link.readlink())[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if str(link.readlink()).startswith("socket:")
    }
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in own}
