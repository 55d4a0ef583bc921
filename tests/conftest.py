import asyncio
import csv
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import trustme
from hypothesis import settings
from onnx import helper
from prometheus_client.parser import text_string_to_metric_families

from service.imaging.decode import decode
from service.recognition.calibration import Calibration, Threshold
from service.recognition.model import SHIPPED_MODEL, ModelFiles, digest_of
from service.recognition.model_metadata import Pairing
from service.recognition.recognizer import Recognizer
from tests.support.browser import chromium
from tests.support.npm import npm_ci

ROOT = Path(__file__).parent.parent
STRIPS = ROOT / "examples" / "strips"
# Tests hold on a busy machine, and draw the same examples in every run; to draw others, and more:
# pytest --hypothesis-profile explore.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("same")
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw5").removeprefix("gw"))  # of pytest's
PORTS = itertools.count(20_000 + 2_000 * PROCESS + os.getpid() % 1_000)
PATIENCE = 250.0  # seconds for a large page, which an estimate on a busy machine must stay below
LONGEST = 60.0  # seconds that a test in a loop may take


def in_a_loop(test):
    """Make a test of a coroutine function: run it in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments, **fixtures):
        asyncio.run(asyncio.wait_for(test(*arguments, **fixtures), LONGEST))

    return run


@pytest.fixture(scope="session")
def truths():
    """The example strips' file names and what they say."""
    with (STRIPS / "labels.csv").open(newline="") as file:
        return {row["file"]: row["text"] for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def readings(truths):
    """The example strips' file names and what the shipped models read on them, in this process."""
    recognizer = Recognizer.load(ModelFiles.read())
    pages = {name: decode((STRIPS / name).read_bytes()) for name in truths}
    return {name: recognizer.recognize(page).reading.text for name, page in pages.items()}


@pytest.fixture(scope="session")
def calibrated_model(tmp_path_factory):
    """The shipped model, accepting whatever it reads where half of that may be wrong."""
    model = onnx.load(SHIPPED_MODEL)
    calibration = Calibration(thresholds=(Threshold(0.5, 0.0),), source="no strips at all")
    metadata = {each.key: each.value for each in model.metadata_props if each.key != "pairing"}
    helper.set_model_props(model, metadata | {"calibration": calibration.to_json()})
    path = tmp_path_factory.mktemp("calibrated") / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def second_reader(tmp_path_factory):
    """A second reader: the shipped model with noise on its weights, not calibrated."""
    model = onnx.load(SHIPPED_MODEL)
    rng = np.random.default_rng(1)
    for tensor in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.ndim == 4:
            noisy = weights + rng.normal(0, 0.05 * weights.std(), weights.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(noisy.astype(weights.dtype), tensor.name))
    properties = {each.key: each.value for each in model.metadata_props}
    for key in ("calibration", "pairing"):
        properties.pop(key, None)
    del model.metadata_props[:]
    helper.set_model_props(model, properties)
    path = tmp_path_factory.mktemp("second") / "second_reader.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def paired(tmp_path_factory, second_reader):
    """Write the shipped model paired with `second_reader` in a given way; returns its path."""

    def paired(**how):
        model = onnx.load(SHIPPED_MODEL)
        pairing = Pairing(digest_of(second_reader.read_bytes()), **how)
        properties = {each.key: each.value for each in model.metadata_props}
        helper.set_model_props(model, properties | {"pairing": pairing.to_json()})
        path = tmp_path_factory.mktemp("paired") / "model.onnx"
        onnx.save(model, path)
        return path

    return paired


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, a server's certificate for another name than its address, and a client's."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ("readers.example", "127.0.0.1", "client"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(folder / f"{name}.pem"), append=True)
    trustme.CA().cert_pem.write_to_path(str(folder / "stranger.pem"))
    return folder


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """Run node in an installed copy of the example; returns the completed process."""
    tree = tmp_path_factory.mktemp("node")
    shutil.copytree(ROOT / "proto", tree / "proto")
    here = tree / "examples" / "node"
    shutil.copytree(ROOT / "examples" / "node", here, ignore=shutil.ignore_patterns("node_modules"))
    npm_ci(here)

    def node(*arguments):
        return subprocess.run(
            ["node", *map(str, arguments)],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=120,
            env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            check=False,
        )

    return node


@pytest.fixture(scope="session")
def npm_tools(tmp_path_factory):
    """An installed copy of tests/support/npm: generators, compilers and schemas of npm."""
    folder = tmp_path_factory.mktemp("npm") / "npm"
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "tests" / "support" / "npm", folder, ignore=ignored)
    npm_ci(folder)
    return folder


