"""How the lecture looks: one style for all plots, one way to write pictures and animations."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

COLORS = ("#2f6fde", "#e0672b", "#1f9e89", "#b4489a", "#8a6d1d", "#5b6576")
BLUE, ORANGE, GREEN, PURPLE, OCHRE, GRAY = COLORS
PAPER_COLOR = "#5b6576"  # of the papers' own figures
INK_MAP, SIGNED_MAP, HEAT_MAP = "gray_r", "RdBu_r", "magma"

STYLE: Any = {  # of `matplotlib.rc_context`, which types its keys as literals
    "axes.axisbelow": True,
    "axes.edgecolor": "#8b95a5",
    "axes.grid": True,
    "axes.labelcolor": "#2b313b",
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
    "font.size": 9.5,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "savefig.dpi": 110,
    "text.color": "#2b313b",
    "xtick.color": "#5b6576",
    "ytick.color": "#5b6576",
}
SHADES = 96  # of a committed picture: what the eye needs, and a third of the bytes


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches; within `matplotlib.rc_context(STYLE)`."""
    return Figure(figsize=(width, height))


def bare(axes: Axes) -> Axes:
    """Take everything away that belongs to a plot and not to a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def save(drawn: Figure, path: Path) -> None:
    """Write a figure as a small PNG."""
    content = BytesIO()
    drawn.savefig(content, format="png")
    picture = Image.open(content).convert("RGB")
    picture.quantize(SHADES, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)


def animate(frames: Sequence[Image.Image], path: Path, milliseconds: int = 90) -> None:
    """Write frames, there and back again, as an endless GIF of one palette."""
    tall = np.concatenate(
        [np.asarray(frame.convert("RGB")) for frame in frames[:: len(frames) // 6 or 1]]
    )
    palette = Image.fromarray(tall).quantize(64, dither=Image.Dither.NONE)
    painted = [
        frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames
    ]
    painted += painted[-2:0:-1]
    durations = [milliseconds] * len(painted)
    durations[0] = durations[len(frames) - 1] = 700  # the ends are looked at
    painted[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=painted[1:],
        duration=durations,
        loop=0,
        optimize=True,
    )


def mosaic(
    tiles: npt.NDArray[np.generic], columns: int, gap: float = np.nan
) -> npt.NDArray[np.float64]:
    """Set pictures of one size into a grid, a pixel apart.

    Args:
        tiles: (pictures, height, width).
        columns: of the grid.
        gap: what stands between them.
    """
    height, width = tiles.shape[1:]
    rows = -(-len(tiles) // columns)
    grid = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), gap)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        grid[top : top + height, left : left + width] = tile
    return grid
