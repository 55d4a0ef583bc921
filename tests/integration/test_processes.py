"""What happens to a server and its workers when what started them goes away, or was never there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

from service.api.options import to_image
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import ROOT, STRIPS, free_address, until
from tests.support.observed import Observed

REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / "postcode-ruled.png").read_bytes()))
LONG = pb.RecognizeRequest(image=to_image(np.full((40, 1_500_000), 255, np.uint8)))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


def gone(pid):
    """Whether a process has ended; one that nobody waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_workers_end_at_once_when_their_server_is_killed(start_service):
    server = start_service(DIGITSTRIP_WORKERS="1")
    with grpc.insecure_channel(server.address) as channel:
        stub = RecognizerServiceStub(channel)
        call = stub.Recognize.future(LONG)
        (large,) = until(lambda: [pid for pid in server.workers if is_nice(pid)])
        workers, begun = server.workers, cpu_ticks(large)
        until(lambda: cpu_ticks(large) > begun + 50)  # it is at work
        server.process.kill()
        server.process.wait(30)
        until(lambda: all(map(gone, workers)), seconds=2)
        assert call.code() is grpc.StatusCode.UNAVAILABLE


def is_nice(pid):
    """Whether a worker is for large pages, and has loaded what it needs."""
    return os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)


def cpu_ticks(pid):
    """The CPU time that a process has used, in the system's ticks."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])


def test_a_hangup_of_the_process_group_reloads_the_model_and_kills_no_worker(tmp_path, truths):
    server = Observed(tmp_path / "log", group=True)
    try:
        before = set(server.workers)
        os.killpg(server.process.pid, signal.SIGHUP)
        until(lambda: set(server.workers) - before)
        os.killpg(server.process.pid, signal.SIGHUP)  # meets workers that start
        until(lambda: server.figures("reloads_total", result="ok") == 2)
        with grpc.insecure_channel(server.address) as channel:
            answer = RecognizerServiceStub(channel).Recognize(REQUEST)
        assert answer.text == truths["postcode-ruled.png"]
        assert server.figures("worker_deaths_total") == 0
        assert server.figures("reloads_total", result="failed") == 0
    finally:
        assert server.stop()[0] == 0


def test_reloads_that_pile_up_are_one(tmp_path):
    server = Observed(tmp_path / "log")
    try:
        for _ in range(20):
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.001)  # all of them while the first reload goes on
        until(lambda: server.figures("reloads_total", result="ok") >= 2)
        time.sleep(2)  # in which one more would be made
        assert server.figures("reloads_total", result="ok") == 2
    finally:
        assert server.stop()[0] == 0


def test_a_server_ends_on_a_signal_while_a_worker_hangs_at_its_start():
    server = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | {"DIGITSTRIP_WORKERS": "1"},
    )
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")

    def workers():
        """Return the workers that run; before, they hold up whoever starts them (vfork)."""
        pids = map(int, children.read_text().split())
        return [pid for pid in pids if b"worker_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    (worker,) = until(workers)
    os.kill(worker, signal.SIGSTOP)
    server.terminate()
    said, _ = server.communicate(timeout=60)
    assert (server.returncode, said) == (0, b"")
    assert gone(worker)


@pytest.mark.parametrize("streams", ["", ">/dev/full", "2>&-", "<&- >&- 2>&-"])
def test_a_server_serves_without_its_standard_streams(streams, truths):
    address = free_address()
    command = f"exec {sys.executable} -m service.cli serve --listen {address} {streams}"
    server = subprocess.Popen(
        ["sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | {"DIGITSTRIP_WORKERS": "1"},
    )
    server.stdout.close()  # where it is not redirected, a pipe that nobody reads
    try:
        with grpc.insecure_channel(address) as channel:
            stub = RecognizerServiceStub(channel)
            answer = stub.Recognize(REQUEST, wait_for_ready=True, timeout=30)
            assert answer.text == truths["postcode-ruled.png"]
    finally:
        server.terminate()
        status = server.wait(30)
    assert status == 0
