"""Whether the ink or the paper is darker."""

from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray
from service.recognition.normalize.pieces import pieces


class Polarity(Enum):
    """Which of ink and paper is darker."""

    DARK_ON_LIGHT = "dark on light"
    LIGHT_ON_DARK = "light on dark"


def find_polarity(page: Gray) -> Polarity:
    """Tell dark ink from light: the stronger extremes, against their surroundings, are ink.

    That is the sign of the skewness, which a gradient of the lighting does not move.
    """
    side = max(page.shape[0] * 2 // 3, 3)
    darker = lighter = 0.0
    for seen, kept, piece in pieces(page, side):
        around = cv2.blur(page[:, seen], (side, side), borderType=cv2.BORDER_REFLECT)[:, kept]
        darker += third_moment(cv2.subtract(around, page[:, piece]))
        lighter += third_moment(cv2.subtract(page[:, piece], around))
    return Polarity.DARK_ON_LIGHT if darker >= lighter else Polarity.LIGHT_ON_DARK


def brightened(page: Gray, polarity: Polarity) -> Gray:
    """Return a page, or a piece of one, whose ink is brighter than its surroundings."""
    return 255 - page if polarity is Polarity.DARK_ON_LIGHT else page


def third_moment(levels: npt.NDArray[np.uint8] | cv2.typing.MatLike) -> float:
    """Return the sum of the cubes of gray levels."""
    counts = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel()
    return float(counts @ np.arange(256.0) ** 3)
