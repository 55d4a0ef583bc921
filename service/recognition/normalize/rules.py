"""Printed lines: rules, the frames of cells, the dividers and teeth of combs.

A printed line is thin, straight and of even thickness. Digits have such strokes, too: the bar of a
7, a 1. A line goes on to another line or to the image's edge, or is longer than digits are.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize.band import weighted_median
from service.recognition.normalize.ink_mask import PIECE, Mask, stroke_width

# Lengths are shares of the page's height, or pixels where those are more, unless it is said of
# what. They were chosen on made cells, with an eye on the cheques and logbooks of MODEL_CARD.md.
THICK, THICK_PIXELS = 1 / 14, 5  # of a line, at most
RUN, RUN_PIXELS = 1 / 7, 6  # that is level without a break somewhere in it, at least
BREAK, BREAK_PIXELS = 1 / 12, 6  # that may be missing of a line in one place
GAP = 1 / 3  # that a stroke may hide of it
SLOPE = 0.08  # tangent of its angle from level or upright, at most
COVER = 0.75  # share of its length in which there is ink, at least
SEEN = 0.35  # share of its length in which it is seen alone, at least
OPEN = 0.05  # share of its length that longer breaks take, at most
# Shares of the thin ink along it that lie on it, at least, with the deviations of its thickness, at
# most: an even line may be broken and a whole one uneven, a stroke of the pen is neither.
STRAIGHT = ((0.8, 0.5), (0.9, 0.8))
FIRM = 0.93  # share of ink in a line that has hardly a break
SHORT = 0.5  # of a level line, at least, as of the width
LONG = 1.5  # of one that is no bar of a digit
TALL = 0.4  # of an upright line that meets level ones, at least
WHOLE = 0.9  # of one that meets none
HIGH, HIGHER = 1.15, 1.3  # of digits' heights, that an upright line is high where it ends nearby
HAIR = 0.7  # of the pen's strokes, that an upright line is thick which meets no level one, at most
MARGIN = 0.12  # of the width, beside which one is on an empty page
TOOTH = 1 / 3  # of a divider that does not reach from rule to rule, at most
TEXT = 0.4  # of ink that is no line, from which it may be text
WINDOW = 8  # of wide pages, along which a line is followed at once

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer]
Image = cv2.typing.MatLike  # (rows, columns) uint8, 1 where something is


@dataclass(frozen=True)
class _Lines:
    """Lines, an entry each. Upright ones are those of the turned page: their rows are columns."""

    start: Floats  # first column
    stop: Floats  # last column
    far_start: Floats  # the same, strokes that cross the line's end counted in
    far_stop: Floats
    row: Floats  # at column 0
    slope: Floats  # rows a column
    thick: Floats  # rows
    firm: Floats  # 1 if it is of even thickness, or has hardly a break, else 0
    alone: Floats  # share of its length in which nothing touches it

    def __getitem__(self, chosen: Bools) -> Self:
        return type(self)(*(each[chosen] for each in vars(self).values()))

    def __len__(self) -> int:
        return len(self.row)

    @property
    def length(self) -> Floats:
        """Columns."""
        return self.stop - self.start + 1

    def at(self, column: Floats) -> Floats:
        """Return the row at a column."""
        return self.row + self.slope * column

    def moved(self, columns: int) -> Self:
        """Return the same lines, further to the right."""
        return type(self)(
            self.start + columns,
            self.stop + columns,
            self.far_start + columns,
            self.far_stop + columns,
            self.row - self.slope * columns,
            self.slope,
            self.thick,
            self.firm,
            self.alone,
        )


_NONE = _Lines(*np.zeros((9, 0)))


def find_rules(mask: Mask) -> Mask:
    """Return the pixels of printed lines, but for those of strokes that cross them.

    Args:
        mask: (height, width) where ink is.
    """
    rules = np.zeros_like(mask)
    for left in range(0, mask.shape[1], PIECE):
        rules[:, left : left + PIECE] = _find_rules(mask[:, left : left + PIECE])
    return rules


def _find_rules(mask: Mask) -> Mask:
    height, width = mask.shape
    ink = np.ascontiguousarray(mask).view(np.uint8)
    thick = max(round(THICK * height), THICK_PIXELS)
    level = _level(ink, thick)
    turned = np.ascontiguousarray(ink.T)
    upright = _straight(turned, height, thick, (TALL if len(level) else WHOLE) * height)
    if not len(level) and not len(upright):
        return np.zeros_like(mask)
    printed = _printed_level(level, upright, height, width)
    if len(level) and not printed.any() and not _has_text(ink, level):
        printed[:] = True
    level = level[printed]
    if len(upright):
        digits, pen = _digits(ink, level, upright)
        upright = upright[_printed_upright(upright, level, (height, width), digits, pen)]
    if not len(level) and not len(upright):
        return np.zeros_like(mask)
    return _pixels(ink, level, upright, thick)


def _level(ink: Image, thick: int) -> _Lines:
    """Find level lines; long ones bend and are followed window by window."""
    height, width = ink.shape
    windows = max(round(width / (WINDOW * height)), 1)
    found = []
    for left, right in pairwise(np.linspace(0, width, windows + 1).astype(int).tolist()):
        part = np.ascontiguousarray(ink[:, left:right])
        lines = _straight(part, height, thick, SHORT * min(width, LONG * height))
        found.append(vars(lines.moved(left)).values())
    return _Lines(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _straight(ink: Image, height: int, thick: int, least: float) -> _Lines:
    """Find thin straight level strokes, broken ones too.

    Args:
        ink: of a page, or of a turned one.
        height: of the page.
        thick: rows of a stroke, at most.
        least: columns of one, at least.
    """
    bridge = np.ones((1, max(round(BREAK * height), BREAK_PIXELS) + 1), np.uint8)
    # Most pages have no run of ink that is as long, and no more is done.
    runs = cv2.dilate(ink, np.ones((3, bridge.size), np.uint8))
    if not cv2.countNonZero(_bordered(cv2.MORPH_ERODE, runs, 1, int(least))):
        return _NONE
    # What is thin; a digit's stroke that crosses a line is not, there.
    thin = cv2.subtract(ink, _bordered(cv2.MORPH_OPEN, ink, thick + 1, 1))
    closed = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, bridge)
    run = max(round(RUN * height), RUN_PIXELS)
    flat = cv2.bitwise_and(_bordered(cv2.MORPH_OPEN, closed, 1, run), thin)
    gap = max(round(GAP * height), BREAK_PIXELS) | 1
    joined = cv2.dilate(flat, np.ones((1, gap), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    wide = stats[:, cv2.CC_STAT_WIDTH] >= least
    wide[0] = False
    count = int(np.count_nonzero(wide))
    if not count:
        return _NONE
    number = np.full(len(wide), -1)
    number[wide] = np.arange(count)
    rows, columns = np.nonzero(flat)
    label = number[labels[rows, columns]]
    chosen = label >= 0
    row, slope = _fit(rows[chosen], columns[chosen], label[chosen], count, thick)
    left = stats[wide, cv2.CC_STAT_LEFT]
    right = left + stats[wide, cv2.CC_STAT_WIDTH]
    chosen = np.abs(slope) <= 1.5 * SLOPE
    if not chosen.any():
        return _NONE
    found = _follow(ink, (row[chosen], slope[chosen]), (left[chosen], right[chosen]), thick, bridge)
    return found[found.length >= least]


def _fit(
    rows: Integers, columns: Integers, label: Integers, count: int, thick: int
) -> tuple[Floats, Floats]:
    """Fit a straight line to the pixels of each label: its row at column 0, and its slope."""
    many = np.bincount(label, minlength=count)
    x, y = np.bincount(label, columns) / many, np.bincount(label, rows) / many
    across, down = columns - x[label], rows - y[label]
    slope = np.bincount(label, across * down) / np.maximum(np.bincount(label, across * across), 1)
    off = down - slope[label] * across
    row = np.asarray(y - slope * x)
    # Where digits lean on a line, it is the row that has most of the pixels.
    mixed = np.bincount(label, off * off) / many > (thick / 2) ** 2
    if mixed.any():
        chosen, height = mixed[label], int(rows.max()) + 1
        keys, counts = np.unique(label[chosen] * height + rows[chosen], return_counts=True)
        keys = keys[np.argsort(counts, kind="stable")]  # the last one assigned stays
        row[keys // height] = keys % height
        slope[mixed] = 0
    return row, np.asarray(slope)


def _follow(
    ink: Image,
    lines: tuple[Floats, Floats],
    ends: tuple[Integers, Integers],
    thick: int,
    bridge: Image,
) -> _Lines:
    """Follow lines column by column; return those that are straight and of even thickness.

    Args:
        ink: of a page, or of a turned one.
        lines: about where each is at column 0, and how it is tilted.
        ends: the columns from which and up to which each is followed.
        thick: rows of a line, at most.
        bridge: closes its breaks.
    """
    height, width = ink.shape
    deep, middle = _runs(ink)
    column = np.arange(width, dtype=np.float32)
    within = (column >= ends[0][:, None]) & (column < ends[1][:, None])
    row, slope = (each.astype(np.float32) for each in lines)
    for tolerance in (2.5, 1.0):
        line = row[:, None] + slope[:, None] * column
        place = np.minimum(np.maximum(line + np.float32(0.5), 0), height - 1).astype(np.int32)
        place *= width
        place += np.arange(width, dtype=np.int32)
        depth = deep[place]
        center = middle[place] / np.float32(2)
        inked = depth > 0
        thin = within & inked & (depth <= thick)
        good = thin & (np.abs(center - line) <= tolerance)
        many = np.maximum(good.sum(axis=1), 1)
        x = (good @ column) / many
        off = good * (column - x[:, None])
        spread = np.maximum(np.einsum("ij,ij->i", off, off), 1)
        slope = np.einsum("ij,ij->i", off, center) / spread
        row = np.einsum("ij,ij->i", good, center) / many - slope * x
    start = good.argmax(axis=1)
    stop = width - 1 - good[:, ::-1].argmax(axis=1)
    length = stop - start + 1
    before, behind = column < start[:, None], column > stop[:, None]
    within = ~(before | behind)
    usual = np.einsum("ij,ij->i", good, depth) / many
    uneven = np.einsum("ij,ij->i", good, (depth - usual[:, None]) ** 2) / many
    covered = (within & inked).sum(axis=1)
    straight = many / np.maximum((thin & within).sum(axis=1), 1)
    printed = (np.abs(slope) <= SLOPE) & (many >= SEEN * length) & (covered >= COVER * length)
    printed &= np.any([(straight >= a) & (uneven <= b**2) for a, b in STRAIGHT], axis=0)
    gaps = cv2.morphologyEx(inked.view(np.uint8), cv2.MORPH_CLOSE, bridge) == 0
    printed &= (gaps & within).sum(axis=1) <= OPEN * length
    far_start = np.where(before & ~inked, column, -1).max(axis=1) + 1
    far_stop = np.where(behind & ~inked, column, width).min(axis=1) - 1
    firm = (uneven <= STRAIGHT[0][1] ** 2) | (covered >= FIRM * length)
    found = (start, stop, far_start, far_stop, row, slope, usual, firm, many / length)
    return _Lines(*(each[printed].astype(np.float64) for each in found))


def _runs(ink: Image) -> tuple[Integers, Integers]:
    """Return how long the column of ink is that a pixel lies in or next to, and its middle.

    Returns:
        Each (rows x columns) int16: the length, -1 where there is no ink, and the middle's double.
    """
    height = len(ink)  # PIECE at most, so that its double is an int16
    place = np.arange(height, dtype=np.int16)[:, None]
    above = np.maximum.accumulate(np.where(ink, np.int16(-1), place), axis=0)
    below = np.where(ink, np.int16(height), place)
    below = np.minimum.accumulate(below[::-1], axis=0)[::-1]
    deep, middle = below - above - np.int16(1), above + below
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        beside = (ink[here] == 0) & (ink[there] > 0)
        deep[here][beside] = deep[there][beside]
        middle[here][beside] = middle[there][beside]
    return deep.ravel(), middle.ravel()


def _bordered(operation: int, ink: Image, rows: int, columns: int) -> Image:
    """Erode or open by a rectangle; there is no ink outside the image."""
    kernel = np.ones((rows, columns), np.uint8)
    return cv2.morphologyEx(
        ink, operation, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0)
    )


def _crossings(lines: _Lines, others: _Lines) -> tuple[Floats, Floats]:
    """Return the columns of lines, and of the others, where they meet: each (lines, others)."""
    row, slope = lines.row[:, None], lines.slope[:, None]
    column = (others.row + others.slope * row) / (1 - others.slope * slope)
    return np.asarray(column), np.asarray(row + slope * column)


def _printed_level(level: _Lines, upright: _Lines, height: int, width: int) -> Bools:
    """Tell rules and the level lines of frames from digits' strokes."""
    loose = max(BREAK * height, BREAK_PIXELS)
    out = (level.start <= loose) & (level.stop >= width - 1 - loose)
    long = (level.length >= LONG * height) & ((level.firm > 0) | out)
    # A frame's line begins at an upright one and stops at another: at their ends, or, doubled,
    # near them. The bar of a 4 goes on beyond.
    column, row = _crossings(level, upright)
    to_end = np.minimum(np.abs(row - upright.far_start), np.abs(row - upright.far_stop))
    doubled = (row >= upright.far_start) & (row <= upright.far_stop)
    doubled &= (upright.length >= 0.6 * height) & (np.minimum(row, height - row) <= height / 3)
    corner = (to_end <= max(height / 10, 4.0)) | doubled
    near = upright.thick / 2 + max(height / 16, 3.0)
    starts = (corner & (np.abs(column - level.far_start[:, None]) <= near)).any(axis=1)
    stops = (corner & (np.abs(column - level.far_stop[:, None]) <= near)).any(axis=1)
    framed = (starts | (level.start <= 1)) & (stops | (level.stop >= width - 2))
    # From edge to edge of a narrow image the bar of a 7 goes as well, but not with its like.
    bare = framed & ~(starts | stops)
    if np.count_nonzero(bare) == 1:
        framed &= ~bare | (level.alone >= FIRM)
    middle = level.at((level.start + level.stop) / 2)
    at_edge = np.minimum(middle, height - 1 - middle) <= max(height / 12, 2.5)
    return np.asarray(long | framed | (at_edge & (level.length >= height)))


