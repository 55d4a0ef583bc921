"""`digitstrip-train fit`: which networks learn, and from where; the learning itself is faked."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from service.recognition.model import SHIPPED_MODEL, SHIPPED_SECOND_READER
from training.cli.main import app

STRIPS = Path(__file__).parents[2] / "examples" / "strips"


@pytest.fixture
def learned(monkeypatch):
    """Record the folder, the network and the beginning of every stage that would be learned."""
    runs = []

    def fit(folder, stage, before, network, device, workers):
        runs.append((folder, stage.network, network, before))
        best = SimpleNamespace(epoch=1, digit_error=0.0, none_error=0.0, string_error=0.0)
        return SimpleNamespace(best=best, finished=folder.parent.name != "stopped")

    monkeypatch.setattr("training.stages.train.fit", fit)
    monkeypatch.setattr("training.evaluation.plots.draw_log", lambda *_: None)
    return runs


def run(folder, *options):
    data = ("--data", "mnist5k", "--strips", str(STRIPS))
    return CliRunner().invoke(app, ["fit", str(folder), *data, *options])


def test_going_on_with_the_shipped_model_both_readers_learn(tmp_path, learned):
    assert run(tmp_path, "--init", str(SHIPPED_MODEL)).exit_code == 0
    (first, lenet, *_), (second, context, *_) = learned
    assert (first, lenet) == (tmp_path / "sequences", "lenet5")
    assert (second, context) == (tmp_path / "second" / "sequences", "context")
    assert all(network is not None and before for *_, network, before in learned)


def test_a_second_reader_beside_another_model_is_named(tmp_path, learned):
    other = tmp_path / "own.onnx"
    other.write_bytes(SHIPPED_MODEL.read_bytes())
    run(tmp_path, "--init", str(other))
    assert [network for _, network, *_ in learned] == ["lenet5"]
    learned.clear()
    run(tmp_path, "--init", str(other), "--second-reader", str(SHIPPED_SECOND_READER))
    assert [network for _, network, *_ in learned] == ["lenet5", "context"]


def test_without_a_second_reader_the_first_one_alone_goes_on(tmp_path, learned):
    run(tmp_path, "--init", str(SHIPPED_MODEL), "--second-reader", "none")
    assert [network for _, network, *_ in learned] == ["lenet5"]


def test_a_second_reader_from_scratch_is_a_network_of_its_own(tmp_path, learned):
    run(tmp_path, "--network", "context")
    assert [(folder, network) for folder, network, *_ in learned] == [
        (tmp_path / "sequences", "context")
    ]


def test_a_second_reader_without_init_is_refused(tmp_path, learned):
    result = run(tmp_path, "--second-reader", str(SHIPPED_SECOND_READER))
    assert result.exit_code == 2
    assert "it goes on beside --init" in result.output
    assert not learned


def test_keeping_weights_without_init_is_refused(tmp_path, learned):
    result = run(tmp_path, "--keep", "0.3")
    assert result.exit_code == 2
    assert "it goes beside --init" in result.output
    assert not learned


@pytest.mark.parametrize(
    ("there", "options", "said"),
    [
        ("sequences", (), "was begun with it, or with --network context"),
        ("windows", ("--init", str(SHIPPED_MODEL)), "was begun without it"),
    ],
)
def test_a_run_that_cannot_go_on_is_refused_before_anything_is_loaded(
    tmp_path, learned, monkeypatch, there, options, said
):
    monkeypatch.setattr("training.cli.fit.load_hands_beside", None)  # calling it would fail
    (tmp_path / there).mkdir()
    result = run(tmp_path, *options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("\u2502", " ").split())
    assert not learned


def test_the_next_command_ends_a_run(tmp_path, learned):
    result = run(tmp_path, "--init", str(SHIPPED_MODEL))
    exports = [f"next: digitstrip-train export {each} " for each in (tmp_path, tmp_path / "second")]
    assert [line.rpartition(" ")[0] + " " for line in result.output.splitlines()[-2:]] == exports


def test_a_run_that_was_stopped_ends_with_a_status_that_stops_make(tmp_path, learned):
    result = run(tmp_path / "stopped", "--init", str(SHIPPED_MODEL))
    assert result.exit_code == 130
    assert "stopped; the same command goes on after the last whole epoch" in result.output
    assert len(learned) == 1
