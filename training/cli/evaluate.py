"""`digitstrip-train evaluate`: a model to figures, pictures and the model card."""

from pathlib import Path
from typing import Annotated

import typer

from service.recognition.model import SHIPPED_MODEL
from training.cli.data_options import DataDirOption, HeldOutOption, SecondReaderOption, StripsOption
from training.cli.output import console


def evaluate(
    model: Annotated[Path, typer.Option(help="The ONNX file to evaluate.")] = SHIPPED_MODEL,
    second_reader: SecondReaderOption = None,
    data_dir: DataDirOption = None,
    strips: StripsOption = None,
    held_out: HeldOutOption = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the windows and strings made.")] = 1,
    mnist: Annotated[
        bool, typer.Option("--mnist", help="Measure MNIST's test digits, beside --strips, too.")
    ] = False,
    synthetic: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Strings to make of MNIST's test digits; 2,000 without --strips or with --card, "
            "else none.",
        ),
    ] = None,
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
    """Measure a model as the service uses it: on own strips, or MNIST's digits and made strings.

    With a second reader, each is measured alone, too.
    """
    from service.recognition.model import second_reader_file
    from training.data.digits import load_mnist
    from training.evaluation.evaluate import evaluate as measure
    from training.evaluation.model_card import write_card
    from training.evaluation.plots import draw_pictures
    from training.evaluation.report import figures_table, write_json

    for option, folder in (("--json", json and json.parent), ("--pictures", pictures)):
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{folder}: {error.strerror}", param_hint=option) from error
    if synthetic is None:
        synthetic = 2000 if card is not None or not strips else 0
    test = load_mnist(data_dir)[1] if mnist or synthetic or not strips else None
    second = second_reader_file(model, second_reader)
    figures = measure(model, test, strips or [], seed, synthetic, held_out, second)
    console.print(figures_table(figures))
    if json is not None:
        write_json(figures, json)
    if pictures is not None:
        draw_pictures(figures.sources, pictures)
    if card is not None:
        write_card(figures, card)
