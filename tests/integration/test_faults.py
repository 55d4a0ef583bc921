"""The faults of benchmarks/faults.py, each for a moment: what comes of them, not how fast."""

import shutil
import sys

import pytest
from faults import FAULTS

SECONDS = 1.5

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_survives(name):
    if name == "certificate-expired" and shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates")
    outcome = FAULTS[name](SECONDS)
    assert outcome.recovered, outcome.seen
    assert outcome.lost == 0, outcome.seen
