"""Find thin straight strokes of even thickness, level or upright, broken ones too."""

from itertools import pairwise

import cv2
import numpy as np

from service.recognition.normalize.ink_mask import connected
from service.recognition.normalize.rules.lines import (
    BREAK,
    BREAK_PIXELS,
    FIRM,
    LONG,
    NONE,
    Floats,
    Image,
    Integers,
    Lines,
    bordered,
)

RUN, RUN_PIXELS = 1 / 7, 6  # that is level without a break somewhere in it, at least
GAP = 1 / 3  # that a stroke may hide of it
SLOPE = 0.08  # tangent of its angle from level or upright, at most
COVER = 0.75  # share of its length in which there is ink, at least
SEEN = 0.35  # share of its length in which it is seen alone, at least
OPEN = 0.05  # share of its length that longer breaks take, at most
# Shares of the thin ink along it that lie on it, at least, with the deviations of its thickness, at
# most: an even line may be broken and a whole one uneven, a stroke of the pen is neither.
STRAIGHT = ((0.8, 0.5), (0.9, 0.8))
DASHED = (0.97, 0.9)  # the same of a line with breaks, which a stroke hardly has
SHORT = 0.5  # of a level line, at least, as of the width
WINDOW = 8  # of wide pages, along which a line is followed at once


def level_lines(ink: Image, thick: int) -> Lines:
    """Find level lines; long ones bend and are followed window by window."""
    height, width = ink.shape
    least = SHORT * min(width, LONG * height)
    windows = max(round(width / (WINDOW * height)), 1)
    if windows == 1:
        return straight_lines(ink, height, thick, least)
    found = []
    for left, right in pairwise(np.linspace(0, width, windows + 1).astype(int).tolist()):
        part = np.ascontiguousarray(ink[:, left:right])
        lines = straight_lines(part, height, thick, least)
        found.append(vars(lines.moved(left)).values())
    return Lines(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def straight_lines(ink: Image, height: int, thick: int, least: float) -> Lines:
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
    if not cv2.countNonZero(bordered(cv2.MORPH_ERODE, runs, 1, int(least))):
        return NONE
    # What is thin; a digit's stroke that crosses a line is not, there.
    thin = cv2.subtract(ink, bordered(cv2.MORPH_OPEN, ink, thick + 1, 1))
    closed = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, bridge)
    run = max(round(RUN * height), RUN_PIXELS)
    flat = cv2.bitwise_and(bordered(cv2.MORPH_OPEN, closed, 1, run), thin)
    gap = max(round(GAP * height), BREAK_PIXELS) | 1
    joined = cv2.dilate(flat, np.ones((1, gap), np.uint8))
    labels, stats = connected(joined)
    wide = stats[:, cv2.CC_STAT_WIDTH] >= least
    wide[0] = False
    count = int(np.count_nonzero(wide))
    if not count:
        return NONE
    number = np.full(len(wide), -1)
    number[wide] = np.arange(count)
    place = np.flatnonzero(flat.view(np.bool_))
    label = number[labels.ravel()[place]]
    chosen = label >= 0
    rows, columns = np.divmod(place[chosen], ink.shape[1])
    row, slope = _fit(rows, columns, label[chosen], count, thick)
    left = stats[wide, cv2.CC_STAT_LEFT]
    right = left + stats[wide, cv2.CC_STAT_WIDTH]
    chosen = np.abs(slope) <= 1.5 * SLOPE
    if not chosen.any():
        return NONE
    lines, ends = (row[chosen], slope[chosen]), (left[chosen], right[chosen])
    return _follow(ink, lines, ends, thick, bridge, least)


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
    least: float,
) -> Lines:
    """Follow lines column by column; return those that are straight and of even thickness.

    Args:
        ink: of a page, or of a turned one.
        lines: about where each is at column 0, and how it is tilted.
        ends: the columns from which and up to which each is followed.
        thick: rows of a line, at most.
        bridge: closes its breaks.
        least: columns of a line, at least.
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
    printed = (length >= least) & (np.abs(slope) <= SLOPE)
    printed &= (many >= SEEN * length) & (covered >= COVER * length)
    even, rough, dashed = (
        (straight >= share) & (uneven <= most**2) for share, most in (*STRAIGHT, DASHED)
    )
    printed &= even | rough | (dashed & (covered < FIRM * length))
    if not printed.any():
        return NONE
    gaps = cv2.morphologyEx(inked.view(np.uint8), cv2.MORPH_CLOSE, bridge) == 0
    printed &= (gaps & within).sum(axis=1) <= OPEN * length
    far_start = np.where(before & ~inked, column, -1).max(axis=1) + 1
    far_stop = np.where(behind & ~inked, column, width).min(axis=1) - 1
    firm = (uneven <= STRAIGHT[0][1] ** 2) | (covered >= FIRM * length)
    found = (start, stop, far_start, far_stop, row, slope, usual, firm, many / length)
    return Lines(*np.array(found, np.float64)[:, printed])


def _runs(ink: Image) -> tuple[Integers, Integers]:
    """Return how long the column of ink is that a pixel lies in or next to, and its middle.

    Returns:
        Each (rows x columns) int16: the length, -1 where there is no ink, and the middle's double.
    """
    height = len(ink)  # PIECE at most, so that its double is an int16
    blank = ink.astype(np.int16) - np.int16(1)  # all its bits are 1 where there is no ink, else 0
    place = np.arange(1, height + 1, dtype=np.int16)[:, None]
    # Rows down to the blank pixel above, from 1, and up to the one below; 0 where there is none.
    above = np.maximum.accumulate(place & blank, axis=0)
    below = np.maximum.accumulate(place & blank[::-1], axis=0)[::-1]
    middle = above - below
    middle += np.int16(height - 1)
    above += below
    deep = np.subtract(np.int16(height), above, out=above)
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        beside = ink[there] > ink[here]
        np.copyto(deep[here], deep[there], where=beside)
        np.copyto(middle[here], middle[there], where=beside)
    return deep.ravel(), middle.ravel()
