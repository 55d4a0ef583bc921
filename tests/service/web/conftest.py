import pytest

from tests.conftest import until
from tests.support.observed import Observed


@pytest.fixture(scope="session")
def web(tmp_path_factory, calibrated_model):
    """A server of gRPC and HTTP for every test that only asks it."""
    server = Observed(
        tmp_path_factory.mktemp("web") / "log",
        "--web-listen",
        "127.0.0.1:0",
        DIGITSTRIP_MODEL=str(calibrated_model),
    )
    yield server
    status, _ = server.stop()
    assert status == 0
    assert not [line for line in server.logged() if line["level"] == "error"]


@pytest.fixture
def start_web(tmp_path):
    """Start servers of gRPC and HTTP of one's own; stopped at the end."""
    started = []

    def start(*arguments, **environment):
        log = tmp_path / f"log-{len(started)}"
        server = Observed(log, "--web-listen", "127.0.0.1:0", *arguments, **environment)
        until(lambda: server.web)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
