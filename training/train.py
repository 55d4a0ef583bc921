"""The training loop: seeded, resumable to the bit, and stoppable without loss."""

import csv
import hashlib
import json
import math
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from training.batches import Batch, Batches, make_strips
from training.config import Config
from training.dataset import DatasetError, DigitSet
from training.model import NONE, LeNet5
from training.strips import IGNORED

LOG_FIELDS = ("epoch", "loss", "validation_loss", "digit_error", "none_error", "learning_rate")


@dataclass(frozen=True)
class Progressed:
    """One epoch's line of the training log; errors are shares, on held-out digits."""

    epoch: int
    loss: float
    validation_loss: float
    digit_error: float
    none_error: float
    learning_rate: float


def batch_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Return the negative log-likelihood: the mean over windows plus the mean over positions."""
    windows, window_labels, strips, strip_labels = batch
    of_windows = network(windows)[:, 0, 0]  # (windows, labels)
    of_strips = network(strips)[:, 0].flatten(0, 1)  # (strips × positions, labels)
    return F.nll_loss(of_windows, window_labels) + F.nll_loss(
        of_strips, strip_labels.flatten(), ignore_index=IGNORED
    )


class Validator:
    """Held-out figures on fixed data: what an epoch is judged by."""

    def __init__(self, digits: DigitSet, config: Config, device: torch.device) -> None:
        rng = np.random.default_rng([config.seed, 0, 1])
        fixed = Config(**{**config.to_dict(), "strips": config.validation_strips})
        strips, strip_labels = make_strips(digits, rng, fixed)
        self.config = config
        self.device = device
        self.batch = (
            torch.from_numpy(digits.images[:, None]),
            torch.from_numpy(digits.labels.astype(np.int64)),
            torch.from_numpy(strips[:, None]),
            torch.from_numpy(strip_labels),
        )

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> tuple[float, float, float]:
        """Return the mean loss, the digits' error and the error on `none` positions."""
        network.eval()
        windows, window_labels, strips, strip_labels = self.batch
        of_windows = self._scores(network, windows)[:, 0, 0]
        of_strips = self._scores(network, strips)[:, 0].flatten(0, 1)
        labels = strip_labels.flatten()
        loss = F.nll_loss(of_windows, window_labels) + F.nll_loss(of_strips, labels)
        nothing = labels == NONE
        return (
            loss.item(),
            (of_windows.argmax(1) != window_labels).double().mean().item(),
            (of_strips[nothing].argmax(1) != NONE).double().mean().item(),
        )

    def _scores(self, network: nn.Module, pixels: Tensor) -> Tensor:
        return torch.cat([network(part.to(self.device)).cpu() for part in pixels.split(128)])


class Run:
    """A training run in a folder: its state, its log, and its best weights."""

    def __init__(self, folder: Path, config: Config, digits: DigitSet, device: str = "cpu") -> None:
        self.folder = folder
        self.config = config
        self.digits = digits
        self.device = torch.device(device)
        torch.manual_seed(config.seed)
        self.network = LeNet5(config.dropout).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.average)
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.steps_per_epoch = max(len(digits) // config.windows, 1)
        steps = self.steps_per_epoch * config.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, steps, config.warmup)
        )
        self.log: list[Progressed] = []
        self.best: Progressed | None = None

    @property
    def epoch(self) -> int:
        """How many epochs are complete."""
        return len(self.log)

    def resume(self) -> bool:
        """Take up the folder's last checkpoint, if it has one.

        Raises:
            DatasetError: the checkpoint is damaged, or of another config or other data.
        """
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return False
        try:
            # Onto the CPU: the generator's state belongs there, and loading moves the rest.
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged archive raises almost anything
            raise DatasetError(
                f"{path}: expected a run's checkpoint, found {error}; delete it to begin again"
            ) from error
        if state["config"] != self.config.to_dict() or state["data"] != digest(self.digits):
            raise DatasetError(
                f"{path}: the checkpoint is of another config or other data; "
                "choose a new folder, or delete this one to begin again"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.log = [Progressed(**line) for line in state["log"]]
        self.best = Progressed(**state["best"]) if state["best"] else None
        return True

    def save(self) -> None:
        """Write the checkpoint and the log; an interruption leaves the old ones whole."""
        state = {
            "config": self.config.to_dict(),
            "data": digest(self.digits),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
            "log": [vars(line) for line in self.log],
            "best": vars(self.best) if self.best else None,
        }
        save_whole(state, self.folder / "checkpoint.pt")
        part = self.folder / "log.part"
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(vars(line) for line in self.log)
        part.replace(self.folder / "log.csv")

    def run_epoch(self, batches: Iterable[Batch]) -> Iterator[float]:
        """Train on an epoch's batches and yield each step's loss."""
        self.network.train()
        for batch in batches:
            on_device = tuple(part.to(self.device) for part in batch)
            loss = batch_loss(self.network, on_device)  # type: ignore[arg-type]  # a tuple of four
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.network)
            yield loss.item()


