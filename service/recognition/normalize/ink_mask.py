"""Where the ink is."""

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray

LEAST_CONTRAST = 12  # gray levels between ink and paper, below which a page is blank

Mask = npt.NDArray[np.bool_]  # (height, width)


def find_ink(ink: Gray) -> Mask:
    """Return where the ink is, by Otsu's threshold; nowhere on a page without contrast."""
    threshold, _ = cv2.threshold(ink, 0, 255, cv2.THRESH_OTSU)
    mask = ink > threshold
    if not mask.any() or mask.all():
        return np.zeros_like(mask)
    contrast = float(ink[mask].mean()) - float(ink[~mask].mean())
    return mask if contrast >= LEAST_CONTRAST else np.zeros_like(mask)