def _printed_upright(
    upright: _Lines, level: _Lines, shape: tuple[int, int], digits: float, pen: float
) -> Bools:
    """Tell the sides of frames and the dividers of combs from digits' strokes.

    Args:
        upright: lines.
        level: printed lines.
        shape: of the page, (height, width).
        digits: how high the ink is that is no line; 0 if there is none.
        pen: how wide its strokes are.
    """
    height, width = shape
    row, column = _crossings(upright, level)
    beyond = max(BREAK * height, 3.0)
    met = (column >= level.far_start - beyond) & (column <= level.far_stop + beyond)
    met &= _alike(upright.thick, level.thick, 2.0)  # lines of one frame
    middle = ((upright.start + upright.stop) / 2)[:, None]
    place = upright.at(np.full(len(upright), height / 2))
    aside = np.minimum(place, width - place) <= MARGIN * width
    printed = np.zeros(len(upright), np.bool_)
    near = np.full(len(upright), 1.5)  # where a line's end must be
    for rules, edges in ((1.0, HIGH), (HIGHER, HIGHER)):
        reached = met & (row >= (upright.far_start - near)[:, None])
        reached &= row <= (upright.far_stop + near)[:, None]
        top, bottom = (reached & (row < middle)).any(axis=1), (reached & (row > middle)).any(axis=1)
        printed |= top & bottom & (upright.length >= rules * digits)
        above, below = upright.start <= near, upright.stop >= height - 1 - near
        tall = upright.length >= (edges * digits if digits else 0.6 * height)
        printed |= (top | bottom) & (top | above) & (bottom | below) & tall
        # Without a rule, only the pen and the place tell a side from a 1.
        alone = tall & (upright.thick <= HAIR * pen) if digits else aside & (width >= height)
        printed |= above & below & alone
        near = np.maximum(0.1 * upright.length, 2)
    # What lies beside a printed line, from the same row to the same, is printed.
    other = upright[printed]
    near = np.maximum(0.1 * other.length, 3)
    same = np.abs(upright.start[:, None] - other.start) <= near
    same &= np.abs(upright.stop[:, None] - other.stop) <= near
    same &= _alike(upright.thick, other.thick, 1.65)
    return np.asarray(printed | same.any(axis=1))


