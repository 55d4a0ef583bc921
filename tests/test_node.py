"""The Node.js example, installed from its lock file, against the real service."""

import os
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT, STRIPS
from tests.service.peer import Peer, of_server

NAMES = ("one-digit.png", "postcode-ruled.png", "amount-blue-ink.jpg")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Run node in an installed copy of the example; returns the completed process."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("the Node.js example is tested where node and npm are installed")
    tree = tmp_path_factory.mktemp("node")
    shutil.copytree(ROOT / "proto", tree / "proto")
    here = tree / "examples" / "node"
    shutil.copytree(ROOT / "examples" / "node", here, ignore=shutil.ignore_patterns("node_modules"))
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    installed = subprocess.run(
        ["npm", "ci", *quiet], cwd=here, capture_output=True, text=True, timeout=240, check=False
    )
    if re.search("EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT", installed.stderr):
        pytest.skip("the Node.js example is tested where npm reaches its registry")
    assert installed.returncode == 0, installed.stderr

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


def test_the_examples_own_tests_pass(node):
    ended = node("--test")
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^\S+ pass [1-9]", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize("way", [[], ["--stream"]], ids=["one by one", "stream"])
def test_the_example_strips_are_read_from_node(node, service, truths, way):
    files = [STRIPS / name for name in NAMES]
    ended = node("read.js", *way, "--address", service.address, *files)
    assert ended.returncode == 0, ended.stderr
    told = [line.split("\t")[:2] for line in ended.stdout.splitlines()]
    assert sorted(told) == sorted([str(STRIPS / name), truths[name]] for name in NAMES)


@pytest.mark.parametrize("way", [[], ["--stream"]], ids=["one by one", "stream"])
def test_a_bad_image_is_told_with_its_reason_and_the_rest_goes_on(node, service, tmp_path, way):
    torn = tmp_path / "torn.png"
    torn.write_bytes((STRIPS / NAMES[0]).read_bytes()[:300])
    ended = node("read.js", *way, "--address", service.address, torn, STRIPS / NAMES[0])
    assert ended.returncode == 1
    assert f"{torn}: DAMAGED_IMAGE: " in ended.stderr
    assert len(ended.stdout.splitlines()) == 1


def test_node_speaks_tls_and_shows_its_certificate_and_token(node, certificates, tmp_path):
    peer = Peer(credentials=of_server(certificates, "readers.example", mutual=True))
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "image").write_bytes(b"17")
    ended = node(
        "read.js",
        *("--address", peer.address),
        *("--tls-ca", certificates / "ca.pem"),
        *("--tls-certificate", certificates / "client.pem"),
        *("--tls-key", certificates / "client.key"),
        *("--tls-server-name", "readers.example"),
        *("--token-file", tmp_path / "token"),
        tmp_path / "image",
    )
    peer.stop()
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\t")[1] == "17"
    assert peer.calls[0]["authorization"] == "Bearer s3cret"


def test_the_lock_file_names_no_host_to_install_from():
    lock = (ROOT / "examples" / "node" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') >= 10
