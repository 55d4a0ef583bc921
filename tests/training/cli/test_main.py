"""`digitstrip-train` where the extra `training` is not installed."""

import subprocess
import sys

import pytest

from tests.conftest import STRIPS

WITHOUT = """
import importlib.abc, sys

MISSING = sys.argv.pop(1).split(",")

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from training.cli.main import main
main()
"""
EXTRA = "torch,onnx,onnxscript,mlxtend,rapidfuzz,scipy,pooch,matplotlib"


@pytest.fixture
def train(tmp_path):
    def train(*arguments):
        command = [sys.executable, "-c", WITHOUT, EXTRA, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return train


def test_labels_are_made_without_the_libraries_that_train(train, tmp_path):
    (tmp_path / "a.png").write_bytes((STRIPS / "postcode-ruled.png").read_bytes())
    (tmp_path / "readings.csv").write_text(
        "source,page,text,confidence,decision,corrected\na.png,1,68767,0.9,REVIEW,ok\n"
    )
    ended = train("labels", "readings.csv", "out")
    assert ended.returncode == 0, ended.stderr
    assert "68767" in (tmp_path / "out" / "labels.csv").read_text()


def test_what_needs_them_says_which_and_how_to_install_them(train):
    ended = train("evaluate", "--strips", ".")
    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert "torch is not installed; this command needs the extra `training`" in sentence
    assert "'torch>=" in sentence
    assert "digitstrip[" not in sentence  # nobody has published such a package
