import subprocess
import sys

import pytest

from tests.conftest import ROOT

HEAVY = {"cv2", "PIL", "numpy", "onnxruntime", "torch"}


@pytest.mark.parametrize(
    "statement",
    [
        "from service.client import AsyncClient, Client",
        "import service.client.health_check",
        "import digitstrip; digitstrip.Client",
    ],
)
def test_a_client_loads_no_library_of_images_or_numbers(statement):
    assert not loaded(statement) & HEAVY


def test_sending_bytes_loads_none_either():
    send = (
        "from service.client import Client\n"
        "try: Client('127.0.0.1:1', timeout=0.2).recognize(b'no image', length=5)\n"
        "except Exception as error: assert type(error).__name__ == 'ServerUnavailable', error"
    )
    assert not loaded(send) & HEAVY


def test_the_package_alone_loads_nothing_but_the_errors():
    assert not loaded("import digitstrip") & {*HEAVY, "grpc", "google"}


def loaded(statement):
    """The libraries that are loaded once a statement has run in a fresh interpreter."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in ran.stdout.split()}
