"""The Node.js example, installed from its lock file, against the real service."""

import re

import pytest

from tests.conftest import ROOT, STRIPS

NAMES = ("one-digit.png", "postcode-ruled.png", "amount-blue-ink.jpg")


def test_the_examples_own_tests_pass(node):
    ended = node("--test")
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^\S+ pass [1-9]", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize("way", [[], ["--stream"]], ids=["one by one", "stream"])
def test_the_example_strips_are_read_from_node(node, service, truths, way):
    files = [STRIPS / name for name in NAMES]
    ended = node("read.js", *way, "--address", service.address, *files)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split("\t")[:2] for line in ended.stdout.splitlines()]
    assert sorted(lines) == sorted([str(STRIPS / name), truths[name]] for name in NAMES)


@pytest.mark.parametrize("way", [[], ["--stream"]], ids=["one by one", "stream"])
def test_a_bad_image_is_reported_with_its_reason_and_the_rest_is_read(node, service, tmp_path, way):
    torn = tmp_path / "torn.png"
    torn.write_bytes((STRIPS / NAMES[0]).read_bytes()[:300])
    ended = node("read.js", *way, "--address", service.address, torn, STRIPS / NAMES[0])
    assert ended.returncode == 1
    assert f"{torn}: DAMAGED_IMAGE: " in ended.stderr
    assert len(ended.stdout.splitlines()) == 1


def test_the_lock_file_names_no_host_to_install_from():
    lock = (ROOT / "examples" / "node" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') >= 10
