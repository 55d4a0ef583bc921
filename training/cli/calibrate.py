"""`digitstrip-train calibrate`: strips to calibration and thresholds in a model's metadata."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.data_options import (
    DataDirOption,
    DataOption,
    HeldOutOption,
    SecondReaderOption,
    Source,
    StripsOption,
    load_digits,
)
from training.cli.output import console


def calibrate(
    model: Annotated[Path, typer.Argument(help="The first reader's ONNX file.")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write; it may be the same.")],
    second_reader: SecondReaderOption = None,
    strips: StripsOption = None,
    held_out: HeldOutOption = False,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="Strips of each folder at most, so that none outweighs others."),
    ] = None,
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
    """Make confidences mean what they say, on your own strips or made ones; set thresholds.

    A thousand strips fit everything; fewer, from 30 on, adjust what was fitted before. With a
    second reader, the vote and the confidences of both together are fitted, too, and written into
    the first reader's file.
    """
    from service.recognition.model import Scorer, second_reader_file
    from training.data.digits import split
    from training.evaluation.calibrate import calibrate as fit_to
    from training.evaluation.calibrate import made_strips, read_all
    from training.evaluation.report import promises_table

    if made is None:
        made = 0 if strips else 2000
    digits = split(load_digits(data, data_dir))[1] if made else None
    strings = made_strips(digits, seed, made, pages) if digits else []
    second = second_reader_file(model, second_reader)
    alone = read_all(model, None, strips or [], held_out, strings, most)
    both = read_all(model, second, strips or [], held_out, strings, most) if second else []
    options = f"--data {data.value} --made {made} --pages {pages:g} --seed {seed}" if made else ""
    for fitted in fit_to(model, out, alone, second, both, options):
        console.print(promises_table(fitted))
    metadata = Scorer(out).metadata
    pairing = metadata.pairing if second else None
    for each in (pairing.calibration if pairing else metadata.calibration).thresholds:
        typer.echo(
            f"accepting at {each.error_rate:.1%}: {each.low:.1%} to {each.high:.1%} wrong, as far "
            "as these strips can tell"
        )
    typer.echo(f"{out} written")
