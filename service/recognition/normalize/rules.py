"""Printed lines that the text stands on."""

import cv2
import numpy as np

from service.recognition.normalize.ink_mask import Mask


def find_rules(mask: Mask) -> Mask:
    """Return the pixels of long horizontal lines, but for those of strokes that cross them."""
    height, width = mask.shape
    length = max(int(1.5 * height), 24)
    if width <= length:
        return np.zeros_like(mask)
    ink = mask.view(np.uint8)
    lines = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    lines = cv2.morphologyEx(lines, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    lines = cv2.dilate(lines, np.ones((3, 1), np.uint8))
    # A stroke goes on above or below a line that it crosses.
    upright = np.ones((max(height // 6, 4), 1), np.uint8)
    strokes = cv2.morphologyEx(ink, cv2.MORPH_OPEN, upright)
    rules: Mask = mask & (lines > 0) & (strokes == 0)
    return rules
