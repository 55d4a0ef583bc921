"""Tell printed lines from digits' strokes: by what they meet, and by what lies beside them."""

import cv2
import numpy as np

from service.recognition.normalize.band import weighted_median
from service.recognition.normalize.ink_mask import connected, stroke_width
from service.recognition.normalize.rules.lines import (
    BREAK,
    BREAK_PIXELS,
    FIRM,
    LONG,
    Bools,
    Floats,
    Image,
    Lines,
    crossings,
    draw,
)

HIGH, HIGHER = 1.15, 1.3  # of digits' heights, that an upright line is high where it ends nearby
HAIR = 0.7  # of the pen's strokes, that an upright line is thick which meets no level one, at most
MARGIN = 0.2  # of the width, beside which one is on an empty page
ACROSS = 0.8  # of the width, from which a level line is no part of a digit
TEXT = 0.4  # of ink that is no line, from which it may be text
SMALL = 0.3  # the same, where uneven strokes are counted in: a comb's teeth are lower


def printed_level(level: Lines, upright: Lines, height: int, width: int) -> Bools:
    """Tell rules and the level lines of frames from digits' strokes."""
    loose = max(BREAK * height, BREAK_PIXELS)
    out = (level.start <= loose) & (level.stop >= width - 1 - loose)
    long = (level.length >= LONG * height) & ((level.firm > 0) | out)
    # A frame's line begins at an upright one and stops at another: at their ends, or, doubled,
    # near them. The bar of a 4 goes on beyond.
    column, row = crossings(level, upright)
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


def printed_upright(
    upright: Lines, level: Lines, shape: tuple[int, int], digits: float, pen: float
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
    row, column = crossings(upright, level)
    beyond = max(BREAK * height, 3.0) + upright.thick[:, None] / 2
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


def frames(level: Lines, upright: Lines, shape: tuple[int, int]) -> tuple[Bools, Bools]:
    """Tell the lines of frames, by their corners, of which breaks may have taken something.

    Two level lines and two upright ones make a frame, or three of them and an edge of the image.
    No digits have four strokes, or three, that stand so.

    Args:
        level: lines.
        upright: lines.
        shape: of the page, (height, width).

    Returns:
        Which of either are.
    """
    height, width = shape
    loose = max(BREAK * height, BREAK_PIXELS)
    if not len(level) or not len(upright):
        return np.zeros(len(level), np.bool_), np.zeros(len(upright), np.bool_)
    column, row = crossings(level, upright)
    alike = _alike(level.thick, upright.thick, 2.0)
    # A line has two corners, and the image's edge, the last row, ends upright lines that run into
    # it.
    alike &= (level.length > 2 * loose)[:, None] & (upright.length > 2 * loose)
    upper, lower = (
        [
            np.vstack([alike & (np.abs(column - side[:, None]) <= loose) & near_end, over])
            for side in (level.start, level.stop)
        ]
        for near_end, over in (
            (np.abs(row - upright.start) <= loose, upright.start <= 1),
            (np.abs(row - upright.stop) <= loose, upright.stop >= height - 2),
        )
    )
    # Pairs of an upper line and a lower one, (level + 1, level + 1), that an upright one closes on
    # the left or on the right, or that both run into the image's edge there.
    closed = [_share(*corners) for corners in zip(upper, lower, strict=True)]
    out = [np.append(level.start <= 1, False), np.append(level.stop >= width - 2, False)]
    open_ = [np.logical_and.outer(each, each) for each in out]
    left, right = (one | other for one, other in zip(closed, open_, strict=True))
    pairs = (closed[0] & right) | (left & closed[1])
    pairs[-1, -1] = False
    framed = (pairs.any(axis=0) | pairs.any(axis=1))[:-1]
    framing = np.zeros(len(upright), np.bool_)
    for side, other in ((0, right), (1, left)):
        framing |= (upper[side] & _share(pairs & other, lower[side].T)).any(axis=0)
    return framed, framing


def _share(one: Bools, other: Bools) -> Bools:
    """Return which rows of both have a column in common."""
    return np.asarray(one.astype(np.float32) @ other.T.astype(np.float32) > 0)


def _alike(thick: Floats, others: Floats, most: float) -> Bools:
    """Tell which are about as thick as which, (lines, others)."""
    ratio = (thick[:, None] + 0.5) / (others + 0.5)
    return np.asarray((ratio <= most) & (ratio >= 1 / most))


def has_text(ink: Image, level: Lines, least: float) -> bool:
    """Tell whether there is more than lines and what is lower than a share of the page's height."""
    across = level[level.length >= ACROSS * ink.shape[1]]  # others may be the bar of a 4
    rest = cv2.subtract(ink, draw(ink.shape, across, 2))
    _, stats = connected(rest)
    return bool((stats[1:, cv2.CC_STAT_HEIGHT] >= least * len(ink)).any())


def digits_of(ink: Image, level: Lines, upright: Lines) -> tuple[float, float]:
    """Return how high the ink is that is no line, and how wide its strokes; 0 without any."""
    rest = cv2.subtract(ink, draw(ink.shape, level, 2))
    rest = cv2.subtract(rest, np.ascontiguousarray(draw(ink.shape[::-1], upright, 2).T))
    _, stats = connected(rest)
    heights, areas = stats[1:, cv2.CC_STAT_HEIGHT], stats[1:, cv2.CC_STAT_AREA]
    chosen = heights >= max(0.15 * len(ink), 5)
    if not chosen.any():
        return 0.0, 0.0
    usual = weighted_median(heights[chosen].astype(np.float64), areas[chosen].astype(np.float64))
    return usual, stroke_width(np.asarray(rest, np.uint8))
