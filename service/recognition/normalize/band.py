"""The rows between which the text stands."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray
from service.recognition.normalize.ink_mask import Mask, Stats, median_level

# A level stroke is no text: it is at most as high as that share of the page, twice as wide, and
# fills that share of its box.
FLAT, FULL = 1 / 14, 0.6
LOW = 0.1  # share of the page's height that pieces of printed lines have, at most
FEW_ROWS, MANY_ROWS = 4, 8  # that this is at least, and at most
# Two pieces of a broken digit: of so many pixels each, so near, of their heights' sum, one over the
# other by that share of the narrower, each so high, of both together, and with ink between them of
# that share of its level.
LEAST_AREA, BROKEN, ALIGNED, PIECE, FAINT = 8, 0.5, 0.4, 0.2, 0.3
MOST_PIECES = 12  # more is texture, or has whole digits enough


def find_band(found: Stats, height: int, ruled: bool = False) -> tuple[float, float] | None:
    """Return the rows between which the digits stand, from the heights of connected ink.

    Ink counts by its area: specks, dots and dashes hardly do. One tall stroke or a small zero
    does not decide.

    Args:
        found: connected ink.
        height: of the page.
        ruled: whether printed lines were removed, of which something may be left.

    Returns:
        The upper row and the lower, or nothing where no ink is as high as text.
    """
    boxes = found.astype(np.float64)
    high, wide = boxes[:, cv2.CC_STAT_HEIGHT], boxes[:, cv2.CC_STAT_WIDTH]
    flat = (high <= FLAT * height) & (wide >= 2 * high)
    flat &= boxes[:, cv2.CC_STAT_AREA] >= FULL * wide * high
    least = min(max(LOW * height, FEW_ROWS), MANY_ROWS) if ruled else 0
    boxes = boxes[(high > least) & ~flat]
    if not len(boxes):
        return None
    usual = weighted_median(boxes[:, cv2.CC_STAT_HEIGHT], boxes[:, cv2.CC_STAT_AREA])
    boxes = boxes[np.abs(np.log(boxes[:, cv2.CC_STAT_HEIGHT] / usual)) <= math.log(2)]
    tops, heights = boxes[:, cv2.CC_STAT_TOP], boxes[:, cv2.CC_STAT_HEIGHT]
    areas = boxes[:, cv2.CC_STAT_AREA]
    return weighted_median(tops, areas), weighted_median(tops + heights, areas)


def join_broken(found: Stats, ink: Gray, mask: Mask) -> Stats:
    """Join what stands one above the other and faint ink connects: a digit that broke in two.

    Args:
        found: connected ink.
        ink: (height, width) uint8, gray levels above the paper.
        mask: (height, width) where the ink is.
    """
    large = found[found[:, cv2.CC_STAT_AREA] >= LEAST_AREA]
    if not 2 <= len(large) <= MOST_PIECES:
        return found
    left, top, width, height = large[:, :4].T
    right, bottom = left + width, top + height
    gap = top[None, :] - bottom[:, None]  # (upper, lower) rows between the two
    shared = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    stacked = (gap >= 0) & (gap <= BROKEN * (height[:, None] + height))
    stacked &= shared >= ALIGNED * np.minimum(width[:, None], width)
    whole = bottom[None, :] - top[:, None]
    stacked &= np.minimum(height[:, None], height) >= PIECE * whole  # no underline
    if not stacked.any():
        return found
    faint = FAINT * median_level(ink, mask)
    owner = np.arange(len(large))
    for upper, lower in np.argwhere(stacked):
        between = ink[
            bottom[upper] - 1 : top[lower] + 1,
            min(left[upper], left[lower]) : max(right[upper], right[lower]),
        ]
        if between.max(axis=1).min() >= faint:
            owner[owner == owner[lower]] = owner[upper]
    joined = []
    for number in np.unique(owner):
        own = large[owner == number]
        x, y = own[:, 0].min(), own[:, 1].min()
        edge_x, edge_y = (own[:, 0] + own[:, 2]).max(), (own[:, 1] + own[:, 3]).max()
        joined.append((x, y, edge_x - x, edge_y - y, own[:, cv2.CC_STAT_AREA].sum()))
    small = found[found[:, cv2.CC_STAT_AREA] < LEAST_AREA]
    return np.concatenate([np.array(joined, np.int32), small])


def weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the value below which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
