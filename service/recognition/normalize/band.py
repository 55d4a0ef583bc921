"""The rows between which the text stands."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize.ink_mask import Mask, components


def find_band(mask: Mask) -> tuple[float, float]:
    """Return the rows between which the digits stand, from the heights of connected ink.

    Ink counts by its area: specks, dots and dashes hardly do. One tall stroke or a small zero
    does not decide.
    """
    boxes = np.concatenate([stats for _, _, stats in components(mask)]).astype(np.float64)
    if not len(boxes):
        return 0.0, float(mask.shape[0])
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
