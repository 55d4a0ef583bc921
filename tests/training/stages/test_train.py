import csv
import dataclasses
import itertools
import json
import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from training.config import Config
from training.data.digits import DigitSet, digest
from training.errors import DatasetError
from training.evaluation.plots import draw_log
from training.networks import NONE
from training.pages.strips import IGNORED
from training.stages.train import (
    LOG_FIELDS,
    Progressed,
    Run,
    fit,
    interruptible,
    learning_rate_factor,
)
from training.stages.windows import WindowBatches, WindowStage, make_strips, make_windows

# torch warns where there are more workers than cores; the results are the same.
ONE_CORE = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@dataclasses.dataclass(frozen=True)
class DigitsWithCtrlC(DigitSet):
    """The same digits; whoever asks how many they are presses Ctrl-C when it is time."""

    is_time: Callable[[], bool]

    def __len__(self):
        if self.is_time():
            os.kill(os.getpid(), signal.SIGINT)
        return super().__len__()


def after_an_epoch(digits, folder):
    """Press once, at the second epoch's first batch."""
    presses = iter([True])
    return DigitsWithCtrlC(
        digits.images,
        digits.labels,
        lambda: (folder / "checkpoint.pt").exists() and next(presses, False),
    )


def at_the_call(digits, number):
    calls = itertools.count()
    return DigitsWithCtrlC(digits.images, digits.labels, lambda: next(calls) == number)


def rows_of(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def described_by(folder):
    """What the best weights say of the one stage that made them."""
    state = torch.load(folder / "best.pt", weights_only=True)
    (described,) = json.loads(state["training"])["stages"]
    return described


def tensors_of(state, name=""):
    """Every tensor in a saved file, by its place."""
    if isinstance(state, torch.Tensor):
        return {name: state}
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, list | tuple):
        items = enumerate(state)
    else:
        return {}
    return {k: v for key, part in items for k, v in tensors_of(part, f"{name}/{key}").items()}


def assert_equal_to_the_bit(one, other):
    assert (one / "log.csv").read_bytes() == (other / "log.csv").read_bytes()
    for file in ("best.pt", "checkpoint.pt"):
        states = [torch.load(folder / file, weights_only=True) for folder in (one, other)]
        ours, theirs = (tensors_of(state) for state in states)
        assert ours.keys() == theirs.keys()
        assert len(ours) >= 8  # weight and bias of four layers
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), name
    assert states[0]["log"] == states[1]["log"]
    assert states[0]["best"] == states[1]["best"]
    assert states[0]["schedule"] == states[1]["schedule"]


# --- the learning rate


def test_the_learning_rate_rises_linearly_to_its_peak_and_falls_to_0():
    factors = [learning_rate_factor(step, 100, 0.05) for step in range(101)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1
    assert factors[52] == pytest.approx(0.5, abs=0.02)
    assert factors[100] == 0
    assert (np.diff(factors[5:]) < 0).all()


def test_the_learning_rate_falls_no_lower_than_its_floor():
    factors = [learning_rate_factor(step, 100, 0.05, 0.25) for step in range(101)]
    assert factors[5] == 1
    assert min(factors[5:]) == factors[100] == 0.25
    constant = [learning_rate_factor(step, 100, 0.05, 1.0) for step in range(5, 101)]
    assert set(constant) == {1.0}


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.05), (2, 0.05), (3, 0.0), (5, 1.0)])
def test_the_learning_rate_of_the_shortest_runs_is_a_share_above_0(steps, warmup):
    factors = [learning_rate_factor(step, steps, warmup) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)


# --- batches


def assert_same_batch(one, other):
    for ours, theirs in zip(one, other, strict=True):
        assert torch.equal(ours, theirs)


def test_a_batch_depends_on_the_seed_and_its_step_alone(training, config):
    third_of_three = WindowBatches(training, config, range(5, 8))[2]
    alone = WindowBatches(training, config, [7])[0]
    assert_same_batch(third_of_three, alone)
    other_step = WindowBatches(training, config, [8])[0]
    other_seed = WindowBatches(training, dataclasses.replace(config, seed=2), [7])[0]
    for other in (other_step, other_seed):
        assert (other[0] != alone[0]).any()
        assert (other[2] != alone[2]).any()