def fit(
    folder: Path,
    config: Config,
    training: DigitSet,
    validation: DigitSet,
    source: str,
    device: str = "cpu",
    workers: int = 1,
) -> Progressed:
    """Train until the config's last epoch or Ctrl-C, and keep the best weights.

    The folder receives `checkpoint.pt` after every epoch, `best.pt` whenever the validation
    loss falls, and `log.csv`. Called again, it goes on where the last whole epoch ended, and
    ends with the same weights as a run that was never interrupted.

    Args:
        folder: where the run lives.
        config: the knobs.
        training: the digits to learn.
        validation: held-out digits, which choose the best epoch.
        source: the data's name, kept with the weights.
        device: "cpu" or "cuda".
        workers: processes that make batches; the batches do not depend on how many.

    Returns:
        The best epoch's figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, config, training, device)
    run.resume()
    validate = Validator(validation, config, run.device)
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[held_out]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress, interruptible() as interrupted:
        task = progress.add_task(
            "",
            total=config.epochs * run.steps_per_epoch,
            completed=run.epoch * run.steps_per_epoch,
            epoch=run.epoch,
            epochs=config.epochs,
            loss=math.nan,
            held_out="",
        )
        while run.epoch < config.epochs and not interrupted:
            first = run.epoch * run.steps_per_epoch
            batches = DataLoader(
                Batches(training, config, range(first, first + run.steps_per_epoch)),
                batch_size=None,
                num_workers=workers,
                worker_init_fn=leave_interrupts_to_parent,
                # A fork would copy the progress bar's thread in the middle of its work.
                multiprocessing_context="spawn" if workers else None,
            )
            losses = []
            for loss in run.run_epoch(batches):
                losses.append(loss)
                progress.update(task, advance=1, epoch=run.epoch + 1, loss=loss)
                if interrupted:
                    break
            if interrupted:  # an epoch that was cut short is not kept: it would not be repeatable
                break
            loss, digit_error, none_error = validate(run.average.module)
            line = Progressed(
                epoch=run.epoch + 1,
                loss=float(np.mean(losses)),
                validation_loss=loss,
                digit_error=digit_error,
                none_error=none_error,
                learning_rate=float(run.schedule.get_last_lr()[0]),
            )
            run.log.append(line)
            if run.best is None or line.validation_loss < run.best.validation_loss:
                run.best = line
                save_whole(
                    {
                        "weights": run.average.module.state_dict(),
                        "training": training_digest(run, source, len(validation)),
                    },
                    folder / "best.pt",
                )
            run.save()
            held_out = f"held out: digits {digit_error:.2%}, none {none_error:.2%} wrong"
            progress.update(task, held_out=held_out)
    if run.best is None:
        raise DatasetError("stopped before the first epoch was complete; nothing was kept")
    return run.best


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the share of the peak learning rate at a step: up linearly, down as a cosine."""
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def digest(digits: DigitSet) -> str:
    """Return a hash of the digits, so that a run is only ever resumed on its own data."""
    content = hashlib.sha256(digits.images.tobytes())
    content.update(digits.labels.tobytes())
    return content.hexdigest()[:16]


def training_digest(run: Run, source: str, validation_digits: int) -> str:
    """Return, as JSON, what the weights were made from: data, config and figures."""
    return json.dumps(
        {
            "data": source,
            "data_digest": digest(run.digits),
            "training_digits": len(run.digits),
            "validation_digits": validation_digits,
            "config": run.config.to_dict(),
            "validation": vars(run.best),
        }
    )


def save_whole(state: dict[str, Any], path: Path) -> None:
    """Write a file that is either the old one or the new one, never half of it."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def leave_interrupts_to_parent(_: int) -> None:
    """Let a batch-making process outlive Ctrl-C, so that the run can end in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class interruptible:  # noqa: N801 - used as a statement, like contextlib's own
    """Within the block, Ctrl-C sets a flag instead of raising; a second one raises."""

    def __init__(self) -> None:
        self.raised = False

    def __bool__(self) -> bool:
        return self.raised

    def __enter__(self) -> "interruptible":
        self.previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.previous)

    def _note(self, *_: object) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
