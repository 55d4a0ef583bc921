"""Figures to what people look at: training curves and MODEL_CARD.md."""

import csv
from pathlib import Path


def draw_log(log: Path, picture: Path) -> None:
    """Draw a training log (`log.csv`) as curves: the losses, and the held-out errors."""
    from matplotlib.figure import Figure

    with log.open(newline="") as file:
        lines = [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)
        ]
    epochs = [line["epoch"] for line in lines]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    losses.plot(epochs, [line["loss"] for line in lines], label="training (augmented)")
    losses.plot(epochs, [line["validation_loss"] for line in lines], label="held out")
    losses.set(xlabel="epoch", ylabel="negative log-likelihood", yscale="log")
    errors.plot(epochs, [100 * line["digit_error"] for line in lines], label="digits")
    errors.plot(epochs, [100 * line["none_error"] for line in lines], label="none")
    errors.set(xlabel="epoch", ylabel="held-out error, %", yscale="log")
    for axes in (losses, errors):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=120)
