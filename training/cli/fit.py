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
    from training.networks import Network
    from training.stages.stage import Stage


class NetworkName(StrEnum):
    """Which network learns."""

    LENET5 = "lenet5"
    CONTEXT = "context"


class Device(StrEnum):
    """What a run computes on."""

    CPU = "cpu"
    CUDA = "cuda"


def fit(
    run: Annotated[Path, typer.Argument(help="The run's folder; an interrupted run goes on.")],
    network: Annotated[
        NetworkName, typer.Option(help="The first reader, or the second; --init knows its own.")
    ] = NetworkName.LENET5,
    data: DataOption = Source.MNIST,
    data_dir: DataDirOption = None,
    hands: Annotated[
        Path | None,
        typer.Option(help="A folder with digits of other hands, for half of what is written."),
    ] = None,
    strips: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of scans to learn from, with a labels.csv; repeatable."),
    ] = None,
    cutter: Annotated[
        Path | None,
        typer.Option(help="A model that finds the scans' digits, to set other strings from them."),
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
    """Train a network: LeNet-5 on windows first, both on whole strips; Ctrl-C keeps the best."""
    from service.recognition.model import Scorer
    from training.data.digits import split
    from training.data.scans import load_scans
    from training.evaluation.plots import draw_log
    from training.export import load, load_model, stages
    from training.pages.cuttings import Cuttings
    from training.pages.hands import joined, load_hands
    from training.stages.sequences import SequenceData, SequenceStage
    from training.stages.train import fit as train
    from training.stages.windows import WindowStage

    def stage(what: "Stage", initial: "tuple[Network, str] | None") -> bool:
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

    mnist, held_out = split(load_digits(data, data_dir))
    digits, sources = mnist, [data.value]
    if hands is not None:
        others = load_hands(hands)
        digits, held_out = others.beside(mnist, seed), joined([held_out, others.held_out])
        sources += others.names
    console.print(f"{len(digits):,} digits to learn from, {len(held_out):,} held out")
    scans, held_out_scans = load_scans(strips) if strips else (None, None)
    cuttings = None
    if scans:
        kept = len(held_out_scans) if held_out_scans else 0
        console.print(f"{len(scans):,} scans to learn from, {kept:,} held out")
        if cutter is not None:
            found = Cuttings.of(scans, Scorer(cutter))
            cuttings = found if found.complete() else None
            console.print(f"{len(found):,} digits cut from scans")
    windows = dataclasses.replace(Config(), seed=seed, epochs=epochs)
    initial: tuple[Network, str] | None = None
    if init is not None:
        initial = load_model(init)
        network = NetworkName(initial[0].name)
    elif network is NetworkName.LENET5:
        if not stage(WindowStage(windows, digits, held_out, ", ".join(sources)), None):
            return
        initial = load(run / WindowStage.name / "best.pt")
    config = SequenceConfig.after(stages(initial[1]) if initial else [])
    config = dataclasses.replace(config, epochs=strip_epochs or config.epochs)
    stage(
        SequenceStage(
            windows,
            config,
            SequenceData(digits, scans, cuttings, mnist),
            SequenceData(held_out, held_out_scans),
            [*sources, *(folder.resolve().name for folder in strips or ())],
            network=network.value,
        ),
        initial,
    )