def _alike(thick: Floats, others: Floats, most: float) -> Bools:
    """Tell which are about as thick as which, (lines, others)."""
    ratio = (thick[:, None] + 0.5) / (others + 0.5)
    return np.asarray((ratio <= most) & (ratio >= 1 / most))


def _has_text(ink: Image, level: _Lines) -> bool:
    """Tell whether there is more than lines and what is low."""
    rest = cv2.subtract(ink, _drawn(ink.shape, level, 2))
    _, _, stats, _ = cv2.connectedComponentsWithStats(rest)
    return bool((stats[1:, cv2.CC_STAT_HEIGHT] >= TEXT * len(ink)).any())


def _digits(ink: Image, level: _Lines, upright: _Lines) -> tuple[float, float]:
    """Return how high the ink is that is no line, and how wide its strokes; 0 without any."""
    rest = cv2.subtract(ink, _drawn(ink.shape, level, 2))
    rest = cv2.subtract(rest, np.ascontiguousarray(_drawn(ink.shape[::-1], upright, 2).T))
    _, _, stats, _ = cv2.connectedComponentsWithStats(rest)
    heights, areas = stats[1:, cv2.CC_STAT_HEIGHT], stats[1:, cv2.CC_STAT_AREA]
    chosen = heights >= max(0.15 * len(ink), 5)
    if not chosen.any():
        return 0.0, 0.0
    usual = weighted_median(heights[chosen].astype(np.float64), areas[chosen].astype(np.float64))
    return usual, stroke_width(np.asarray(rest, np.uint8))


