"""Paper, print, light, ink and scanner: what lies round and under the digits of a page.

Pages are (height, width) float32 gray levels until `scan` is done with them; every effect happens
with a probability, its `share`, and returns the very page it was given where it does not.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.config import StripConfig

Levels = npt.NDArray[np.float32]  # (height, width) gray levels, 0 to 255


def sheet(
    shape: tuple[int, int], rng: np.random.Generator, dark: float, white: float = 0.0
) -> Levels:
    """Return even paper, light or, for shares of pages, white as a screen or gray."""
    if rng.random() < white:
        return np.full(shape, 255, np.float32)
    level = rng.uniform(120, 165) if rng.random() < dark else rng.uniform(170, 245)
    return np.full(shape, level, np.float32)


def guilloche(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Print fine lines: one to three families, straight, waved, or round a far center."""
    if rng.random() >= share:
        return page
    rows, columns = _grid(page)
    pattern = np.zeros_like(page)
    families = int(rng.integers(1, 4))
    depth = float(page.mean()) * rng.uniform(0.06, 0.27) / families**0.5
    for _ in range(families):
        phase = _family(rows, columns, rng)
        # Thin dark lines on light, rather than as much of one as of the other.
        floor = np.float32(rng.uniform(-0.2, 0.75))
        pattern += np.clip((np.cos(phase) - floor) / (1 - floor), 0, None)
    # Print is uneven where the page is: some lines nearly vanish.
    pattern *= np.clip(1 + np.float32(rng.uniform(0, 0.5)) * _clouds(page.shape, rng, 12.0), 0, 2)
    level: Levels = page
    if rng.random() < 0.25:  # the pattern ends at an edge: a field of its own
        edge = np.float32(rng.uniform(0, 0.4) * page.shape[0])
        border = edge + columns * np.float32(rng.normal(0, 0.04))
        border = border + 2 * _wave(columns, rng.uniform(60, 200), rng)
        inside = np.clip(rows - border, 0, 1).astype(np.float32)
        pattern *= inside + (1 - inside) * np.float32(rng.uniform(0, 0.6))
        level = level + (1 - inside) * np.float32(rng.uniform(0, 45))
    printed: Levels = level - np.float32(depth) * pattern
    return printed


def _family(rows: Levels, columns: Levels, rng: np.random.Generator) -> Levels:
    """Return the phase, radians, of one family of lines over the page."""
    period, kind = rng.uniform(3.4, 10), rng.random()
    height, width = rows.shape[0], columns.shape[1]
    if kind < 0.3:  # circles
        x, y = rng.uniform(-1.5, 2.5) * width, rng.uniform(-2, 3) * height
        phase = np.hypot(columns - np.float32(x), rows - np.float32(y))
    else:
        # Mostly near the horizontal, as waved security lines are.
        angle = rng.normal(0, 0.2) if kind < 0.7 else rng.uniform(0.3, np.pi - 0.3)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along, phase = columns * cos + rows * sin, rows * cos - columns * sin
        # A fan: lines further apart at one end than at the other.
        phase = phase * (1 + along * np.float32(rng.normal(0, 0.15) / width))
        phase = phase + np.float32(rng.uniform(0, 2.5)) * _wave(along, rng.uniform(12, 90), rng)
    return np.asarray(phase * np.float32(2 * np.pi / period), np.float32)


