"""The working size: pixels made square, large pages shrunk."""

import cv2
import numpy as np

from service.imaging.page import Gray

WORKING_HEIGHT = 192  # larger pages are shrunk to this before anything is looked for


def shrink(gray: Gray, aspect: float = 1.0) -> Gray:
    """Make a page's pixels square, and shrink it to the working height, if it is higher.

    The columns never become more, only the rows: strips cost by their width.
    """
    height, width = gray.shape
    rows = height / aspect
    columns = width if rows <= WORKING_HEIGHT else width * WORKING_HEIGHT / rows
    size = (max(round(columns), 1), max(round(min(rows, WORKING_HEIGHT)), 1))
    if size == (width, height):
        return gray
    if size[1] > height:  # columns first, so that no more is held than at the end
        fewer = cv2.resize(gray, (size[0], height), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(fewer, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
