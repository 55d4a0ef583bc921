"""Figures to tables and JSON."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.table import Table

from training.evaluation.calibrate import RATE, Fitted
from training.evaluation.evaluate import Figures, SourceFigures
from training.evaluation.metrics import PROMISED, Estimate
from training.networks import LABELS

Row = tuple[str, ...]


def markdown_table(heads: Row, rows: Iterable[Row]) -> str:
    """Return a table as Markdown."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure_rows(figures: Figures) -> list[Row]:
    """Return (what, on how many, figure) for everything that was measured."""
    windows = figures.windows
    rows: list[Row] = []
    if windows is not None:
        digits = f"{windows.digits:,} test digits"
        rows.append(("digits, error", digits, f"{windows.digit_error:.2%}"))
        rows += [
            (f"`none` found, {kind}", f"{windows.nothing[kind]:,} windows", f"{share:.2%}")
            for kind, share in windows.none_found.items()
        ]
    for source in figures.sources:
        rows += source_rows(source)
    return rows


def source_rows(source: SourceFigures) -> Iterator[Row]:
    """Yield the rows of one source of strips."""
    name, of = source.reads.source, source.figures
    strips = f"{of.strips:,} strips"
    if source.reads.unreadable:
        strips += f" ({len(source.reads.unreadable):,} more unreadable)"
    yield f"{name}: exact strings", strips, interval(of.exact, 1)
    if source.reads.unsure:
        yield f"{name}: reviewed because they were unsure", strips, f"{source.reads.unsure:,}"
    weights = np.array([read.weight for read in source.reads.reads])
    if not np.allclose(weights, 1):
        right = np.array([read.right for read in source.reads.reads])
        whole = f"{weights @ right / weights.sum():.1%}"
        yield f"{name}: exact strings, as in the whole batch", strips, whole
    yield f"{name}: character error rate", strips, interval(of.character_error_rate, 2)
    some = f"{of.repeated.strips:,} strips"
    if of.repeated.exact is not None and of.repeated.others is not None:
        yield f"{name}: exact, two equal neighbors", some, f"{of.repeated.exact:.1%}"
        yield f"{name}: exact, others of their lengths", some, f"{of.repeated.others:.1%}"
    yield (
        f"{name}: expected calibration error",
        strips,
        f"{of.reliability.error:.1%}; exact confidences would show {of.reliability.chance:.1%}",
    )
    accepted = [read for read in source.reads.reads if read.accepted]
    wrong = sum(not read.right for read in accepted)
    yield (
        f"{name}: accepted by the service, for {PROMISED:.0%} error",
        strips,
        f"{len(accepted) / of.strips:.1%}, {wrong:,} of {len(accepted):,} wrong",
    )
    for rate, covered in of.coverage.at.items():
        yield f"{name}: acceptable in hindsight, at {rate} error", strips, f"{covered:.1%}"
    yield f"{name}: area under risk and coverage", strips, f"{of.coverage.area:.4f}"


def interval(of: Estimate, decimals: int) -> str:
    """Return a share with its interval, in percent; without one where strips are too alike."""
    value, low, high = (f"{100 * each:.{decimals}f}" for each in (of.value, of.low, of.high))
    if of.low == of.high:
        return f"{value}%"
    return f"{value}% ({low} to {high})"


def figures_table(figures: Figures) -> Table:
    """Return the figures as a table for the terminal."""
    table = Table("what", "on", "figure", title=f"model {figures.digest[:12]}", box=None)
    for row in figure_rows(figures):
        table.add_row(*row)
    return table


def promises_table(fitted: Fitted) -> Table:
    """Return what calibrations promise, before and after, as a table for the terminal."""
    columns = ("strips", "", "calibration error", f"accepted at {RATE:.0%}", "wrong of these")
    table = Table(*columns, title=fitted.readers, box=None)
    for pair in fitted.promises:
        for when, each in zip(("before", "after"), pair, strict=True):
            name = f"{each.source} ({each.strips:,})" if when == "before" else ""
            of_these = f"{each.risk:.2%}" if each.coverage else ""
            table.add_row(name, when, f"{each.error:.1%}", f"{each.coverage:.1%}", of_these)
    return table


def write_json(figures: Figures, path: Path) -> None:
    """Write all figures, and every string that was read, as JSON."""
    document = {
        "model": figures.digest,
        "calibration": json.loads(figures.calibration.to_json()),
        "evaluation": figures.command,
        "labels": LABELS,
        "windows": asdict(figures.windows) if figures.windows else None,
        "sources": [
            {
                "source": each.reads.source,
                **asdict(each.figures),
                "unreadable": each.reads.unreadable,
                "reads": [asdict(read) for read in each.reads.reads],
            }
            for each in figures.sources
        ],
    }
    path.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
