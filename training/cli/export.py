"""`digitstrip-train export`: weights to the ONNX file that the service reads with."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    model: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
) -> None:
    """Write a run's best weights as an ONNX file, once both are proven to agree."""
    from training.export import export as write
    from training.export import latest

    difference = write(latest(run), model)
    typer.echo(f"{model} written; torch and onnxruntime differ by {difference:.1e} at most")
