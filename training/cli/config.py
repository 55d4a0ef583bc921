"""`digitstrip-train config`: every knob of training and of made pages."""

import typer

from training.knobs import listing


def config() -> None:
    """Print every knob with its default and its meaning, as TOML that `fit --config` takes.

    Keep the lines that you change. `fit --init` goes on with fewer epochs and a lower rate.
    """
    for line in listing():
        typer.echo(line)
