"""The paper and its shade, taken away from under the ink."""

import cv2
import numpy as np

from service.imaging.page import Gray


def remove_background(bright: Gray) -> Gray:
    """Subtract what is wider than any stroke: the paper, its shade, a gradient of the light.

    Args:
        bright: (height, width) uint8, ink brighter than its surroundings.

    Returns:
        (height, width) uint8, gray levels above the local background.
    """
    side = max(bright.shape[0] * 2 // 5, 3) | 1
    # Reflected edges: ink that touches the page's edge is not taken for paper.
    padded = cv2.copyMakeBorder(bright, side, side, side, side, cv2.BORDER_REFLECT)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    background = cv2.morphologyEx(cv2.medianBlur(padded, 3), cv2.MORPH_OPEN, kernel)
    background = cv2.blur(background, (side, side))[side:-side, side:-side]
    return np.asarray(cv2.subtract(bright, background), np.uint8)
