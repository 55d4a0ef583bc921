import pytest

from tests.conftest import until
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


@pytest.fixture
def visit(browser):
    """Open the page; at the end, it has neither failed nor called anybody else."""
    opened = []

    def visit(url, width=1280, dark=False, bypass_csp=False):
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            bypass_csp=bypass_csp,
        )
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.home, page.faults, page.others = url, [], []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda line: page.faults.append(line.text) if of_us(line) else None)
        page.on("dialog", lambda dialog: page.faults.append(dialog.message))
        page.on("request", lambda asked: page.others.append(asked.url))
        opened.append((context, page))
        page.goto(url)
        return page

    yield visit
    for context, page in opened:
        assert not page.faults
        assert not [each for each in page.others if not each.startswith((page.home, "blob:"))]
        context.close()


def of_us(line):
    """Whether a line of the console is a fault; that a server refuses or is gone is none."""
    return line.type in ("error", "warning") and "Failed to load resource" not in line.text