@ONE_CORE
def test_batches_do_not_depend_on_how_many_workers_make_them(training, config):
    batches = WindowBatches(training, dataclasses.replace(config, windows=16), range(3))
    by_none, by_two = (
        list(DataLoader(batches, batch_size=None, num_workers=workers)) for workers in (0, 2)
    )
    for one, other in zip(by_none, by_two, strict=True):
        assert_same_batch(one, other)


def test_a_batch_has_windows_and_strips_with_a_label_for_every_position(training, config):
    windows, window_labels, strips, strip_labels = WindowBatches(training, config, [0])[0]
    assert windows.shape == (96, 1, 32, 32)
    assert window_labels.shape == (96,)
    assert strips.shape == (2, 1, 32, 96)
    assert strip_labels.shape == (2, 17)  # (96 - 32) / 4 + 1
    assert {windows.dtype, strips.dtype} == {torch.uint8}
    assert set(window_labels.tolist()) <= {*range(10), NONE}
    assert set(strip_labels.flatten().tolist()) <= {*range(10), NONE, IGNORED}


@pytest.mark.parametrize("share", [0.0, 0.15, 1.0])
def test_the_share_of_windows_without_a_digit_is_the_config_s(training, share):
    config = dataclasses.replace(Config(), windows=300, none_share=share)
    _, labels = make_windows(training, np.random.default_rng(0), config)
    assert (labels == NONE).mean() == pytest.approx(share, abs=0.06 if 0 < share < 1 else 0)


def test_the_strips_of_a_batch_have_digits_none_and_ignored_positions(training, config):
    _, labels = make_strips(
        training, np.random.default_rng(0), dataclasses.replace(config, strips=20)
    )
    assert len(set(labels.flatten().tolist())) == 12


# --- learning


def test_the_loss_falls_over_a_few_steps(tmp_path, training, config):
    config = dataclasses.replace(config, learning_rate=1e-3, warmup=0.0)
    run = Run(tmp_path, WindowStage(config, training, training, "mnist5k"))
    losses = list(run.run_epoch(iter(WindowBatches(training, config, [0, 1] * 6))))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-2:]) < 0.9 * np.mean(losses[:2])


def test_a_run_leaves_its_weights_its_state_and_its_log(finished_run):
    assert {path.name for path in finished_run.iterdir()} == {
        "best.pt",
        "checkpoint.pt",
        "log.csv",
    }


def test_the_log_has_a_line_an_epoch_with_every_figure(finished_run, config):
    rows = rows_of(finished_run)
    assert tuple(rows[0]) == LOG_FIELDS == tuple(Progressed.__dataclass_fields__)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    losses = [float(row["loss"]) for row in rows]
    assert losses[0] > losses[1] > losses[2] > 0
    for row in rows:
        assert float(row["validation_loss"]) > 0
        assert 0 <= float(row["digit_error"]) <= 1
        assert 0 <= float(row["none_error"]) <= 1
    rates = [float(row["learning_rate"]) for row in rows]
    assert config.learning_rate > rates[0] > rates[1] > rates[2] == 0