def _drawn(shape: tuple[int, ...], lines: _Lines, longer: int) -> Image:
    """Draw lines where they lie, a little thicker than they are, and longer by some columns."""
    drawn: Image = np.zeros(shape, np.uint8)
    first, last = lines.start - longer, lines.stop + longer
    points = np.rint(16 * np.stack([first, lines.at(first), last, lines.at(last)], axis=-1))
    rows = np.ceil(lines.thick).astype(int) + 1
    for (x0, y0, x1, y1), thick in zip(points.astype(int).tolist(), rows.tolist(), strict=True):
        cv2.line(drawn, (x0, y0), (x1, y1), (1,), thick, cv2.LINE_8, 4)
    return drawn


def _pixels(ink: Image, level: _Lines, upright: _Lines, thick: int) -> Mask:
    """Return the ink of lines, without that of strokes that cross them or lean on them."""
    across = _drawn(ink.shape, level, thick)
    down = np.ascontiguousarray(_drawn(ink.shape[::-1], upright, thick).T)
    both = cv2.bitwise_or(across, down)
    rest = cv2.subtract(ink, both)
    strokes: Image = np.zeros_like(ink)
    for lines, own, other in ((level, across, down), (upright, down, across)):
        if len(lines):
            usual = float(np.median(lines.thick))
            deep = round(usual + max(0.5 * usual, 2.0))  # with a stroke beside it
            size = (deep, 1) if lines is level else (1, deep)
            leaning = _bordered(cv2.MORPH_OPEN, cv2.subtract(ink, other), *size)
            # A stroke goes on beyond a line that it crosses.
            kernel = np.ones([each + 2 | 1 for each in size], np.uint8)
            crossing = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, kernel)
            kept = cv2.bitwise_and(cv2.bitwise_or(leaning, crossing), own)
            strokes = cv2.bitwise_or(strokes, kept)
    rules = cv2.subtract(cv2.bitwise_and(ink, both), strokes)
    if len(level):
        rules = cv2.bitwise_or(rules, _teeth(cv2.subtract(ink, rules), across, thick))
    return np.asarray(rules > 0)


