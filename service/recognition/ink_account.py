"""The account of ink: which ink of a page its digits explain, and which nothing does.

The confidence of a reading is that of the strip that normalization kept. What was left out of it,
another line or a stamp, and what lies in it unread, a dash or a stroke through the digits, speaks
against the reading all the same. So no reading is accepted whose account does not balance.

Lengths here are heights of the text's band, areas its squares, and coordinates the working page's,
unless they are said to be others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize import DIGIT_HEIGHT, Box, Line, Strip
from service.recognition.normalize.ink_mask import PIECE, components
from service.recognition.views import Matrix, compose, inverse

MOST_BOXES = 20  # of unexplained ink that are listed

# Limits of the account; `benchmarks/trouble_pages.py` counts what they catch and what they cost.
REACH = 0.6  # to either side of a digit's center, what ink it explains
SLACK = 0.35  # above and below the band, the same
EXPLAINED = 0.5  # share of a component's ink in reach of digits, from which it is theirs
LEAST_SIDE = 0.3  # longer side of a component that counts
LEAST_AREA = 0.02  # ink of a component that counts: half a dash
LEAST_REST = 0.2  # ink that a digit's component may have out of reach: two thirds of a digit
LINE_SIDE = 0.4  # height of a component that makes a line of its own
LINE_AREA = 0.06  # ink of one: half a 1
OVERLAP = 0.3  # of the lower component's height, from which two stand in one line
THIN = 0.25  # shorter side of what is left of a printed line, at most
LONG = 1.6  # longer side of such a piece away from the image's edge, at least
HAIR = 0.6  # pen strokes, that a hairline is thick at most
NEAR = 0.4  # how near to the image's edge one is
ONE_LOW, ONE_HIGH = 0.6, 1.4  # height of what could be a 1
HOLLOW = 0.15  # share of its box that a corner of a frame fills, at most
STRIKE = 1.2  # length of a level stroke through the digits' middle, at least
STRUCK = 0.7  # share of the digits' whole width that it has, at least
TILTS = (0.0, -0.03, 0.03, -0.06, 0.06)  # of such a stroke, tangents
MIDDLE = 0.25  # of the band at its top and bottom that is not its middle
DASH_HEIGHT = 0.4  # of a dash, at most
SIGN_HEIGHT, SIGN_WIDTH = 1.6, 1.3  # of a dash, a slash or another literal, at most
CUT_SIDE = 0.45  # contact with the left or the right edge, of a digit that is cut off
CUT_DIGITS = 0.75  # share of digits at the upper or the lower edge, from which they are cut off


class Reason(StrEnum):
    """Why a reading is to be reviewed, the gravest first."""

    NOTHING_SEEN = "nothing seen"
    SECOND_LINE = "second line"
    UNEXPLAINED_INK = "unexplained ink"
    STRUCK_OUT = "struck out"
    CUT_OFF = "cut off"
    CONSTRAINT = "constraint"
    LOW_CONFIDENCE = "low confidence"


@dataclass(frozen=True)
class InkAccount:
    """What became of the ink of a page; shares are of all its ink, printed lines included."""

    seen: bool  # False on a page with traces of ink that are too faint to be read
    lines: int  # of ink
    digits: float  # share that the digits explain
    unexplained: float  # share in the band that they do not
    outside: float  # share above and below the band
    removed: float  # share that was removed as printed lines
    boxes: tuple[Box, ...]  # round unexplained ink, in the source image, the largest first
    reasons: tuple[Reason, ...]  # why it does not balance


@dataclass(frozen=True)
class _Components:
    """Connected ink; arrays of one entry each."""

    left: npt.NDArray[np.float64]
    top: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]
    height: npt.NDArray[np.float64]
    area: npt.NDArray[np.float64]  # pixels
    theirs: npt.NDArray[np.float64]  # pixels of it in reach of digits

    @property
    def bottom(self) -> npt.NDArray[np.float64]:
        return self.top + self.height

    @property
    def right(self) -> npt.NDArray[np.float64]:
        return self.left + self.width


def account(
    line: Line, strip: Strip, digits: str, centers: Sequence[float], signs: Sequence[int] = ()
) -> InkAccount:
    """Account for the ink of a page.

    Args:
        line: found on the page.
        strip: of the line, in which the digits were found.
        digits: that were found.
        centers: of each, ascending: columns of the strip.
        signs: numbers of digits before which the constraint's pattern has a literal, from 0: ink
            between that digit and the one before is the literal's.
    """
    page = line.page
    to_page = compose(inverse(page.to_source), strip.to_source)
    band = _rows(page.to_source, line.band.top, line.band.bottom)
    zone = _zone(page.mask.shape, to_page, centers, band)
    found = _components(page.mask, zone)
    total = float(found.area.sum() + np.count_nonzero(page.erased))
    unit = max(band[1] - band[0], 1.0)
    counts = np.maximum(found.width, found.height) >= LEAST_SIDE * unit
    counts &= found.area >= LEAST_AREA * unit**2
    theirs = found.theirs >= EXPLAINED * found.area
    middles = (found.top + found.bottom) / 2
    within = (middles >= band[0] - SLACK * unit) & (middles <= band[1] + SLACK * unit)
    strange = counts & ~theirs | (theirs & (found.area - found.theirs >= LEAST_REST * unit**2))
    printed = _printed(found, page.mask.shape, unit, _stroke_width(page.mask))
    strange &= ~printed
    for number in signs:
        strange &= ~_between(found, to_page, centers, number, unit, band)
    # A dash ends many an amount, and is no digit. So does `/-`, whose slash looks like a 1.
    if digits:
        dashes = _dashes(found, to_page, centers, unit, band)
        strange = strange | (dashes & counts) if digits[-1] == "1" else strange & ~dashes
    lines = _lines(found, ~printed, unit)
    reasons = []
    if not page.seen:
        reasons.append(Reason.NOTHING_SEEN)
    if lines > 1:
        reasons.append(Reason.SECOND_LINE)
    if centers and _struck(page.mask | page.erased, zone, band, unit):
        reasons.append(Reason.STRUCK_OUT)
    if _cut_off(page.mask, found, theirs & counts, unit):
        reasons.append(Reason.CUT_OFF)
    if strange.any() and Reason.SECOND_LINE not in reasons:
        reasons.append(Reason.UNEXPLAINED_INK)
    order = np.flatnonzero(strange)[np.argsort(-found.area[strange], kind="stable")]
    share = 1 / max(total, 1.0)
    in_reach = float(found.area[theirs].sum())
    return InkAccount(
        seen=page.seen,
        lines=lines,
        digits=in_reach * share,
        unexplained=float(found.area[~theirs & within].sum()) * share,
        outside=float(found.area[~theirs & ~within].sum()) * share,
        removed=float(np.count_nonzero(page.erased)) * share,
        boxes=tuple(_box(found, int(which), line) for which in order[:MOST_BOXES]),
        reasons=tuple(reasons),
    )


def _components(mask: npt.NDArray[np.bool_], zone: npt.NDArray[np.uint8]) -> _Components:
    """Find connected ink, and how much of it is in reach of digits."""
    pieces, within = [], []
    for left, labels, found in components(mask):
        covered = labels[zone[:, left : left + labels.shape[1]] > 0]
        within.append(np.bincount(covered, minlength=len(found) + 1)[1:])
        pieces.append(found)
    stats = np.concatenate(pieces).astype(np.float64)
    theirs = np.concatenate(within).astype(np.float64)
    left, top, width, height, area = stats.T
    return _Components(left, top, width, height, area, theirs)


def _zone(
    shape: tuple[int, ...],
    to_page: Matrix,
    centers: Sequence[float],
    band: tuple[float, float],
) -> npt.NDArray[np.uint8]:
    """Draw what is in reach of digits: a parallelogram each, as slanted as the strip."""
    zone = np.zeros(shape, np.uint8)
    reach, slack = REACH * DIGIT_HEIGHT, SLACK * (band[1] - band[0])
    corners = []
    for row in (band[0] - slack, band[1] + slack):
        y = (row - to_page[1, 2]) / to_page[1, 1]  # of the strip
        columns = np.add.outer(np.asarray(centers, np.float64), [-reach, reach])
        x = to_page[0, 0] * columns + to_page[0, 1] * y + to_page[0, 2]
        corners.append(np.stack([x, np.full_like(x, row)], axis=-1))
    if centers:
        upper, lower = corners
        outlines = np.concatenate([upper, lower[:, ::-1]], axis=1).round().astype(np.int32)
        for outline in outlines:
            cv2.fillConvexPoly(zone, outline, 1)
    return zone


def _between(
    found: _Components,
    to_page: Matrix,
    centers: Sequence[float],
    number: int,
    unit: float,
    band: tuple[float, float],
) -> npt.NDArray[np.bool_]:
    """Return which components a literal before a digit explains: one of its place and size."""
    ends = [-math.inf, *centers, math.inf]
    middle_y = (band[0] + band[1]) / 2
    y = (middle_y - to_page[1, 2]) / to_page[1, 1]
    left, right = (
        to_page[0, 0] * column + to_page[0, 1] * y + to_page[0, 2]
        for column in ends[number : number + 2]
    )
    middle = (found.left + found.right) / 2
    small = (found.height <= SIGN_HEIGHT * unit) & (found.width <= SIGN_WIDTH * unit)
    near = np.abs((found.top + found.bottom) / 2 - middle_y) <= 0.8 * unit
    return np.asarray((middle > left) & (middle < right) & small & near, np.bool_)


def _dashes(
    found: _Components,
    to_page: Matrix,
    centers: Sequence[float],
    unit: float,
    band: tuple[float, float],
) -> npt.NDArray[np.bool_]:
    """Return which components are dashes behind the last digit."""
    flat = (found.height <= DASH_HEIGHT * unit) & (found.width >= 1.5 * found.height)
    flat &= found.width <= SIGN_WIDTH * unit
    middle = (found.top + found.bottom) / 2
    flat &= (middle >= band[0] + 0.15 * unit) & (middle <= band[1])
    behind = found.left >= to_page[0, 0] * centers[-1] + to_page[0, 2]
    return np.asarray(flat & behind, np.bool_)


def _printed(
    found: _Components, shape: tuple[int, ...], unit: float, stroke: float
) -> npt.NDArray[np.bool_]:
    """Return which components are pieces of printed lines, that were not removed as such.

    They are straight, so their boxes are thin; and they are long, or run along the image's edge, or
    near it and are thinner than the pen's strokes. What could be a 1 at the edge is none. A corner
    of a frame has a large box that it hardly fills.

    Args:
        found: connected ink.
        shape: of the page, (height, width).
        unit: height of the text's band, pixels.
        stroke: width of the pen's strokes, pixels.
    """
    height, width = shape[0], shape[1]
    beside = np.minimum(found.left, width - found.right)
    above = np.minimum(found.top, height - found.bottom)
    one = (found.height >= ONE_LOW * unit) & (found.height <= ONE_HIGH * unit)
    hair = HAIR * stroke
    upright = (found.width <= THIN * unit) & (
        (found.height >= LONG * unit)
        | ((beside <= 1) & ~one)
        | ((beside > 1) & (beside <= NEAR * unit) & (found.width <= hair))
    )
    level = (found.height <= THIN * unit) & (
        (found.width >= LONG * unit)
        | (above <= 1)
        | ((above > 1) & (above <= NEAR * unit) & (found.height <= hair))
    )
    large = np.minimum(found.width, found.height) >= unit
    corner = large & (np.minimum(beside, above) <= 1)
    corner &= found.area <= HOLLOW * found.width * found.height
    return np.asarray(upright | level | corner, np.bool_)


def _stroke_width(mask: npt.NDArray[np.bool_]) -> float:
    """Estimate how wide strokes are, by what an erosion takes from both their sides, pixels."""
    ink = mask.view(np.uint8)
    area = cv2.countNonZero(ink)
    inner = cv2.countNonZero(cv2.erode(ink, np.ones((3, 3), np.uint8))) if area else 0
    return 2 / max(1 - inner / max(area, 1), 0.05)


def _lines(found: _Components, chosen: npt.NDArray[np.bool_], unit: float) -> int:
    """Count the lines of ink: runs of rows of components as high as digits, one above the other."""
    tall = (found.height >= LINE_SIDE * unit) & (found.area >= LINE_AREA * unit**2) & chosen
    if not tall.any():
        return 0
    top, bottom = found.top[tall], found.bottom[tall]
    inset = OVERLAP / 2 * (bottom - top)
    order = np.argsort(top)
    top, bottom = (top + inset)[order], (bottom - inset)[order]
    reached = np.maximum.accumulate(bottom)
    return 1 + int(np.count_nonzero(top[1:] > reached[:-1]))


def _struck(
    ink: npt.NDArray[np.bool_],
    zone: npt.NDArray[np.uint8],
    band: tuple[float, float],
    unit: float,
) -> bool:
    """Tell a straight stroke, level or tilted, through the middle of digits.

    Args:
        ink: (height, width) all ink: that a line was erased as a rule does not excuse it.
        zone: (height, width) what is in reach of digits.
        band: the rows between which they stand.
        unit: how many those are.
    """
    first = max(round(band[0] + MIDDLE * unit), 0)
    last = min(round(band[1] - MIDDLE * unit), ink.shape[0])
    columns = np.flatnonzero(zone[first:last].any(axis=0))
    if not columns.size:
        return False
    # Of a line that is longer than a piece, its beginning speaks for the whole.
    stop = min(columns[-1] + 1, columns[0] + PIECE)
    part = ink[first:last, columns[0] : stop].view(np.uint8)
    height, width = part.shape
    length = max(round(STRIKE * unit), round(STRUCK * width), 3)
    thick = np.ones((2 * max(round(0.04 * unit), 1) + 1, 1), np.uint8)
    for tilt in TILTS:
        sheared = np.array([[1, 0, 0], [tilt, 1, -tilt * (width - 1) / 2]])
        level = cv2.warpAffine(part, sheared, (width, height), flags=cv2.INTER_NEAREST)
        if _longest_run(cv2.dilate(level, thick) > 0) >= length:
            return True
    return False


def _longest_run(ink: npt.NDArray[np.bool_]) -> int:
    """Return how long the longest run of ink is in any row, pixels."""
    gaps = np.flatnonzero(~np.pad(ink, ((0, 0), (1, 1))))
    return int(np.diff(gaps).max()) - 1


def _cut_off(
    mask: npt.NDArray[np.bool_],
    found: _Components,
    digits: npt.NDArray[np.bool_],
    unit: float,
) -> bool:
    """Tell digits that go on beyond an edge of the image."""
    if not digits.any():
        return False
    height, width = mask.shape
    for at_edge, column in ((found.left <= 0, 0), (found.right >= width, width - 1)):
        if (digits & at_edge).any() and np.count_nonzero(mask[:, column]) >= CUT_SIDE * unit:
            return True
    for at_edge in (found.top <= 0, found.bottom >= height):
        touching = np.count_nonzero(digits & at_edge)
        if touching > 1 and touching >= CUT_DIGITS * np.count_nonzero(digits):
            return True
    return False


def _box(found: _Components, which: int, line: Line) -> Box:
    matrix = line.page.to_source
    left, right = (
        float(matrix[0, 0] * x + matrix[0, 2]) for x in (found.left[which], found.right[which])
    )
    top, bottom = (
        float(matrix[1, 1] * y + matrix[1, 2]) for y in (found.top[which], found.bottom[which])
    )
    return Box(left, top, min(right, line.source_width), min(bottom, line.source_height))


def _rows(to_source: Matrix, top: float, bottom: float) -> tuple[float, float]:
    """Return rows of the source image on the working page."""
    scale, offset = float(to_source[1, 1]), float(to_source[1, 2])
    return (top - offset) / scale, (bottom - offset) / scale
