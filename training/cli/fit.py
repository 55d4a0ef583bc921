"""`digitstrip-train fit`: digits and scans to weights."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.data_options import DataDirOption, DataOption, Source, load_digits
from training.cli.output import console
from training.config import Config, SequenceConfig

if TYPE_CHECKING:
    from training.networks import LeNet5
    from training.stages.stage import Stage


class Device(StrEnum):
    """What a run computes on."""

    CPU = "cpu"
    CUDA = "cuda"


def fit(
    run: Annotated[Path, typer.Argument(help="The run's folder; an interrupted run goes on.")],
    data: DataOption = Source.MNIST,
    data_dir: DataDirOption = None,
    strips: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of scans to learn from, with a labels.csv; repeatable."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Go on with this model's weights, instead of the first stage."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = Config.seed,
    epochs: Annotated[int, typer.Option(min=1, help="Of the first stage.")] = Config.epochs,
    strip_epochs: Annotated[
        int | None, typer.Option(min=1, help="Of the second stage; left out, as is usual.")
    ] = None,
    device: Annotated[Device, typer.Option()] = Device.CPU,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make batches.")] = 1,
) -> None:
    """Train: windows first, then whole strips; Ctrl-C ends early and keeps the best weights."""
    from training.data.digits import split
    from training.data.scans import load_scans
    from training.evaluation.plots import draw_log
    from training.export import load, load_model, stages
    from training.stages.sequences import SequenceData, SequenceStage
    from training.stages.train import fit as train
    from training.stages.windows import WindowStage

    def stage(what: "Stage", initial: "tuple[LeNet5, str] | None") -> bool:
        folder = run / what.name
        before = stages(initial[1]) if initial else []
        network = initial[0] if initial else None
        done = train(folder, what, before, network, device.value, workers)
        draw_log(folder / "log.csv", folder / "log.png")
        best = done.best
        console.print(
            f"{what.name}, epoch {best.epoch}: held-out digits {best.digit_error:.2%} wrong, "
            f"`none` {best.none_error:.2%}, strings {best.string_error:.1%}; weights in "
            f"{folder / 'best.pt'}, curves in {folder / 'log.png'}"
        )
        return done.finished

    digits, held_out = split(load_digits(data, data_dir))
    console.print(f"{len(digits):,} digits to learn from, {len(held_out):,} held out")
    scans, held_out_scans = load_scans(strips) if strips else (None, None)
    if scans:
        kept = len(held_out_scans) if held_out_scans else 0
        console.print(f"{len(scans):,} scans to learn from, {kept:,} held out")
    windows = dataclasses.replace(Config(), seed=seed, epochs=epochs)
    if init is not None:
        initial = load_model(init)
    elif stage(WindowStage(windows, digits, held_out, data.value), None):
        initial = load(run / WindowStage.name / "best.pt")
    else:
        return
    config = SequenceConfig()
    if any(each["stage"] == SequenceStage.name for each in stages(initial[1])):
        config = SequenceConfig.further()
    config = dataclasses.replace(config, epochs=strip_epochs or config.epochs)
    stage(
        SequenceStage(
            windows,
            config,
            SequenceData(digits, scans),
            SequenceData(held_out, held_out_scans),
            [data.value, *(folder.resolve().name for folder in strips or ())],
        ),
        initial,
    )
