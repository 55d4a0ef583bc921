import shutil

import pytest

from tests.conftest import ROOT, until
from tests.support.npm import npm_ci
from tests.support.observed import Observed


def start(log, *arguments, **environment):
    """Start a server of gRPC and HTTP that logs to a file."""
    server = Observed(log, "--web-listen", "127.0.0.1:0", *arguments, **environment)
    until(lambda: server.web)
    return server


@pytest.fixture(scope="session")
def web(tmp_path_factory, calibrated_model):
    """A server of gRPC and HTTP for every test that only asks it."""
    log = tmp_path_factory.mktemp("web") / "log"
    server = start(log, DIGITSTRIP_MODEL=str(calibrated_model))
    yield server
    status, _ = server.stop()
    assert status == 0
    assert not [line for line in server.logged() if line["level"] == "error"]


@pytest.fixture
def start_web(tmp_path):
    """Start servers of gRPC and HTTP of one's own; stopped at the end."""
    started = []

    def start_web(*arguments, **environment):
        log = tmp_path / f"log-{len(started)}"
        started.append(start(log, *arguments, **environment))
        return started[-1]

    yield start_web
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A folder with the packages that tests take from npm."""
    folder = tmp_path_factory.mktemp("npm") / "node"
    support = ROOT / "tests" / "support" / "node"
    shutil.copytree(support, folder, ignore=shutil.ignore_patterns("node_modules"))
    npm_ci(folder)
    return folder
