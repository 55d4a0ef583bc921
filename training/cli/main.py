"""`digitstrip-train`: from labels and `fit` to a model that is exported, calibrated, measured."""

from typing import Annotated

import typer
from rich.console import Console

from service.cli.output import show_version
from service.errors import DigitstripError
from service.extras import libraries_of
from training.cli.adapt import adapt
from training.cli.calibrate import calibrate
from training.cli.config import config
from training.cli.evaluate import evaluate
from training.cli.export import export
from training.cli.fit import fit
from training.cli.labels import labels
from training.cli.lecture import lecture
from training.cli.quantize import quantize
from training.cli.samples import samples

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def callback(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Train Digitstrip's network, export it for the service, and measure what it reads."""


for command in (
    labels,
    fit,
    config,
    adapt,
    export,
    quantize,
    calibrate,
    evaluate,
    samples,
    lecture,
):
    app.command()(command)


def main() -> None:
    """Run the command line; what Digitstrip refuses ends it with a sentence."""
    try:
        app()
    except ModuleNotFoundError as error:
        libraries = " ".join(libraries_of("training")) or str(error.name)
        Console(stderr=True).print(
            f"error: {error.name} is not installed; this command needs the extra `training`: "
            f"`make .venv/all` in a checkout, or pip install {libraries}; on Linux, install "
            "PyTorch's build for CPUs before, as its site says, or it brings gigabytes of CUDA",
            style="red",
            markup=False,
            soft_wrap=True,
        )
        raise SystemExit(1) from error
    except DigitstripError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False)
        raise SystemExit(1) from error
