"""The training loop: seeded, resumable to the bit, and stoppable without loss."""

import csv
import json
import math
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from torch.utils.data import DataLoader

from training.config import StageRecord
from training.errors import DatasetError
from training.networks import NETWORKS, Network
from training.stages.stage import Batch, Stage

LOG_FIELDS = (
    "epoch",
    "loss",
    "validation_loss",
    "digit_error",
    "none_error",
    "string_error",
    "learning_rate",
)


@dataclass(frozen=True)
class Progressed:
    """One epoch's line of the training log; errors are shares, on held-out data."""

    epoch: int
    loss: float
    validation_loss: float
    digit_error: float
    none_error: float
    string_error: float
    learning_rate: float


@dataclass(frozen=True)
class Done:
    """How a stage ended."""

    best: Progressed
    finished: bool  # rather than ended early by Ctrl-C


class Run:
    """A training run in a folder: its state, its log, and its best weights."""

    def __init__(
        self,
        folder: Path,
        stage: Stage,
        before: Sequence[StageRecord] = (),
        initial: Network | None = None,
        device: str = "cpu",
    ) -> None:
        self.folder = folder
        self.stage = stage
        self.before = list(before)
        self.device = torch.device(device)
        torch.manual_seed(stage.seed)
        how = stage.optimization
        kind = NETWORKS[stage.network]
        self.network: Network = (
            kind(how.dropout) if initial is None else kind.of(initial.state_dict(), how.dropout)
        )
        self.network.to(self.device)
        if self.device.type == "cuda":  # a CPU takes 1.8 times as long with it
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(how.average),
            use_buffers=True,  # batch normalization's statistics are averaged as weights are
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
        )
        steps = stage.steps * stage.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, steps, how.warmup, how.floor)
        )
        self.initial = None if initial is None else deepcopy(initial).to(self.device)
        self.log: list[Progressed] = []
        self.best: Progressed | None = None

    @property
    def epoch(self) -> int:
        """How many epochs are complete."""
        return len(self.log)

    def found(self) -> Network:
        """Return the network that the run would end with now: the average of its weights.

        Where it went on from other weights, these may keep a share (`Optimization.kept`).
        """
        network = deepcopy(self.network)
        network.load_state_dict(self.average.module.state_dict())
        kept = self.stage.optimization.kept
        if self.initial is not None and kept:
            before = self.initial.state_dict()
            network.load_state_dict(
                {
                    name: torch.lerp(value, before[name], kept)
                    if value.is_floating_point()
                    else value
                    for name, value in network.state_dict().items()
                }
            )
        return network

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
        if json.loads(state["stage"]) != json.loads(self.described()):
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

    def described(self) -> str:
        """Return, as JSON, what a checkpoint must be of to go on with."""
        return json.dumps([*self.before, {"stage": self.stage.name, **self.stage.describe()}])

    def save(self) -> None:
        """Write the checkpoint and the log; an interruption leaves the old ones whole."""
        state = {
            "stage": self.described(),
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
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.stage.optimization.bfloat16
            ):
                loss = self.stage.loss(self.network, on_device)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.network)
            yield loss.item()


def fit(
    folder: Path,
    stage: Stage,
    before: Sequence[StageRecord] = (),
    initial: Network | None = None,
    device: str = "cpu",
    workers: int = 1,
) -> Done:
    """Train until the stage's last epoch, Ctrl-C or SIGTERM, and keep the best weights.

    The folder receives `checkpoint.pt` after every epoch, `best.pt` whenever the validation
    loss falls (or every time, if the stage keeps its last weights), and `log.csv`. Called again,
    it goes on where the last whole epoch ended, and ends with the same weights as a run that was
    never interrupted.

    Args:
        folder: where the run lives.
        stage: what is learned, from what, how.
        before: the records of the stages before, kept with the weights.
        initial: the weights to begin with; None draws them.
        device: "cpu" or "cuda".
        workers: processes that make batches; the batches do not depend on how many.

    Returns:
        The best epoch's figures, and whether the last one was reached.

    Raises:
        DatasetError: the folder's checkpoint is not of this run, or Ctrl-C came before the
            first epoch was complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, stage, before, initial, device)
    run.resume()
    columns = (
        TextColumn(f"{stage.name} {{task.fields[epoch]}}/{{task.fields[epochs]}}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[held_out]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown = Progress(*columns)
    shown.disable = not shown.console.is_terminal
    with shown as progress, interruptible() as interrupted:
        task = progress.add_task(
            "",
            total=stage.epochs * stage.steps,
            completed=run.epoch * stage.steps,
            epoch=run.epoch,
            epochs=stage.epochs,
            loss=math.nan,
            held_out="",
        )
        while run.epoch < stage.epochs and not interrupted:
            first = run.epoch * stage.steps
            batches = DataLoader(
                stage.batches(range(first, first + stage.steps)),
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
            network = run.found()
            judged = stage.judge(network, run.device)
            line = Progressed(
                epoch=run.epoch + 1,
                loss=float(np.mean(losses)),
                validation_loss=judged.loss,
                digit_error=judged.digit_error,
                none_error=judged.none_error,
                string_error=judged.string_error,
                learning_rate=float(run.schedule.get_last_lr()[0]),
            )
            run.log.append(line)
            better = run.best is None or line.validation_loss < run.best.validation_loss
            if better or stage.keeps_last:
                run.best = line
                save_whole(
                    {
                        "weights": network.state_dict(),
                        "training": json.dumps({"stages": [*run.before, record(run)]}),
                    },
                    folder / "best.pt",
                )
            run.save()
            held_out = (
                f"held out, wrong: digits {judged.digit_error:.2%}, none {judged.none_error:.2%}, "
                f"strings {judged.string_error:.1%}"
            )
            progress.update(task, held_out=held_out)
            if progress.disable:
                whole = f"{stage.name} {run.epoch}/{stage.epochs}: loss {line.loss:.4f}, {held_out}"
                progress.console.print(whole, soft_wrap=True, highlight=False)
    if run.best is None:
        raise DatasetError("stopped before the first epoch was complete; nothing was kept")
    return Done(run.best, run.epoch == stage.epochs)


def learning_rate_factor(step: int, steps: int, warmup: float, floor: float = 0.0) -> float:
    """Return the share of the peak learning rate at a step: up linearly, down as a cosine."""
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    fallen = 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
    return floor + (1 - floor) * fallen


def record(run: Run) -> StageRecord:
    """Return, JSON-ready, what the weights were made from: data, config and figures."""
    best = vars(run.best) if run.best else None
    return {"stage": run.stage.name, **run.stage.describe(), "validation": best}


def save_whole(state: Mapping[str, object], path: Path) -> None:
    """Write a file that is either the old one or the new one, never half of it."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def leave_interrupts_to_parent(_: int) -> None:
    """Let a batch-making process outlive Ctrl-C, so that the run can end in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class interruptible:  # noqa: N801 - used as a statement, like contextlib's own
    """Within the block, Ctrl-C or SIGTERM sets a flag; a second one raises."""

    def __init__(self) -> None:
        self.raised = False

    def __bool__(self) -> bool:
        return self.raised

    def __enter__(self) -> "interruptible":
        self.previous = {
            each: signal.signal(each, self._note) for each in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self.previous.items():
            signal.signal(each, handler)

    def _note(self, *_: object) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
