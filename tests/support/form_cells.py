"""Cells of forms, drawn without the code that removes their lines: boxes, rules, combs, empty ones.

Each cell comes twice, with its printed lines and without them, from the same digits at the same
places, so that the cost of the lines can be separated from that of the digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Page = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]
Point = tuple[float, float]

KINDS = (
    "rules",  # above and below, from edge to edge
    "box",  # closed, all of it in the image
    "cell",  # a table's, running out of the image on some sides
    "comb",  # closed boxes side by side, one a digit
    "teeth",  # a base line with short dividers
    "double",  # two lines each
)


@dataclass(frozen=True)
class Cell:
    """A drawn cell and what it says."""

    kind: str
    text: str
    framed: Page  # (height, width), dark on light
    plain: Page  # the same without its lines


def cell(
    images: Sequence[Page], labels: Sequence[int], kind: str, rng: np.random.Generator
) -> Cell:
    """Draw a cell.

    Args:
        images: (28, 28) uint8 each, a digit bright on 0, 20 pixels high in the middle.
        labels: what each one says; none for an empty cell.
        kind: one of KINDS.
        rng: decides sizes, places, lines and paper.
    """
    tall = float(rng.uniform(16, 44))  # of the digits
    count = max(len(labels), 1 if kind not in ("comb", "teeth") else int(rng.integers(2, 7)))
    pitch = tall * rng.uniform(0.8, 1.3) if kind in ("comb", "teeth") else tall * 0.75
    above, below = rng.uniform(0.2, 0.6, 2) * tall
    side = rng.uniform(0.25, 0.9) * tall if kind not in ("comb", "teeth") else 0.0
    width, height = count * pitch + 2 * side, tall + above + below  # of the cell
    around = rng.uniform(2, 8, 4)  # of paper outside it: left, top, right, bottom
    if kind == "rules":
        around[[0, 2]] = -4
    if kind == "cell":
        around[rng.random(4) < 0.4] = -4  # the line lies outside the image
    left, top = around[0], around[1]
    size = (round(height + around[1] + around[3]), round(width + around[0] + around[2]))
    ink = np.zeros(size, np.float32)
    for index, image in enumerate(images):
        middle = left + side + (index + 0.5) * pitch
        _write(ink, image, middle, top + above + tall / 2 + rng.normal(0, 0.04) * tall, tall, rng)
    lines = np.zeros(size, np.float32)
    _frame(lines, kind, (left, top, left + width, top + height), count, pitch, rng)
    paper = float(rng.uniform(190, 250))
    depth = paper * rng.uniform(0.45, 0.85)
    faint = paper * (rng.uniform(0.15, 0.4) if rng.random() < 0.35 else rng.uniform(0.4, 0.85))
    grain = rng.normal(0, rng.uniform(0.3, 3), size)
    blur = rng.uniform(0.3, 0.8)

    def seen(printed: Levels) -> Page:
        page = paper - np.maximum(ink * depth, printed * faint)
        page = cv2.GaussianBlur(page.astype(np.float32), (0, 0), blur) + grain
        return np.asarray(np.clip(np.rint(page), 0, 255), np.uint8)

    text = "".join(str(label) for label in labels)
    return Cell(kind, text, seen(lines), seen(np.zeros_like(lines)))


def _write(
    ink: Levels, image: Page, x: float, y: float, tall: float, rng: np.random.Generator
) -> None:
    scale = tall / 20 * rng.uniform(0.9, 1.05)
    matrix = np.array([[scale, 0, x - 14 * scale], [0, scale, y - 14 * scale]])
    drawn = cv2.warpAffine(
        image.astype(np.float32) / 255, matrix, ink.shape[::-1], flags=cv2.INTER_CUBIC
    )
    np.maximum(ink, np.clip(drawn, 0, 1), out=ink)


def _frame(
    lines: Levels,
    kind: str,
    box: tuple[float, float, float, float],
    count: int,
    pitch: float,
    rng: np.random.Generator,
) -> None:
    left, top, right, bottom = box
    thick = rng.uniform(1, 3.2)
    tilt = rng.normal(0, 0.015) if rng.random() < 0.6 else 0.0
    broken = rng.uniform(0.05, 0.2) if rng.random() < 0.25 else 0.0
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2

    def turned(x: float, y: float) -> Point:
        return x - tilt * (y - middle_y), y + tilt * (x - middle_x)

    def line(start: Point, stop: Point) -> None:
        _line(lines, turned(*start), turned(*stop), thick, broken, rng)

    beyond = 6.0 if kind == "rules" or (kind == "cell" and rng.random() < 0.5) else 0.0
    rows = [bottom] if kind == "teeth" else [top, bottom]
    if kind == "double":
        rows = [top, top + 2.6 * thick, bottom - 2.6 * thick, bottom]
    for row in rows:
        line((left - beyond, row), (right + beyond, row))
    if kind in ("box", "cell", "comb", "double"):
        for column in (left, right):
            line((column, top - beyond), (column, bottom + beyond))
    if kind in ("comb", "teeth"):
        upper = bottom - rng.uniform(0.15, 0.3) * (bottom - top) if kind == "teeth" else top
        for index in range(0 if kind == "teeth" else 1, count + (kind == "teeth")):
            line((left + index * pitch, upper), (left + index * pitch, bottom))


def _line(
    lines: Levels,
    start: Point,
    stop: Point,
    thick: float,
    broken: float,
    rng: np.random.Generator,
) -> None:
    """Draw a line with soft edges, by each pixel's distance from it; a share of it is missing."""
    rows, columns = np.mgrid[0 : lines.shape[0], 0 : lines.shape[1]].astype(np.float32) + 0.5
    (x0, y0), (x1, y1) = start, stop
    length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-3)
    along = ((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / length
    across = np.abs((columns - x0) * (y1 - y0) - (rows - y0) * (x1 - x0)) / length
    cover = np.clip(thick / 2 + 0.5 - across, 0, 1) * (along >= 0) * (along <= length)
    if broken:
        gap = rng.uniform(1, 4)
        period = gap / broken
        cover *= (along + rng.uniform(0, period)) % period >= gap
    np.maximum(lines, cover, out=lines)


def cells(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    seed: int,
    count: int,
    empty: float = 0.2,
) -> list[Cell]:
    """Draw cells of all kinds; the first of a seed are the same however many are drawn.

    Args:
        images: (digits, 28, 28) uint8, bright on 0.
        labels: (digits,) what they say.
        seed: decides everything.
        count: how many cells.
        empty: share of them without a digit.
    """
    drawn = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        many = 0 if rng.random() < empty else int(rng.integers(1, 7))
        chosen = rng.integers(len(labels), size=many)
        kind = KINDS[index % len(KINDS)]
        drawn.append(cell(list(images[chosen]), labels[chosen].tolist(), kind, rng))
    return drawn
