"""What holds for the repository as a whole."""

import ast
import filecmp
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def test_checked_in_stubs_are_what_the_schema_generates(tmp_path):
    subprocess.run([sys.executable, ROOT / "proto" / "generate.py", tmp_path], check=True)
    made = sorted(path.name for path in (tmp_path / "service" / "pb").iterdir())
    assert len(made) == 3
    same, different, missing = filecmp.cmpfiles(
        tmp_path / "service" / "pb", ROOT / "service" / "pb", made, shallow=False
    )
    assert (sorted(same), different, missing) == (made, [], [])


@pytest.mark.parametrize("path", sorted((ROOT / "service").rglob("*.py")), ids=lambda p: p.name)
def test_the_service_imports_neither_torch_nor_training(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert not imported & {"torch", "training", "onnx", "mlxtend"}


def test_every_installed_version_is_pinned():
    pins = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in listed.split()}
    assert installed - pins <= {"digitstrip", "setuptools"}