def test_the_log_is_drawn_as_a_png(finished_run, tmp_path):
    draw_log(finished_run / "log.csv", tmp_path / "log.png")
    picture = (tmp_path / "log.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 10_000


def test_the_best_weights_say_what_they_were_made_from(finished_run, config, training, validation):
    described = described_by(finished_run)
    best = min(rows_of(finished_run), key=lambda row: float(row["validation_loss"]))
    assert described["data"] == "mnist5k"
    assert described["data_digest"] == digest(training)
    assert described["training_digits"] == len(training)
    assert described["held_out_digits"] == len(validation)
    assert Config(**described["config"]) == config
    assert {name: str(value) for name, value in described["validation"].items()} == best


# --- interruption


def test_a_run_interrupted_after_an_epoch_and_resumed_ends_as_one_never_interrupted(
    tmp_path, config, training, validation, finished_run
):
    fit(
        tmp_path,
        WindowStage(config, after_an_epoch(training, tmp_path), validation, "mnist5k"),
        workers=0,
    )
    assert len(rows_of(tmp_path)) == 1
    fit(tmp_path, WindowStage(config, training, validation, "mnist5k"), workers=0)
    assert_equal_to_the_bit(tmp_path, finished_run)


@ONE_CORE
def test_a_run_with_workers_ends_as_one_without(tmp_path, config, training, validation):
    once = dataclasses.replace(config, epochs=1)
    for workers in (0, 2):
        stage = WindowStage(once, training, validation, "mnist5k")
        fit(tmp_path / str(workers), stage, workers=workers)
    assert_equal_to_the_bit(tmp_path / "0", tmp_path / "2")


def test_ctrl_c_after_the_first_epoch_keeps_the_best_weights_and_returns(
    tmp_path, config, training, validation, finished_run
):
    handler = signal.getsignal(signal.SIGINT)
    digits = after_an_epoch(training, tmp_path)
    best = fit(tmp_path, WindowStage(config, digits, validation, "mnist5k"), workers=0).best
    assert best.epoch == 1
    assert {name: str(value) for name, value in vars(best).items()} == rows_of(finished_run)[0]
    described = described_by(tmp_path)
    assert described["validation"]["epoch"] == 1
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_before_the_first_epoch_is_complete_is_reported_and_keeps_nothing(
    tmp_path, config, training, validation
):
    with pytest.raises(DatasetError, match="stopped before the first epoch was complete"):
        fit(
            tmp_path,
            WindowStage(config, at_the_call(training, 5), validation, "mnist5k"),
            workers=0,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_called_again_returns_its_best_and_changes_nothing(
    tmp_path, config, training, validation, finished_run
):
    for file in finished_run.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    best = fit(tmp_path, WindowStage(config, training, validation, "mnist5k"), workers=0).best
    assert best.validation_loss == min(float(row["validation_loss"]) for row in rows_of(tmp_path))
    for file in finished_run.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_resuming_with_another_config_is_refused(config, training, validation, finished_run):
    other = dataclasses.replace(config, epochs=4)
    with pytest.raises(DatasetError, match=r"checkpoint\.pt: the checkpoint is of another config"):
        fit(finished_run, WindowStage(other, training, validation, "mnist5k"), workers=0)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_resuming_with_other_data_is_refused(config, training, validation, finished_run, part):
    changed = getattr(training, part).copy()
    changed.flat[0] += 1
    other = dataclasses.replace(training, **{part: changed})
    with pytest.raises(DatasetError, match="or other data; choose a new folder, or delete this"):
        fit(finished_run, WindowStage(config, other, validation, "mnist5k"), workers=0)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_refused_naming_it(tmp_path, config, training, validation, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(DatasetError, match=r"checkpoint\.pt"):
        fit(tmp_path, WindowStage(config, training, validation, "mnist5k"), workers=0)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content


def test_a_log_that_cannot_be_written_leaves_the_old_one_whole(
    tmp_path, config, training, validation, finished_run
):
    for file in finished_run.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    run = Run(tmp_path, WindowStage(config, training, validation, "mnist5k"))
    assert run.resume()
    run.log.append(dataclasses.make_dataclass("Odd", ["unknown_field"])(1))
    with pytest.raises(ValueError, match="unknown_field"):
        run.save()
    assert (tmp_path / "log.csv").read_bytes() == (finished_run / "log.csv").read_bytes()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interruptible_gives_both_signals_their_handlers_back(sign):
    before = signal.getsignal(sign)
    with interruptible() as interrupted:
        signal.raise_signal(sign)
        assert interrupted
    assert signal.getsignal(sign) is before


def test_within_interruptible_one_ctrl_c_is_noted_and_a_second_one_raises():
    handler = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupted:
        assert not interrupted
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler
