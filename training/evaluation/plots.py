"""Figures to pictures: training curves, risk and coverage, confusions, the worst mistakes."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from training.evaluation.evaluate import SYNTHETIC, Mistake, SourceFigures
from training.evaluation.metrics import RATES
from training.networks import LABELS, NONE
from training.pages import contact_sheet

MISTAKES = 80  # on the sheet of the worst
PAGE_HEIGHT = 72  # of a mistake's page on the sheet, pixels
PAGE_WIDTH = 480

Sources = Sequence[SourceFigures]


def draw_log(log: Path, picture: Path) -> None:
    """Draw a training log (`log.csv`) as curves: the losses, and the held-out errors."""
    with log.open(newline="") as file:
        lines = [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)
        ]
    epochs = [line["epoch"] for line in lines]
    mark = "o" if len(lines) == 1 else None  # a line of one point is none
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    losses.plot(epochs, [line["loss"] for line in lines], marker=mark, label="training (augmented)")
    losses.plot(epochs, [line["validation_loss"] for line in lines], marker=mark, label="held out")
    losses.set(xlabel="epoch", ylabel="negative log-likelihood", yscale="log")
    for name, label in (("string", "strings"), ("none", "none"), ("digit", "digits")):
        errors.plot(
            epochs, [100 * line[f"{name}_error"] for line in lines], marker=mark, label=label
        )
    errors.set(xlabel="epoch", ylabel="held-out error, %", yscale="log")
    for axes in (losses, errors):
        axes.legend(frameon=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        _plain(axes)
    figure.savefig(picture, dpi=120)


def draw_pictures(sources: Sources, folder: Path) -> None:
    """Draw all pictures of an evaluation into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_trust(sources, folder / "risk-coverage.png")
    draw_confusions(sources, folder / "confusions.png")
    # Made strings have no doubtful labels to find: they are shown where there is nothing else.
    scanned = [each for each in sources if each.reads.source != SYNTHETIC] or sources
    mistakes = [mistake for source in scanned for mistake in source.reads.mistakes]
    if mistakes:
        draw_worst(mistakes).save(folder / "worst.png", format="PNG")


def draw_trust(sources: Sources, picture: Path) -> None:
    """Draw what confidences are worth: risk over coverage, and whether they mean what they say."""
    figure = Figure(figsize=(10.5, 4.8), layout="constrained")
    risk, meaning = figure.subplots(1, 2)
    for source in sources:
        curve = source.figures.coverage.curve
        covered = [100 * each.coverage for each in curve]
        risk.plot(covered, [100 * each.risk for each in curve], label=_named(source), lw=1.8)
        bins = source.figures.reliability.bins
        meaning.plot(
            [100 * each.confidence for each in bins],
            [100 * each.exact for each in bins],
            "o-",
            label=f"{source.reads.source}: error {source.figures.reliability.error:.1%}",
            lw=1.2,
            ms=4.5,
        )
    for rate in RATES:
        risk.axhline(100 * rate, color="0.6", lw=0.8, ls=":", zorder=0)
    most = max(each.risk for source in sources for each in source.figures.coverage.curve)
    risk.set(xlabel="strings accepted, the most confident first, %")
    risk.set(ylabel="wrong among those accepted, %")
    risk.set(title="Risk and coverage", xlim=(0, 100), ylim=(0, max(105 * most, 6)))
    meaning.plot([0, 100], [0, 100], color="0.6", lw=0.8, ls=":", zorder=0)
    meaning.set(xlabel="confidence, %", ylabel="strings read right, %")
    meaning.set(title="Reliability", xlim=(0, 101), ylim=(0, 101), aspect="equal")
    for axes in (risk, meaning):
        axes.legend(frameon=False, loc="upper left")
        _plain(axes)
    figure.savefig(picture, dpi=120)


def draw_confusions(sources: Sources, picture: Path) -> None:
    """Draw which digits were taken for which, with those that were missed or invented."""
    figure = Figure(figsize=(1 + 5.2 * len(sources), 5.6), layout="constrained")
    names = LABELS[:NONE]
    for axes, source in zip(
        figure.subplots(1, len(sources), squeeze=False)[0], sources, strict=True
    ):
        table = np.array(source.figures.confusions)
        right = int(table.trace())
        np.fill_diagonal(table, 0)
        axes.imshow(np.sqrt(table), cmap="Blues")
        for (written, read), count in np.ndenumerate(table):
            if count:
                deep = np.sqrt(count) > 0.6 * np.sqrt(table.max())
                color = "white" if deep else "black"
                axes.text(read, written, f"{count}", ha="center", va="center", c=color, size=8)
        axes.set_xticks(range(len(LABELS)), [*names, "missed"])
        axes.set_yticks(range(len(LABELS)), [*names, "invented"])
        for line in (axes.axhline, axes.axvline):
            line(NONE - 0.5, color="0.6", lw=0.8)
        axes.plot([-0.5, NONE - 0.5], [-0.5, NONE - 0.5], color="0.85", lw=0.8, zorder=0)
        axes.set(xlabel="read", ylabel="written")
        axes.set_title(f"{source.reads.source}: {table.sum():,} mistakes, {right:,} digits right")
    figure.savefig(picture, dpi=120)


def draw_worst(mistakes: Sequence[Mistake]) -> Image.Image:
    """Draw the most confident mistakes; where labels can be wrong, these are the doubtful ones."""
    worst = sorted(mistakes, key=lambda each: -each.read.confidence)[:MISTAKES]
    title = f"The {len(worst)} most confident of {len(mistakes):,} mistakes"
    note = "what the label says  ·  what was read, and its confidence  ·  file"
    return contact_sheet.draw([_card(mistake) for mistake in worst], title, note)


def _card(mistake: Mistake) -> contact_sheet.Card:
    read = mistake.read
    lines = (
        (read.truth or "(nothing)", contact_sheet.INK),
        (f"{read.text or '(nothing)'}   {read.confidence:.1%}", contact_sheet.WRONG),
        (read.source, contact_sheet.DIM),
    )
    return contact_sheet.Card((contact_sheet.sized(mistake.page, PAGE_HEIGHT, PAGE_WIDTH),), lines)


def _named(source: SourceFigures) -> str:
    return f"{source.reads.source}: {source.figures.strips:,} strings"


def _plain(axes: Axes) -> None:
    """Draw a grid, and no frame where nothing is measured."""
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