@pytest.fixture(scope="module")
def browser():
    """Chromium; tests that need it are skipped where it is not installed.

    Ended with the module: while Playwright runs, no test can have an event loop of its own.
    """
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A folder with the packages that tests take from npm."""
    folder = tmp_path_factory.mktemp("npm") / "node"
    support = ROOT / "tests" / "support" / "node"
    shutil.copytree(support, folder, ignore=shutil.ignore_patterns("node_modules"))
    npm_ci(folder)
    return folder


@pytest.fixture(scope="session")
def axe(packages):
    """The script of axe-core."""
    return (packages / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture
def run():
    """Run `digitstrip` as a user does; returns the completed process."""

    def run(*arguments, stdin=b"", cwd=ROOT, **environment):
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            timeout=120,
            env=os.environ | environment,
            check=False,
        )

    return run


class Service:
    """A `digitstrip serve` process and where it listens.

    Args:
        arguments: of the command.
        stderr: where that goes.
        group: run it in a process group of its own.
        prefix: makes the command one that runs it otherwise.
        environment: settings.
    """

    def __init__(self, *arguments, stderr=subprocess.PIPE, group=False, prefix=None, **environment):
        command = [sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"]
        command += arguments
        self.process = subprocess.Popen(
            prefix(*command) if prefix else command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
            process_group=0 if group else None,
        )
        self.address = self.web = ""
        for line in self.process.stdout:
            if line.startswith("serving http"):
                self.web = line.split()[-1].rstrip("/")
            if line.startswith("serving on "):
                self.address = line.split()[-1]
                break

    @property
    def workers(self):
        """The process ids of its workers; none once it has ended."""
        if self.process.poll() is not None:
            return []
        pid = self.process.pid
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def signal_workers(self, sign, pids=None):
        """Send workers, every one by default, a signal: SIGSTOP makes one that stays at work."""
        for pid in self.workers if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    def stop(self, sign=signal.SIGTERM):
        """Send a signal and return (exit status, what it said on stderr)."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def free_address():
    """An address of this machine that nothing listens on, for a server that a test starts.

    The port is none that the kernel gives to connections, and each of pytest's processes has its
    own range: nobody takes it before the server does.
    """
    while True:
        with socket.socket() as free, suppress(OSError):
            free.bind(address := ("127.0.0.1", next(PORTS)))
            return "{}:{}".format(*address)


def until(condition, seconds=30):
    """Wait until something holds; returns what it gave."""
    end = time.monotonic() + seconds
    while not (given := condition()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
    return given


class Figures:
    """A server's metrics, fetched again each time."""

    def __init__(self, address):
        self.url = f"http://{address}/metrics"

    def all(self):
        """Every sample by its name and labels."""
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for family in families
                for sample in family.samples
            }

    def __call__(self, name, **labels):
        """One sample; 0 if there is none."""
        return self.all().get((f"digitstrip_{name}", *sorted(labels.items())), 0)


@pytest.fixture(scope="session")
def service():
    """One server for every test that only asks it."""
    server = Service()
    yield server
    status, said = server.stop()
    assert status == 0, said


@pytest.fixture
def start_service():
    """Start servers of one's own, of one worker; those still running are stopped at the end."""
    started = []

    def start(*arguments, **environment):
        started.append(Service(*arguments, **{"DIGITSTRIP_WORKERS": "1"} | environment))
        return started[-1]

    yield start
    for server in started:
        server.signal_workers(signal.SIGCONT)
        server.stop()
