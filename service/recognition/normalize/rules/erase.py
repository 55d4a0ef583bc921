"""The pixels of printed lines, without those of strokes that cross them or lean on them."""

import cv2
import numpy as np

from service.recognition.normalize.ink_mask import Mask, connected
from service.recognition.normalize.rules.lines import (
    BREAK,
    BREAK_PIXELS,
    Image,
    Integers,
    Lines,
    bordered,
    draw,
)

CRUMB = 1.5  # of the thickest line, that a piece left of one is high or wide, at most
TOOTH = 1 / 3  # of a divider that does not reach from rule to rule, at most
FEWEST = 3  # teeth among digits as high that are distinguished from 1s by their places
EVEN, EVEN_PIXELS = 0.1, 2.0  # of the teeth's pitch, by which they stand off it, at most


def line_pixels(ink: Image, level: Lines, upright: Lines, thick: int) -> tuple[Mask, bool]:
    """Return the ink of lines, without that of strokes that cross them or lean on them.

    Returns:
        The ink, and whether a broken 1 may be among the teeth that stand on the level ones.
    """
    across = draw(ink.shape, level, thick)
    down = np.ascontiguousarray(draw(ink.shape[::-1], upright, thick).T)
    both = cv2.bitwise_or(across, down)
    rest = cv2.subtract(ink, both)
    strokes: Image = np.zeros_like(ink)
    for lines, own, other in ((level, across, down), (upright, down, across)):
        if len(lines):
            usual = float(np.median(lines.thick))
            deep = round(usual + max(0.5 * usual, 2.0))  # with a stroke beside it
            size = (deep, 1) if lines is level else (1, deep)
            leaning = bordered(cv2.MORPH_OPEN, cv2.subtract(ink, other), *size)
            # A stroke goes on beyond a line that it crosses.
            kernel = np.ones([each + 2 | 1 for each in size], np.uint8)
            crossing = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, kernel)
            kept = cv2.bitwise_and(cv2.bitwise_or(leaning, crossing), own)
            strokes = cv2.bitwise_or(strokes, kept)
    rules = cv2.subtract(cv2.bitwise_and(ink, both), strokes)
    rest = cv2.subtract(ink, rules)
    if _is_crumbs(rest, both, thick):
        return np.asarray(ink > 0), False
    doubtful = False
    if len(level):
        teeth = _teeth(rest, across, thick)
        rules = cv2.bitwise_or(rules, teeth)
        beside = cv2.dilate(teeth, np.ones((1, thick), np.uint8))
        doubtful = bool(np.count_nonzero(beside, axis=0).max() > TOOTH * len(ink))
    return np.asarray(rules > 0), doubtful


def _is_crumbs(rest: Image, lines: Image, thick: int) -> bool:
    """Tell small pieces that nowhere go beyond the lines: no strokes, but what uneven lines left.

    Beside digits, such pieces may be what of a stroke lies on a line.

    Args:
        rest: ink that is no line.
        lines: as drawn.
        thick: rows of a line, at most.
    """
    if cv2.countNonZero(cv2.subtract(rest, cv2.dilate(lines, np.ones((3, 3), np.uint8)))):
        return False
    _, stats = connected(rest)
    # A 1 on a divider lies within the line as well.
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return bool(sides.max(initial=0) <= CRUMB * thick)


def _teeth(rest: Image, level: Image, thick: int) -> Image:
    """Find the short dividers that stand on a level line, several alike.

    Args:
        rest: ink that is no line.
        level: lines.
        thick: columns of a tooth, at most.
    """
    height = len(rest)
    labels, stats = connected(rest)
    left, top, wide, high, area = stats.T
    small = (wide <= thick) & (high <= TOOTH * height) & (high >= np.maximum(wide, 3))
    small &= area >= 0.5 * wide * high
    small[0] = False
    middle, bottom = left + wide // 2, top + high - 1
    others = int(high[1:][~small[1:]].max(initial=0))
    columns = np.flatnonzero(level.any(axis=0))
    beside = cv2.dilate(level, np.ones((5, 1), np.uint8)) > 0
    standing = small & (beside[top, middle] != beside[bottom, middle])
    if not _are_low(np.sort(middle[standing]), high[standing], columns, others, thick, height):
        near = cv2.dilate(level, np.ones((2 * BREAK_PIXELS + 1, 1), np.uint8)) > 0
        standing = near[bottom, middle] & (level[top, middle] == 0)
        standing |= near[top, middle] & (level[bottom, middle] == 0)
        standing &= small
        if not _are_even(np.unique(middle[standing]), columns, FEWEST if others >= 5 else 2):
            return np.zeros(rest.shape, np.uint8)
    # Pieces of broken teeth stand above the line as well, but not on it.
    tallest = int(high[standing].max())
    reach = cv2.dilate(level, np.ones((2 * tallest + 5, 1), np.uint8))
    pieces = (wide <= thick) & (high <= 1.5 * tallest)
    pieces[0] = False
    return cv2.bitwise_and(pieces[labels].view(np.uint8), reach)


def _are_low(
    places: Integers, high: Integers, columns: Integers, others: int, thick: int, height: int
) -> bool:
    """Tell teeth from 1s, which stand on a line as well, but not at its ends, and among their like.

    Args:
        places: of the teeth, ascending, columns.
        high: rows of each.
        columns: of the lines.
        others: rows of the highest ink that may be no tooth.
        thick: columns of a tooth, at most.
        height: of the page.
    """
    usual = float(np.median(high)) if len(high) else 0.0
    if len(places) < 2 or np.diff(places).min() < usual:
        return False
    if others >= 5:
        return others >= 1.6 * usual
    to_end = min(places[0] - columns[0], columns[-1] - places[-1])
    return bool(to_end <= max(BREAK * height, 2 * thick))


def _are_even(places: Integers, columns: Integers, fewest: int) -> bool:
    """Tell teeth that divide their line evenly, some of them perhaps unseen.

    Args:
        places: of the teeth, ascending, columns.
        columns: of the lines.
        fewest: teeth that are too few to tell.
    """
    if len(places) < fewest:
        return False
    span = places[-1] - places[0]
    many = round(float(span / np.diff(places).min()))
    pitch = span / many
    slack = max(EVEN * pitch, EVEN_PIXELS)
    apart = (np.concatenate([places, columns[[0, -1]]]) - places[0]) / pitch
    off = pitch * np.abs(apart - np.rint(apart))
    # Lines are drawn a little longer than they are.
    return bool((off[:-2] <= slack).all() and (off[-2:] <= slack + BREAK_PIXELS).all())
