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
STEP = 0.02  # between the slopes that are tried, tangents
SLOPES = np.arange(-18, 19) * STEP  # beyond MOST, so that a minimum there is one
OUT = 0.08  # share of columns whose ink may stand out of the band above, and as many below
FEWEST_IN_BAND, LEAST_WIDE = 3, 2.2  # digits, and heights that they span
TIGHTER, HIGHEST = 0.8, 1.2  # height of the band, over that along the rows, and in digits' heights
FEWEST, MANY = 4, 64  # digits; of more, that many spread over the line decide


def find_skew(mask: Mask, found: Stats) -> float:
    """Estimate how far the baseline falls to the right: a tangent; 0 where none is made out.

    Args:
        mask: (height, width) where ink is.
        found: its components.
    """
    return _along_digits(found, mask.shape) or _along_band(mask, found)


def _along_digits(found: Stats, shape: tuple[int, ...]) -> float:
    """Return the median of the slopes between pairs of digits (Theil 1950, Sen 1968).

    They are taken at the digits' middles. The slope counts where it moves the ends by a good part
    of a digit's height, and the digits stand along it.
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


def _along_band(mask: Mask, found: Stats) -> float:
    """Return the slope along which the band that holds the ink is lowest.

    Three or four digits, touching or of different heights, have few pairs. The slope counts where
    the band along it is much lower than along the rows, and hardly higher than digits are.
    """
    if mask.shape[1] > PIECE or not len(found):
        return 0.0
    left, top, width, height, area = found.T
    large = height >= 0.5 * weighted_median(height.astype(np.float64), area.astype(np.float64))
    tall = float(np.median(height[large]))
    first, last = int(left[large].min()), int((left + width)[large].max())
    if np.count_nonzero(large) < FEWEST_IN_BAND or last - first < LEAST_WIDE * tall:
        return 0.0
    ink = mask[int(top[large].min()) : int((top + height)[large].max()), first:last]
    columns = np.flatnonzero(ink.any(axis=0))
    above = ink.argmax(axis=0)[columns]
    below = len(ink) - ink[::-1].argmax(axis=0)[columns]
    fall = np.outer(SLOPES, columns)
    upper, lower = (
        np.quantile(above - fall, OUT, axis=1),
        np.quantile(below - fall, 1 - OUT, axis=1),
    )
    high = lower - upper
    best = int(high.argmin())
    slope, level_high = float(SLOPES[best]), float(high[len(SLOPES) // 2])
    most = min(MOST + STEP, MOST_ROWS * mask.shape[0] / mask.shape[1])
    stands = high[best] <= min(TIGHTER * level_high, HIGHEST * tall) and abs(slope) <= most
    return slope if stands else 0.0


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
