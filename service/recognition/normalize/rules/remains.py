"""What is left of frames: thin pieces of sides at the image's ends, and frames that are bare."""

import numpy as np

from service.recognition.normalize.ink_mask import Mask, connected, stroke_width

ASIDE = 0.15  # of the page's width, within which a side stands
SIDE = 0.12  # of the page's height, that a piece of one is high, at least
TILT = 0.12  # of its height, by which it leans, at most
# Of the pen's strokes, that it is thick, at most. Of 3,604 cells of logbooks no 1 at an end was
# taken for a side; from 0.2 of the width one was.
HAIR = 0.65
LEVEL = 0.25  # of its height, by which the ends of a piece lie off those of digits beside it
# Of the digits' height, that a piece stands from the nearest one, at most, and shares rows with it.
BESIDE, SHARED = 1.0, 0.5

# Of a frame that holds nothing: how far in its lines reach, at most, of its shorter side; where its
# corners and its sides are, of its height and its width; and the share of a side that has ink.
INSIDE, CORNER, COVERED = 0.22, 0.12, 0.6
PAGE_HEIGHT, PAGE_WIDTH = 0.6, 0.5  # of the page's, at least: a 0 may have corners, too


def is_bare_frame(mask: Mask, erased: Mask) -> bool:
    """Tell a frame that holds nothing and of which some lines were missed: double, broken ones.

    Args:
        mask: (height, width) where ink is.
        erased: which of it is printed lines that were found.
    """
    if not (mask & ~erased).any():
        return False
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink, left = mask[box], (mask & ~erased)[box]
    height, width = ink.shape
    if height < PAGE_HEIGHT * mask.shape[0] or width < PAGE_WIDTH * mask.shape[1]:
        return False
    inside = max(round(INSIDE * min(height, width)), 1)
    if left[inside:-inside, inside:-inside].any():
        return False
    y, x = (max(round(CORNER * side), 2) for side in ink.shape)
    corners = [ink[:y, :x], ink[:y, -x:], ink[-y:, :x], ink[-y:, -x:]]
    level = [side.any(axis=0).mean() for side in (ink[:y], ink[-y:])]
    upright = [side.any(axis=1).mean() for side in (ink[:, :x], ink[:, -x:])]
    return bool(sum(corner.any() for corner in corners) >= 3 and min(level + upright) >= COVERED)


def remains(mask: Mask) -> tuple[Mask, bool]:
    """Return the pieces of a frame's sides; a 1 at an end is as thick as what it stands beside.

    Args:
        mask: (height, width) where ink is, without the printed lines that were found.

    Returns:
        Their pixels, and whether a 1 of a drying pen may be among them: it ends in the image,
        and stands beside a digit, or from the row where they begin to the one where they end.
    """
    height, width = mask.shape
    labels, stats = connected(np.ascontiguousarray(mask).view(np.uint8))
    left, top, wide, high, area = stats.T.astype(np.float64)
    place = np.minimum(left + wide, width - left)  # of its far side, from the nearer end
    pieces = (place <= ASIDE * width) & (high >= SIDE * height)
    pieces &= wide <= area / np.maximum(high, 1) + 1 + TILT * high
    pieces[0] = False
    if not pieces.any():
        return np.zeros_like(mask), False
    rest = ~pieces & (high >= 0.5 * high[pieces].min())
    rest[0] = False
    others = np.asarray(rest[labels], np.bool_)
    pieces &= area <= HAIR * min(stroke_width(others), _usual_run(others)) * high
    if not pieces.any():
        return np.zeros_like(mask), False
    begin, end = np.median(top[rest]), np.median((top + high)[rest])
    off = np.maximum(np.abs(top - begin), np.abs(top + high - end))
    free = np.minimum(top, height - top - high) > 1
    gap = np.maximum(left[rest].min() - left - wide, left - (left + wide)[rest].max())
    shared = np.minimum(top + high, end) - np.maximum(top, begin)
    beside = (gap <= BESIDE * (end - begin)) & (shared >= SHARED * (end - begin))
    ones = pieces & free & (beside | (off <= LEVEL * high))
    return np.asarray(pieces[labels], np.bool_), bool(ones.any())


def _usual_run(mask: Mask) -> float:
    """Return how wide ink is along rows, pixels: the median; 0 without any.

    The pen's strokes are no wider. `stroke_width` says two pixels of what is one pixel wide.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).view(np.int8), axis=1).ravel()
    runs = np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)
    return float(np.median(runs)) if len(runs) else 0.0