def _teeth(rest: Image, level: Image, thick: int) -> Image:
    """Find the short dividers that stand on a level line, several alike.

    Args:
        rest: ink that is no line.
        level: lines.
        thick: columns of a tooth, at most.
    """
    height = len(rest)
    nothing = np.zeros(rest.shape, np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    left, top, wide, high, area = stats.T
    small = (wide <= thick) & (high <= TOOTH * height) & (high >= np.maximum(wide, 3))
    small &= area >= 0.5 * wide * high
    beside = cv2.dilate(level, np.ones((5, 1), np.uint8)) > 0
    middle = left + wide // 2
    standing = small & (beside[top, middle] != beside[top + high - 1, middle])
    standing[0] = False
    if np.count_nonzero(standing) < 2:
        return nothing
    usual = float(np.median(high[standing]))
    places = np.sort(middle[standing])
    if np.diff(places).min() < usual:
        return nothing
    # Ones stand on a line as well, but not at its ends, and among digits as high.
    columns = np.flatnonzero(level.any(axis=0))
    to_end = min(places[0] - columns[0], columns[-1] - places[-1])
    others = int(high[1:][~small[1:]].max(initial=0))
    if others < 1.6 * usual if others >= 5 else to_end > max(BREAK * height, 2 * thick):
        return nothing
    # Pieces of broken teeth stand above the line as well, but not on it.
    tallest = int(high[standing].max())
    reach = cv2.dilate(level, np.ones((2 * tallest + 5, 1), np.uint8))
    pieces = (wide <= thick) & (high <= 1.5 * tallest)
    pieces[0] = False
    return cv2.bitwise_and(pieces[labels].view(np.uint8), reach)
