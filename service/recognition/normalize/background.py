"""The paper and its shade, taken away from under the ink."""

import cv2
import numpy as np

from service.imaging.page import Gray
from service.recognition.normalize.pieces import pieces
from service.recognition.normalize.polarity import Polarity, brightened


def remove_background(page: Gray, polarity: Polarity) -> Gray:
    """Subtract what is wider than any stroke: the paper, its shade, a gradient of the light.

    Args:
        page: (height, width) uint8.
        polarity: of its ink.

    Returns:
        (height, width) uint8, gray levels above the local background.
    """
    side = max(page.shape[0] * 2 // 5, 3) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    ink = np.empty_like(page)
    # What is subtracted depends on pixels within 1.5 sides: pieces give what the whole page would.
    for seen, kept, piece in pieces(page, 2 * side):
        left, right = side * (seen.start == 0), side * (seen.stop == page.shape[1])
        bright = brightened(page[:, seen], polarity)
        # Reflected edges: ink that touches the page's edge is not taken for paper.
        padded = cv2.copyMakeBorder(bright, side, side, left, right, cv2.BORDER_REFLECT)
        background = cv2.morphologyEx(cv2.medianBlur(padded, 3), cv2.MORPH_OPEN, kernel)
        background = cv2.blur(background, (side, side))[side:-side, left:]
        ink[:, piece] = cv2.subtract(bright[:, kept], background[:, kept])
    return ink
