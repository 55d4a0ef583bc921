"""The rows between which the text stands."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize.ink_mask import Stats

# A level stroke is no text: it is at most as high as that share of the page, twice as wide, and
# fills that share of its box.
FLAT, FULL = 1 / 14, 0.6
LOW = 0.1  # share of the page's height that pieces of printed lines have, at most
FEW_ROWS, MANY_ROWS = 4, 8  # that this is at least, and at most


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


def weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the value below which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
