"""`digitstrip-train labels`: corrected readings to a folder of labeled scans."""

from pathlib import Path
from typing import Annotated

import typer

from service.batch.options import DpiOption


def labels(
    readings: Annotated[
        Path,
        typer.Argument(
            help="A CSV that `digitstrip batch` wrote, to which a column `corrected` was added."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The folder to make: scans and a labels.csv.")],
    dpi: DpiOption = 300,
) -> None:
    """Make a folder to evaluate, fit and calibrate on from the corrected readings of a batch.

    In the column `corrected` stands what is right, `ok` where the reading is, or `none` where there
    are no digits. Rows with nothing there are left out: nobody has looked at them.
    """
    from service.review.labels import Labeled, write_folder
    from service.review.sources import Sources
    from training.data.labels import read_corrections
    from training.errors import DatasetError

    corrections = read_corrections(readings)
    for sentence in corrections.doubtful:
        typer.echo(sentence)
    if not corrections.labels:
        raise DatasetError(f"{readings}: the column `corrected` has nothing to learn from")
    labeled = [Labeled(each.file, each.page, each.text) for each in corrections.labels]
    folder = write_folder(labeled, Sources(readings.parent, dpi), out)
    for sentence in folder.missing:
        typer.echo(f"left out: {sentence}")
    unchecked = corrections.unchecked
    rest = f"; {unchecked:,} rows without a correction were left out" if unchecked else ""
    typer.echo(f"{folder.written:,} labeled scans in {out}{rest}")
    typer.echo(f"next: digitstrip-train evaluate --strips {out}")
