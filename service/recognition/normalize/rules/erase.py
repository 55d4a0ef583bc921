"""The pixels of printed lines, without those of strokes that cross them or lean on them."""

import cv2
import numpy as np

from service.recognition.normalize.ink_mask import Mask, connected
from service.recognition.normalize.rules.lines import BREAK, Image, Lines, bordered, draw

TOOTH = 1 / 3  # of a divider that does not reach from rule to rule, at most


def line_pixels(ink: Image, level: Lines, upright: Lines, thick: int) -> Mask:
    """Return the ink of lines, without that of strokes that cross them or lean on them."""
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
    labels, stats = connected(rest)
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