def texture(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Print a raster of dots, or show the paper's fibres."""
    if rng.random() >= share:
        return page
    depth = np.float32(rng.uniform(4, 22))
    if rng.random() < 0.6:
        rows, columns = _grid(page)
        period, turn = rng.uniform(3, 8), rng.uniform(-0.5, 0.5)
        across = columns + np.float32(turn) * rows
        along = rows - np.float32(turn) * columns
        step = np.float32(2 * np.pi / period)
        return page - depth * np.sin(across * step) * np.sin(along * step)
    return page + depth / 2 * _clouds(page.shape, rng, 3.0)


def rules(
    page: Levels, rng: np.random.Generator, share: float, top: float, bottom: float
) -> Levels:
    """Print a line under the digits, above them, or both.

    Args:
        page: the paper.
        rng: decides where exactly, how thick and how black.
        share: how probable it is.
        top: the row of the digits' upper ends.
        bottom: the row of their lower ends.
    """
    if rng.random() >= share:
        return page
    height, width = page.shape
    which = rng.random()
    reach = 0.35 * (bottom - top)
    rows = []
    if which < 0.9:
        rows.append(min(bottom + rng.uniform(-0.1, 1) * reach, height - rng.uniform(0.5, 4)))
    if which > 0.6:
        rows.append(max(top - rng.uniform(-0.1, 1) * reach, rng.uniform(-0.5, 3)))
    tilt = rng.normal(0, 0.006) * width
    lines = [((0, row - tilt), (width, row + tilt)) for row in rows]
    return _print(page, rng, lines, rng.uniform(30, 120), int(rng.integers(2, 6)))


def box(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Print the field's upright edge near the left or right border."""
    if rng.random() >= share:
        return page
    height, width = page.shape
    x = rng.uniform(0, 5) if rng.random() < 0.5 else width - rng.uniform(0, 5)
    tilt = rng.normal(0, 0.01) * height
    lines = [((x - tilt, 0), (x + tilt, height))]
    return _print(page, rng, lines, rng.uniform(40, 120), int(rng.integers(2, 5)))


def frame(page: Levels, rng: np.random.Generator, share: float, upright: bool = True) -> Levels:
    """Print a cell's frame, or the part of it that the crop left, at the page's edges.

    Args:
        page: the paper.
        rng: decides which edges, how thick and how black.
        share: how probable it is.
        upright: whether there may be upright lines, which run the whole height; where that is
            hardly more than a digit's, they would be ones.
    """
    if rng.random() >= share:
        return page
    height, width = page.shape
    paper = float(page.mean())
    level, thickness = paper * rng.uniform(0.3, 0.88), int(rng.integers(1, 6))
    shade = np.float32(rng.uniform(0.75, 1.12) if rng.random() < 0.35 else 1)  # beyond the frame
    framed = page.copy()
    shares = np.array([0.6, 0.6, 0.42, 0.42]) if upright else np.array([0.6, 0.6, 0, 0])
    seen = rng.random(4) < shares  # upper, lower, left, right
    if not seen.any():
        seen[1] = True
    for edge in np.flatnonzero(seen).tolist():
        across, far = edge < 2, edge % 2 == 1
        span, run = (height, width) if across else (width, height)
        reach = (0.16 if rng.random() < 0.8 else 0.3) * height
        inside = min(rng.uniform(-0.5, reach), 0.13 * height if across else reach)
        at, tilt = (span - inside if far else inside), rng.normal(0, 0.012) * run
        ends = np.array([(0, at - tilt), (run, at + tilt)])
        if across and rng.random() < 0.25:  # a part of it
            ends = ends[0] + (ends[1] - ends[0]) * np.sort(rng.random(2))[:, None]
        beyond = slice(int(at), None) if far else slice(None, max(int(at), 0))
        framed[(beyond, slice(None)) if across else (slice(None), beyond)] *= shade
        lines = [ends]
        if rng.random() < 0.12:  # double
            lines.append(ends + np.array([0, rng.uniform(2, 5) * (-1 if far else 1)]))
        drawn = [line if across else line[:, ::-1] for line in lines]
        framed = _print(framed, rng, drawn, level * rng.uniform(0.85, 1.15), thickness)
    for _ in range(int(rng.integers(1, 3)) if rng.random() < 0.25 else 0):  # pale rules
        y = rng.uniform(0.15, 0.9) * height
        line = np.array([(0, y), (width, y + rng.normal())])
        framed = _print(framed, rng, [line], paper * rng.uniform(0.85, 0.96), thickness)
    return framed


def fold(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Fold the paper: a thin line from edge to edge, steep or flat."""
    if rng.random() >= share:
        return page
    height, width = page.shape
    steep = rng.random() < 0.7
    span, run = (width, height) if steep else (height, width)
    at, tilt = rng.uniform(0, span), rng.normal(0, 0.08) * run
    line = np.array([(0.0, at - tilt), (run, at + tilt)])
    level = float(page.mean()) * rng.uniform(0.3, 0.85)
    thickness = int(rng.integers(1, 5))
    return _print(page, rng, [line[:, ::-1] if steep else line], level, thickness)


def print_marks(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Leave the tops or feet of small print at the upper or lower border."""
    if rng.random() >= share:
        return page
    height, width = page.shape
    depth = rng.uniform(0.5, 3)
    y = depth / 2 if rng.random() < 0.4 else height - depth / 2
    pitch = rng.uniform(4, 9)
    starts = np.arange(rng.uniform(0, width / 2), rng.uniform(width / 2, width), pitch)
    lengths = rng.uniform(0.2, 0.5 * pitch, len(starts))
    lines = [((x, y), (x + along, y)) for x, along in zip(starts, lengths, strict=True)]
    return _print(page, rng, lines, rng.uniform(20, 90), max(round(2 * depth), 1))


def light(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Light the page unevenly: a slope, and clouds as wide as the page is high."""
    if rng.random() >= share:
        return page
    rows, columns = _grid(page)
    slope = rng.normal(0, 0.06, 2) / page.shape
    tilted = rows * np.float32(slope[0]) + columns * np.float32(slope[1])
    clouds = _clouds(page.shape, rng, page.shape[0] / 2)
    lit: Levels = page * (1 + tilted + np.float32(rng.uniform(0, 0.03)) * clouds)
    return lit


def pen_width(
    shape: tuple[int, int], width: float, rng: np.random.Generator, pressure: float
) -> Levels | float:
    """Return the pen's width in pixels: even, or uneven for a share of pages."""
    if rng.random() >= pressure:
        return width
    swing = np.float32(rng.uniform(0.05, 0.3))
    uneven: Levels = np.float32(width) * np.clip(1 + swing * _clouds(shape, rng, 5.0), 0.4, 1.8)
    return uneven


def lay_ink(
    page: Levels,
    cover: Levels,
    rng: np.random.Generator,
    pressure: float,
    faint: float,
    washed: float = 0.0,
) -> Levels:
    """Lay ink on paper: black or, for a share of pages, pale, and where pressed less, paler.

    Args:
        page: the paper.
        cover: (height, width) the share of each pixel that is inked.
        rng: decides the ink.
        pressure: share of pages whose ink is uneven.
        faint: share of pages whose ink is pale.
        washed: share of pages whose ink is hardly darker than the paper.
    """
    paper = float(page.mean())
    pale = rng.random() < faint
    # Of the paper's level.
    level = paper * (rng.uniform(0.45, 0.66) if pale else rng.uniform(0.12, 0.48))
    if rng.random() < washed:
        level = paper * rng.uniform(0.45, 0.8)
    if rng.random() < pressure:
        cover = cover * np.clip(0.9 + rng.uniform(0, 0.16) * _clouds(page.shape, rng, 4.0), 0.3, 1)
    return page + cover * (np.float32(level) - page)


def scan(page: Levels, rng: np.random.Generator, config: StripConfig) -> npt.NDArray[np.uint8]:
    """See a page as a scanner and its file format do."""
    page = coarse(page, rng, config.coarse)
    page = blur(page, rng, config.blur)
    page = noise(page, rng, config.noise)
    return jpeg(np.clip(np.rint(page), 0, 255).astype(np.uint8), rng, config.jpeg)


def coarse(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Lose resolution: fewer pixels at first, then as many as before."""
    if rng.random() >= share:
        return page
    height, width = page.shape
    factor = rng.uniform(0.5, 0.85)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    kind = cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(small, (width, height), interpolation=kind), np.float32)


def blur(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Blur by up to a pixel, as optics do."""
    if rng.random() >= share:
        return page
    return np.asarray(cv2.GaussianBlur(page, (0, 0), rng.uniform(0.35, 0.9)), np.float32)


def noise(page: Levels, rng: np.random.Generator, share: float) -> Levels:
    """Add a sensor's grain, sharp or a little smeared."""
    if rng.random() >= share:
        return page
    grain = rng.standard_normal(page.shape, np.float32) * np.float32(rng.uniform(0.5, 4.5))
    if rng.random() < 0.5:
        grain = np.asarray(cv2.blur(grain, (2, 2)), np.float32)
    return page + grain


def jpeg(
    page: npt.NDArray[np.uint8], rng: np.random.Generator, share: float
) -> npt.NDArray[np.uint8]:
    """Pack as JPEG and unpack."""
    if rng.random() >= share:
        return page
    quality = int(rng.integers(35, 95))
    _, packed = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


def _grid(page: Levels) -> tuple[Levels, Levels]:
    """Return the rows' numbers (height, 1) and the columns' (1, width)."""
    height, width = page.shape
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]


def _wave(along: Levels, length: float, rng: np.random.Generator) -> Levels:
    start = np.float32(rng.uniform(0, 2 * np.pi))
    return np.asarray(np.sin(along * np.float32(2 * np.pi / length) + start), np.float32)


def _clouds(shape: tuple[int, ...], rng: np.random.Generator, size: float) -> Levels:
    """Return smooth randomness of mean 0 and deviation about 1, in waves of `size` pixels."""
    height, width = shape
    grid = (max(round(height / size), 1) + 2, max(round(width / size), 1) + 2)
    coarse_levels = rng.standard_normal(grid, np.float32)
    return np.asarray(
        cv2.resize(coarse_levels, (width, height), interpolation=cv2.INTER_CUBIC), np.float32
    )


def _print(
    page: Levels,
    rng: np.random.Generator,
    lines: Sequence[npt.ArrayLike],
    level: float,
    thickness: int,
) -> Levels:
    """Print lines; coordinates in pixels, the thickness in halves of one."""
    height, width = page.shape
    fine = np.zeros((2 * height, 2 * width), np.uint8)
    fixed = np.rint(np.array(lines) * 32).astype(np.int32)
    for start, end in fixed:
        cv2.line(fine, start.tolist(), end.tolist(), 255, thickness, cv2.LINE_AA, 4)
    cover = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    share = cover.astype(np.float32) * np.float32(rng.uniform(0.6, 1) / 255)
    printed: Levels = page + share * np.minimum(np.float32(level) - page, 0)
    return printed
