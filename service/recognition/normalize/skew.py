"""Baselines that climb or fall are made level."""

import cv2
import numpy as np

from service.imaging.page import Gray
from service.recognition.normalize.band import weighted_median
from service.recognition.normalize.ink_mask import Mask, Stats
from service.recognition.normalize.pieces import PIECE
from service.recognition.views import Matrix

MOST = 0.3  # tangent, 17 degrees
MOST_ROWS = 2  # page heights that leveling may add: memory grows by as much
LEAST_RUN = 0.5  # heights of digits by which the baseline must rise or fall, end to end
SPREAD = 0.12  # heights by which digits may stand off a straight baseline, by median
FEWEST, MANY = 4, 64  # digits; of more, that many spread over the line decide


def find_skew(found: Stats, shape: tuple[int, ...]) -> float:
    """Estimate how far the baseline falls to the right: a tangent; 0 where none is made out.

    The slope is the median of those between pairs of digits (Theil 1950, Sen 1968), taken at their
    middles. It counts where it moves the ends by a good part of a digit's height, and the digits
    stand along it.

    Args:
        found: connected ink.
        shape: of the page, (height, width).
    """
    if shape[1] > PIECE or len(found) < FEWEST:
        return 0.0
    left, top, width, height, area = found.T.astype(np.float64)
    large = height >= 0.5 * weighted_median(height, area)
    tall = float(np.median(height[large]))
    chosen = np.flatnonzero(large & (height <= 2 * tall))
    chosen = chosen[np.argsort(left[chosen], kind="stable")]
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MANY)).astype(int)]
    x, y = (left + width / 2)[chosen], (top + height / 2)[chosen]
    apart = np.subtract.outer(x, x)
    pairs = apart > 0.8 * tall
    if len(chosen) < FEWEST or not pairs.any():
        return 0.0
    slope = float(np.median((np.subtract.outer(y, y)[pairs]) / apart[pairs]))
    run = abs(slope) * float(np.ptp(x))
    if run < LEAST_RUN * tall or abs(slope) > min(MOST, MOST_ROWS * shape[0] / shape[1]):
        return 0.0
    rest = y - slope * x
    if float(np.median(np.abs(rest - np.median(rest)))) > SPREAD * tall:
        return 0.0
    return slope


def level(pixels: Gray, skew: float) -> Gray:
    """Shear a page upright so that its baseline is level; rows are added at both ends.

    Args:
        pixels: (height, width) uint8.
        skew: tangent by which the baseline falls to the right.

    Returns:
        (height + rows, width) uint8; what comes in from outside is 0.
    """
    height, width = pixels.shape
    matrix = level_matrix(width, skew)
    size = (width, height + 2 * _added(width, skew))
    return np.asarray(
        cv2.warpAffine(pixels, _pixels(matrix), size, flags=cv2.INTER_LINEAR), np.uint8
    )


def level_mask(mask: Mask, skew: float) -> Mask:
    """Shear a mask as `level` does a page."""
    return level(np.where(mask, np.uint8(255), np.uint8(0)), skew) >= 128


def level_matrix(width: int, skew: float) -> Matrix:
    """Return the map from a page's points to those of the level one."""
    return np.array([[1.0, 0, 0], [-skew, 1.0, skew * width / 2 + _added(width, skew)]])


def _added(width: int, skew: float) -> int:
    return round(abs(skew) * width / 2)


def _pixels(matrix: Matrix) -> Matrix:
    """Return the same map between the centers of pixels, as OpenCV counts them."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2].sum(axis=1) * 0.5 - 0.5
    return shifted
