"""`digitstrip-train calibrate`: strips to calibration and thresholds in a model's metadata."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.data_options import (
    DataDirOption,
    DataOption,
    HeldOutOption,
    Source,
    StripsOption,
    load_digits,
)
from training.cli.output import console


def calibrate(
    model: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write; it may be the same.")],
    strips: StripsOption = None,
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
