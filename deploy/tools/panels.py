"""A dashboard's panels as Grafana lays them out, drawn with matplotlib."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

COLUMNS = 24
CELL = (0.68, 0.42)  # inches of a grid cell
GROUND, PANEL, EDGE, INK, FAINT = "#f4f5f5", "#ffffff", "#dfe1e4", "#24292e", "#72777d"
COLORS = ["#3274d9", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#b8860b", "#0a9396"]
STYLE = {"font.family": "DejaVu Sans", "font.size": 8, "axes.edgecolor": EDGE, "text.color": INK}

Answers = Mapping[tuple[int, str], list[dict[str, Any]]]
Line = tuple[str, np.ndarray, np.ndarray]  # its name; seconds since the beginning; values


def draw(board: dict[str, Any], answers: Answers, began: float, ended: float, path: Path) -> None:
    """Draw a dashboard.

    Args:
        board: Grafana's JSON model.
        answers: Prometheus's series, by a panel's id and a target's refId.
        began: when the run began, seconds since the epoch.
        ended: when it ended.
        path: where the picture goes.
    """
    rows = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in board["panels"])
    with mpl.rc_context(STYLE):
        figure = Figure((COLUMNS * CELL[0], rows * CELL[1]), dpi=110, facecolor=GROUND)
        for panel in board["panels"]:
            lines = [
                (name(target["legendFormat"], series["metric"]), *points(series, began))
                for target in panel["targets"]
                for series in answers[panel["id"], target["refId"]]
            ]
            _draw_panel(figure, panel, lines, rows, ended - began)
        figure.savefig(path)


def name(legend: str, labels: Mapping[str, str]) -> str:
    """Return a series' name: the legend with its labels filled in."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def points(series: dict[str, Any], began: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a series' times, seconds since the beginning, and its values."""
    values = np.array([(float(at), float(value)) for at, value in series["values"]])
    return values[:, 0] - began, values[:, 1]


def formatted(unit: str) -> Callable[[float], str]:
    """Return how values of one of Grafana's units are written."""

    def scaled(value: float, base: float, steps: tuple[str, ...]) -> str:
        power = min(int(math.log(abs(value), base)), len(steps) - 1) if abs(value) >= base else 0
        return f"{value / base**power:.3g}{steps[power]}"

    def write(value: float) -> str:
        if not math.isfinite(value):
            return "-"
        if unit == "percentunit":
            return f"{100 * value:.3g}%"
        if unit == "bytes":
            return scaled(value, 1024, (" B", " KiB", " MiB", " GiB"))
        if unit == "s":
            return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
        return scaled(value, 1000, ("", " K", " M", " G"))

    return write


def _draw_panel(
    figure: Figure, panel: dict[str, Any], lines: list[Line], rows: int, seconds: float
) -> None:
    at, write = panel["gridPos"], formatted(panel["fieldConfig"]["defaults"]["unit"])
    width, height = COLUMNS * CELL[0], rows * CELL[1]
    left, top = at["x"] * CELL[0] + 0.06, height - at["y"] * CELL[1] - 0.06
    wide, high = at["w"] * CELL[0] - 0.12, at["h"] * CELL[1] - 0.12

    def axes(margins: tuple[float, float, float, float]) -> Axes:
        """Make axes inside the panel; margins in inches: left, bottom, right, top."""
        x, y = left + margins[0], top - high + margins[1]
        inner = wide - margins[0] - margins[2], high - margins[1] - margins[3]
        return figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))

    card = axes((0, 0, 0, 0))
    card.set(facecolor=PANEL, xticks=[], yticks=[])
    title = {"transform": figure.transFigure, "va": "top"}
    card.text((left + 0.1) / width, (top - 0.08) / height, panel["title"], weight="bold", **title)
    if "description" in panel:
        what = {"fontsize": 6.5, "color": FAINT} | title
        card.text((left + 0.1) / width, (top - 0.25) / height, panel["description"], **what)
    if panel["type"] == "stat":
        _draw_stat(axes((0.1, 0.08, 0.1, 0.95)), lines, write, card)
    else:
        _draw_series(axes((0.62, 0.62, 0.15, 0.48)), panel, lines, write, seconds)


def _draw_stat(small: Axes, lines: list[Line], write: Callable[[float], str], card: Axes) -> None:
    small.axis("off")
    if not lines:
        card.text(0.5, 0.5, "no data", transform=card.transAxes, ha="center", color=FAINT)
        return
    _, times, values = lines[0]
    card.text(0.5, 0.6, write(values[-1]), transform=card.transAxes, ha="center", va="center",
              fontsize=20)  # fmt: skip
    small.fill_between(times, values, color=COLORS[0], alpha=0.15, linewidth=0)
    small.plot(times, values, color=COLORS[0], linewidth=0.8)
    small.set_ylim(bottom=0)


def _draw_series(
    axes: Axes,
    panel: dict[str, Any],
    lines: list[Line],
    write: Callable[[float], str],
    seconds: float,
) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["custom"]["stacking"]["mode"] == "normal" and lines:
        times = np.unique(np.concatenate([line[1].round() for line in lines]))
        heights = [
            np.interp(times, each, values, left=0) for _, each, values in lines
        ]  # (seconds,) each
        names = [line[0] for line in lines]
        axes.stackplot(times, np.nan_to_num(heights), labels=names, colors=COLORS, alpha=0.55)
    else:
        for color, (label, times, values) in zip(COLORS, lines, strict=False):
            axes.plot(times, values, label=label, color=color, linewidth=1.2)
    axes.set_ylim(0, defaults.get("max"))
    axes.grid(color=EDGE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, labelsize=7, labelcolor=FAINT)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=defaults["unit"] == "short"))
    if defaults["unit"] == "bytes" and lines:
        most = axes.get_ylim()[1]
        axes.set_yticks(np.arange(0, most, 2 ** round(math.log2(most / 4))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 3, 6, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: f"{int(at) // 60}:{int(at) % 60:02}")
    )
    axes.set_xlim(0, seconds)
    if lines:
        axes.legend(loc="upper left", bbox_to_anchor=(-0.12, -0.12), ncols=5, frameon=False,
                    fontsize=7, handlelength=1, columnspacing=1, borderaxespad=0)  # fmt: skip
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=FAINT)
