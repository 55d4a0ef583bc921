"""The loop that docs/review.md shows: batch, review, learn, calibrate, and the next batch."""

import csv
import json
import re
import shlex
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from service.recognition.model import SHIPPED_MODEL, SHIPPED_SECOND_READER, Scorer
from tests.conftest import ROOT
from tests.service.review.conftest import Server, sent
from training.cli.main import app
from training.config import SequenceConfig, StripConfig
from training.data.digits import load_mnist5k
from training.pages.page import random_page

PAGES = 36  # of a month


@pytest.fixture
def truths(tmp_path):
    """Pages of three months, and what they say."""
    digits, truths = load_mnist5k(), {}
    for seed, month in enumerate(("january", "february", "march")):
        (tmp_path / month).mkdir()
        for number in range(PAGES):
            page = random_page(digits, np.random.default_rng([seed, number]), StripConfig())
            name = f"{month}-{number:03}.png"
            Image.fromarray(page.gray).save(tmp_path / month / name)
            truths[name] = page.text
    return truths


def commands():
    text = (ROOT / "docs" / "review.md").read_text("utf-8")
    (block,) = re.findall(r"## The loop\n.*?```sh\n(.*?)```", text, re.DOTALL)
    block = block.replace("service/model.onnx", str(SHIPPED_MODEL))
    block = block.replace("service/second_reader.onnx", str(SHIPPED_SECOND_READER))
    return [shlex.split(line) for line in block.splitlines()]


def reviewed(server, truths):
    """Key what every scan says, in a person's place."""
    while tasks := server.ask("api/tasks?count=16")[1]["tasks"]:
        events = [sent(task["row"], truths[task["source"].rpartition("/")[2]]) for task in tasks]
        server.ask("api/events", {"events": events})
    server.stop()


def figures(table, truths):
    """(accuracy, accepted share, accuracy of what was accepted)."""
    rows = pq.read_table(table).to_pylist()
    right = np.array([row["text"] == truths[row["source"].rpartition("/")[2]] for row in rows])
    accepted = np.array([row["decision"] == "ACCEPT" for row in rows])
    return right.mean(), accepted.mean(), right[accepted].mean()


@pytest.mark.timeout(600)
def test_the_loop_of_the_docs_closes(tmp_path, truths, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = SequenceConfig(
        epochs=1, steps=4, lines=8, windows=16, held_out_lines=8, learning_rate=1e-5, average=0.5
    )
    monkeypatch.setattr(SequenceConfig, "further", classmethod(lambda _: few))
    at = partial(run, cwd=tmp_path)
    rate = ("--accept-errors", "10%")  # so few strips promise no less
    assert at("batch", "march", "--output", "before.parquet", *rate).returncode == 0
    for program, command, *arguments in commands():
        if program == "digitstrip-train":
            more = ["--data", "mnist5k", "--workers", "0"] if command == "fit" else []
            done = CliRunner().invoke(app, [command, *arguments, *more])
            assert done.exit_code == 0, (command, done.output, done.exception)
        elif command == "review" and "--labels" not in arguments:
            reviewed(Server(*arguments, cwd=tmp_path), truths)
        else:
            ended = at(command, *arguments, *(rate if "march" in arguments else ()))
            assert ended.returncode == 0, ended.stderr
    before, after = (figures(f"{name}.parquet", truths) for name in ("before", "march"))
    digests = set(pq.read_table("march.parquet").column("model_digest").to_pylist())
    own = Scorer(tmp_path / "own.onnx")
    assert digests == {own.digest}
    assert own.metadata.pairing.calibration.source == f"february-labels ({PAGES})"
    # It learned hardly anything here, and forgot as little.
    assert after[0] > before[0] - 0.1, (before, after)
    assert after[1] > 0, (before, after)
    for month in ("january", "february"):
        for row in pq.read_table(f"{month}.reviewed.parquet").to_pylist():
            if row["review_why"]:
                assert row["final_text"] == truths[row["source"].rpartition("/")[2]]
        with (tmp_path / f"{month}-labels" / "labels.csv").open(newline="") as file:
            labels = list(csv.DictReader(file))
        assert {row["file"]: row["text"] for row in labels}.items() <= truths.items()
        assert sum(float(row["weight"]) for row in labels) == pytest.approx(PAGES, rel=1e-4)


def test_labels_of_unsure_rows_alone_are_refused(tmp_path, truths, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at = partial(run, cwd=tmp_path)
    assert at("batch", "january", "--output", "t.jsonl").returncode == 0
    reviewed(Server("t.jsonl", cwd=tmp_path), truths)
    assert at("review", "t.jsonl", "--labels", "labels").returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert any(row["decision"] == "ACCEPT" for row in rows)
    options = ["calibrate", str(SHIPPED_MODEL), str(tmp_path / "own.onnx"), "--strips", "labels"]
    done = CliRunner().invoke(app, options)
    assert "none of those that were accepted" in str(done.exception)
    assert not (tmp_path / "own.onnx").exists()
