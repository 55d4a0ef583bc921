"""`digitstrip-train fit`: digits and scans to weights."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.data_options import (
    DataDirOption,
    DataOption,
    SecondReaderOption,
    Source,
    load_hands_beside,
)
from training.config import Config, SequenceConfig

if TYPE_CHECKING:
    from training.data.scans import LineSet
    from training.networks import Network
    from training.pages.cuttings import Cuttings
    from training.stages.stage import Stage


SECOND = "second"  # the folder, in a run's, in which the second reader goes on
INTERRUPTED = 130  # exit status, as a shell gives it after Ctrl-C


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
    second_reader: SecondReaderOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = Config.seed,
    epochs: Annotated[int, typer.Option(min=1, help="Of the first stage.")] = Config.epochs,
    strip_epochs: Annotated[
        int | None, typer.Option(min=1, help="Of the second stage; left out, as is usual.")
    ] = None,
    keep: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="The share of --init's weights in the mean of those and the new."
        ),
    ] = 0.0,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file of knobs to change, as `config` prints them."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="TABLE.KNOB=VALUE", help="A knob to change; repeatable, and last."
        ),
    ] = None,
    device: Annotated[Device, typer.Option()] = Device.CPU,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make batches.")] = 1,
) -> None:
    """Train a network: LeNet-5 on windows first, both on whole strips; Ctrl-C keeps the best.

    A run that was stopped ends with status 130, so that `make train` stops with it. With --init and
    a second reader, both networks learn from the same strips; the second one's run is the folder
    `second` in RUN.
    """
    from service.recognition.model import second_reader_file
    from training.data.scans import load_scans
    from training.evaluation.plots import draw_log
    from training.export import load, load_model, stages
    from training.knobs import Knobs
    from training.stages.sequences import SequenceData, SequenceStage
    from training.stages.train import fit as train
    from training.stages.windows import WindowStage

    def stage(what: "Stage", initial: "tuple[Network, str] | None", run: Path = run) -> bool:
        folder = run / what.name
        before = stages(initial[1]) if initial else []
        network = initial[0] if initial else None
        done = train(folder, what, before, network, device.value, workers)
        draw_log(folder / "log.csv", folder / "log.png")
        best = done.best
        typer.echo(
            f"{what.name}, epoch {best.epoch}: held-out digits {best.digit_error:.2%} wrong, "
            f"`none` {best.none_error:.2%}, strings {best.string_error:.1%}; weights in "
            f"{folder / 'best.pt'}, curves in {folder / 'log.png'}"
        )
        return done.finished

    check(run, network, init, keep, second_reader)
    knobs = Knobs.read(config, settings or ())
    second = second_reader_file(init, second_reader) if init is not None else None
    learned, held_out, sources = load_hands_beside(data, data_dir, hands, seed)
    typer.echo(f"{len(learned.digits):,} digits to learn from, {len(held_out):,} held out")
    scans, held_out_scans = load_scans(strips) if strips else (None, None)
    cuttings = None
    if scans:
        kept = len(held_out_scans) if held_out_scans else 0
        typer.echo(f"{len(scans):,} scans to learn from, {kept:,} held out")
        cuttings = cut(scans, cutter) if cutter is not None else None
    windows = knobs.on("windows", Config(seed=seed, epochs=epochs))

    def lines(network: str, initial: "tuple[Network, str] | None", run: Path = run) -> bool:
        usual = SequenceConfig.after(stages(initial[1]) if initial else [])
        config = dataclasses.replace(usual, epochs=strip_epochs or usual.epochs, kept=keep)
        what = SequenceStage(
            windows,
            knobs.on("lines", config),
            dataclasses.replace(learned, scans=scans, cuttings=cuttings),
            SequenceData(held_out, held_out_scans),
            [*sources, *(folder.resolve().name for folder in strips or ())],
            pages=knobs.pages,
            network=network,
        )
        return stage(what, initial, run)

    if init is not None:
        first = load_model(init)
        finished, trained = lines(first[0].name, first), [run]
        if finished and second is not None:
            other = load_model(second)
            finished, trained = lines(other[0].name, other, run / SECOND), [run, run / SECOND]
    elif network is NetworkName.CONTEXT:
        finished, trained = lines(network.value, None), [run]
    else:
        windowed = stage(WindowStage(windows, learned.digits, held_out, ", ".join(sources)), None)
        finished = windowed and lines(network.value, load(run / WindowStage.name / "best.pt"))
        trained = [run]
    if not finished:
        typer.echo("stopped; the same command goes on after the last whole epoch")
    for folder in trained:
        typer.echo(f"next: digitstrip-train export {folder} {folder / 'model.onnx'}")
    if not finished:
        raise typer.Exit(INTERRUPTED)


def cut(scans: "LineSet", cutter: Path) -> "Cuttings | None":
    """Cut digits from scans by a model; None where some digit is missing."""
    from service.recognition.model import Scorer
    from training.pages.cuttings import Cuttings

    found = Cuttings.of(scans, Scorer(cutter))
    typer.echo(f"{len(found):,} digits cut from scans")
    return found if found.complete() else None


def check(
    run: Path, network: NetworkName, init: Path | None, keep: float, second_reader: str | None
) -> None:
    """Check that the options go together, and with what lies in the run's folder.

    Raises:
        typer.BadParameter: they do not.
    """
    from training.stages.sequences import SequenceStage
    from training.stages.windows import WindowStage

    begun = [name for name in (WindowStage.name, SequenceStage.name) if (run / name).exists()]
    if init is None and network is NetworkName.LENET5 and begun == [SequenceStage.name]:
        raise typer.BadParameter(
            f"{run} was begun with it, or with --network context; give the same options to go on, "
            "or name a new folder",
            param_hint="--init",
        )
    if init is not None and WindowStage.name in begun:
        raise typer.BadParameter(
            f"{run} was begun without it; leave it out to go on, or name a new folder",
            param_hint="--init",
        )
    if init is None and keep:
        raise typer.BadParameter("it goes beside --init", param_hint="--keep")
    if init is None and second_reader is not None:
        raise typer.BadParameter("it goes on beside --init", param_hint="--second-reader")
