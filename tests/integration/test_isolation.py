"""What the service does not do: call out, or decode in the process that takes calls."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.client.client import Client
from service.errors import UnknownFormat
from tests.conftest import ROOT, STRIPS, until
from tests.support.observed import Observed

NAME = "postcode-ruled.png"
FAR = re.compile(r"AF_INET6?\b")
DECODERS = ("onnxruntime", "cv2")


def children(pid):
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@pytest.fixture
def traced(tmp_path):
    """Run a server, its workers and all threads under strace; yields it and what it did."""
    try:
        subprocess.run(["strace", "-f", "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("that nothing is called is proved where strace is installed and may trace")
    trace = tmp_path / "trace"
    watched = "trace=connect,sendto,sendmsg,sendmmsg"
    process = subprocess.Popen(
        [
            *("strace", "-f", "-qq", "-s", "0", "-o", str(trace), "-e", watched, "--"),
            *(sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"DIGITSTRIP_WORKERS": "1", "DIGITSTRIP_LARGE_PIXELS": "100000"},
    )
    process.address = process.stdout.readline().split()[-1]
    yield process, trace
    if process.poll() is None:  # a test failed; the server would outlive strace
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)


def test_nothing_is_ever_connected_to(traced, truths):
    process, trace = traced
    (server,) = children(process.pid)
    with Client(process.address) as client:
        assert client.recognize((STRIPS / NAME).read_bytes()).text == truths[NAME]
        client.recognize(np.full((40, 5000), 255, np.uint8))  # a large page: a second worker
        with pytest.raises(UnknownFormat):
            client.recognize(b"hello, world")
        assert len(children(server)) == 2
        os.kill(server, signal.SIGHUP)
        until(lambda: len(children(server)) == 1)
        client.recognize((STRIPS / NAME).read_bytes())
    os.kill(server, signal.SIGTERM)
    assert process.wait(60) == 0
    did = trace.read_text().splitlines()
    assert any("sendmsg(" in line for line in did)  # its answers: the trace saw something
    assert [line for line in did if "connect(" in line and FAR.search(line)] == []
    # Answers go over connections that were made to it, so they name no address.
    assert [line for line in did if FAR.search(line)] == []


@pytest.fixture
def read_something(tmp_path, truths):
    server = Observed(tmp_path / "log")
    with Client(server.address) as client:
        assert client.recognize((STRIPS / NAME).read_bytes()).text == truths[NAME]
    yield server
    server.stop()


def loaded(pid):
    """The libraries that a process has loaded."""
    return Path(f"/proc/{pid}/maps").read_text()


def test_the_process_that_takes_calls_loads_neither_opencv_nor_onnxruntime(read_something):
    (worker,) = read_something.workers
    for name in DECODERS:
        assert f"/{name}/" not in loaded(read_something.process.pid)
        assert f"/{name}/" in loaded(worker)


def test_workers_hold_no_socket(read_something):
    (worker,) = read_something.workers
    held = [os.readlink(link) for link in Path(f"/proc/{worker}/fd").iterdir()]  # noqa: PTH115
    assert not [each for each in held if each.startswith("socket:")]


def test_workers_load_onnxruntime_with_its_telemetry_switched_off():
    """The variable is read when the library loads, so it must stand before."""
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys, service.workers.worker_main\n"
            "assert 'onnxruntime' not in sys.modules\n"
            "from service.recognition.model import SHIPPED_MODEL, Scorer\n"
            "Scorer(SHIPPED_MODEL.read_bytes())\n"
            "assert 'onnxruntime' in sys.modules\n"
            "print(os.environ['ORT_DISABLE_TELEMETRY'])",
        ],
        env={key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert printed.strip() == "1"
