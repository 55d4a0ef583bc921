"""Baselines that curve are made straight."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray
from service.recognition.normalize.band import weighted_median
from service.recognition.normalize.ink_mask import Mask, Stats
from service.recognition.normalize.pieces import PIECE
from service.recognition.normalize.skew import MOST, MOST_ROWS

FEWEST = 5  # digits: a parabola goes through any three
# By how much the line's middle stands off the chord between its ends, in heights of digits. Less
# does not hurt; more is steeper at the ends than digits can be read.
LEAST, MOST_BENT = 0.35, 1.5
EVEN = 0.5  # share of that by which the digits' upper ends bend, and their lower ends
SPREAD = 0.2  # heights by which digits may stand off the curve, root mean square
BETTER = 0.5  # the same, over what they stand off a straight line
WIDE = 0.5  # share of the line's width that a rule has, and no digits that touch
BEYOND = 1.0  # heights beyond the outer digits' middles that the curve goes on: one may be left out
APART = 0.3  # heights between the middles of two digits, at least
STEEPEST = 1.0  # tangent at the ends, 45 degrees
AT_ONCE = 1024  # columns that are moved: the places of all would take eight times the page's memory


@dataclass(frozen=True)
class Bend:
    """A curve by which the columns of a level line are moved; 0 at the page's middle column."""

    curvature: float  # rows by column squared, positive where the middle of the line stands high
    middle: float  # column of the parabola's vertex
    reach: float  # columns to either side over which it is a parabola; its tangents go on
    zero: float  # rows of the curve at the page's middle column

    def rows(self, columns: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return how far below the straight line's points the bent one's are."""
        aside = np.abs(columns - self.middle)
        near = np.minimum(aside, self.reach)
        return np.asarray(self.curvature * near * (2 * aside - near) - self.zero, np.float64)

    def scaled(self, across: float, down: float) -> "Bend":
        """Return the same bend where columns are so many times as many, and rows."""
        return Bend(
            self.curvature * down / across**2,
            self.middle * across,
            self.reach * across,
            self.zero * down,
        )


def find_bend(found: Stats, shape: tuple[int, ...]) -> tuple[float, Bend] | None:
    """Estimate the curve of a baseline: by least squares, a parabola through the digits' middles.

    It counts where both their upper and their lower ends lie along such a curve, and on it much
    better than on a straight line: digits of different heights, or two lines, do not.

    Args:
        found: components of the ink.
        shape: (height, width) of the page.

    Returns:
        The tangent by which the line falls to the right, and the bend that remains on the page
        that was made level by it. Nothing where the line is straight, or no curve is made out.
    """
    if shape[1] > PIECE or len(found) < FEWEST:
        return None
    left, top, width, height, area = found.T.astype(np.float64)
    large = height >= 0.5 * weighted_median(height, area)
    right = left + width
    large &= width <= WIDE * (right[large].max() - left[large].min())
    if not large.any():
        return None
    tall = float(np.median(height[large]))
    large &= height <= 2 * tall
    left, top, right, height = left[large], top[large], right[large], height[large]
    x = (left + right) / 2
    stacked = bool((np.diff(np.sort(x)) < APART * tall).any())
    if len(x) < FEWEST or stacked or np.ptp(x) < 2 * tall:
        return None
    middle, half = (x.min() + x.max()) / 2, float(np.ptp(x)) / 2
    powers = np.vander((x - middle) / half, 3)
    ends = np.stack([top, top + height], axis=1)
    curves = np.linalg.lstsq(powers, ends, rcond=None)[0]
    bent, slope, _ = curve = curves.mean(axis=1)
    y = ends.mean(axis=1)
    straight = np.linalg.lstsq(powers[:, 1:], y, rcond=None)[0]
    off = float(np.sqrt(np.mean((y - powers @ curve) ** 2)))
    curves_so = (
        LEAST * tall <= abs(bent) <= MOST_BENT * tall
        and (curves[0] * np.sign(bent)).min() >= EVEN * abs(bent)
        and (2 * abs(bent) + abs(slope)) / half <= STEEPEST
        and abs(slope) <= MOST * half
        and off <= min(SPREAD * tall, BETTER * float(np.std(y - powers[:, 1:] @ straight)))
    )
    if not curves_so:
        return None
    curvature, reach = float(bent) / half**2, half + BEYOND * tall
    about = Bend(curvature, float(middle), reach, 0.0)
    bend = replace(about, zero=float(about.rows(np.array(shape[1] / 2))))
    return (
        (float(slope) / half, bend) if 2 * added(shape[1], bend) <= MOST_ROWS * shape[0] else None
    )


def straighten(pixels: Gray, bend: Bend) -> Gray:
    """Move a page's columns so that its line is straight; rows are added at both ends.

    Args:
        pixels: (height, width) uint8.
        bend: of the line.

    Returns:
        (height + 2 * `added`, width) uint8; what comes in from outside is 0.
    """
    height, width = pixels.shape
    more = added(width, bend)
    straight = np.empty((height + 2 * more, width), np.uint8)
    down = np.arange(len(straight), dtype=np.float32)[:, None]
    for left in range(0, width, AT_ONCE):
        part = pixels[:, left : left + AT_ONCE]
        across = np.arange(part.shape[1], dtype=np.float32)
        rows = down + np.asarray(bend.rows(left + across + 0.5) - more, np.float32)
        columns = np.broadcast_to(across, rows.shape).copy()
        straight[:, left : left + AT_ONCE] = cv2.remap(part, columns, rows, cv2.INTER_LINEAR)
    return straight


def straighten_mask(mask: Mask, bend: Bend) -> Mask:
    """Straighten a mask as `straighten` does a page."""
    return straighten(np.where(mask, np.uint8(255), np.uint8(0)), bend) >= 128


def has_rule(found: Stats, bend: Bend) -> bool:
    """Whether ink of a straightened page may still hang together with a rule.

    Args:
        found: components of the ink, printed lines removed.
        bend: that was taken away.
    """
    return bool((found[:, cv2.CC_STAT_WIDTH] > WIDE * 2 * bend.reach).any())


def added(width: int, bend: Bend) -> int:
    """Return how many rows straightening adds at either end of a page of that width."""
    return int(np.ceil(np.abs(bend.rows(np.array([0, bend.middle, width], np.float64))).max()))
