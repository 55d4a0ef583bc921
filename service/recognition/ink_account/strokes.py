"""The shapes of strokes: straight ones, those that go through other ink, rings."""

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize.ink_mask import Mask

STRAIGHT = 0.16  # spread of a straight stroke's ink across its axis, in spreads along it, at most

ENDS = 0.05  # of the band's height, that is looked at of ink at either end
NARROW, NARROW_PIXELS = 0.1, 3  # height of an end of one stroke, at most: of the band, or pixels
SWAY = 0.04  # of the band's height, by which a stroke through ink may lie off the line of its ends
INKED = 0.97  # share of that line that has ink, at least
EITHER = 0.2  # share of the ink on either side of that stroke, at least

# Of the band's height: that the ends of an even stroke are high, at most; what is at least free of
# other ink at either end; how high that may be, and how far off the line; and by how much its
# thickness may vary there.
HIGH_END, FREE, FREE_HIGH, FREE_SWAY, UNEVEN = 0.2, 0.03, 0.16, 0.06, 0.03
FREE_THICK = 1.6  # thicknesses of the stroke, that is as well

# Of a level stroke, of the band's height: how high it is where it crosses paper, at most, or
# pixels; in how many columns it must; and spread of those off a straight line, at most.
THIN, THIN_PIXELS, LEAST_THIN, LEVEL_SWAY = 0.16, 3, 3, 0.03

# Of a frame: width of a line, at most, its own, at least, and the share of a line that has ink.
SIDE, WIDE, LINED = 0.08, 0.4, 0.75

# Of two level strokes, one above the other, of the band's height: how much of their ends is looked
# at, how far those at the left lie off those at the right, how far they lie apart, at most; and the
# share of columns that hold the two and nothing else, at least.
PAIR, PAIR_LEVEL, PAIR_APART, PAIRED = 0.05, 0.1, 0.4, 0.7

# Of a ruled stroke, of its height: spread of its middle off a straight line and of its width, at
# most; its ends, that are not looked at; and how many pixels high it must be.
RULED, RULED_WIDTH, RULED_ENDS, LEAST_RULED = 0.012, 0.015, 0.08, 12

FEET, BETWEEN = 0.25, 0.25  # height of two feet, and of the paper between them: of all, at least

ROUND = 0.95  # share of a circle that has ink, at least
OFF_ROUND = 0.05  # of its diameter, by which that ink may lie off it
POINTS = 120  # of the circle, that are looked at


def is_straight(own: Mask, spread: float = STRAIGHT) -> bool:
    """Tell a straight stroke, by the spread of its ink across its axis and along it.

    Args:
        own: (height, width) ink.
        spread: across, in those along, at most.
    """
    points = np.argwhere(own).astype(np.float64)
    if len(points) < 4:
        return False
    across, along = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0))
    return bool(across <= spread * along)


def goes_through(own: Mask, unit: float) -> bool:
    """Tell ink whose left end and right end one straight stroke joins, and that lies on both sides.

    Args:
        own: (height, width) connected ink, in its box.
        unit: height of the text's band, pixels.
    """
    ends = _ends(own, unit)
    if max(int(np.ptp(each)) for each in ends) > max(NARROW * unit, NARROW_PIXELS):
        return False
    return _either_side(own, unit, ends) >= EITHER


def even_stroke(own: Mask, unit: float, either: float, free_ends: float = FREE) -> float | None:
    """Measure an even straight stroke from the left end of ink to its right one, with both free.

    A ruler or a quick hand draws it through a digit; the digit's own strokes end in others, and
    swell and taper.

    Args:
        own: (height, width) connected ink, in its box.
        unit: height of the text's band, pixels.
        either: share of the ink that lies on either side of it, at least.
        free_ends: of the band's height, what is free of other ink at either end, at least.

    Returns:
        Its thickness in pixels; None where there is no such stroke.
    """
    ends = _ends(own, unit)
    if max(int(np.ptp(each)) + 1 for each in ends) > HIGH_END * unit:
        return None
    if _either_side(own, unit, ends) < either:
        return None
    near = 2 * max(round(ENDS * unit), 1)
    thick = float(np.median(own[:, np.r_[:near, -near:0]].sum(axis=0)))
    first = own.argmax(axis=0)
    high = len(own) - own[::-1].argmax(axis=0) - first
    off = first + (high - 1) / 2 - _between(ends, own.shape[1])
    free = high <= max(FREE_HIGH * unit, FREE_THICK * thick + 1)
    free &= np.abs(off) <= max(FREE_SWAY * unit, 2)
    if free.all():
        return None
    left, right = int(free.argmin()), int(free[::-1].argmin())
    if min(left, right) < free_ends * unit:
        return None
    uneven = float(np.concatenate([high[:left], high[len(high) - right :]]).std())
    return thick if uneven <= UNEVEN * unit else None


def ends_in_pairs(own: Mask, unit: float) -> bool:
    """Tell ink that ends at its left and at its right in the same two level strokes.

    Args:
        own: (height, width) connected ink, in its box.
        unit: height of the text's band, pixels.
    """
    near = max(round(PAIR * unit), 2)
    if own.shape[1] < 4 * near:
        return False
    left, right = _pair(own[:, 1 : 1 + near]), _pair(own[:, -1 - near : -1])
    if left is None or right is None:
        return False
    off = max(abs(left[0] - right[0]), abs(left[1] - right[1]))
    apart = max(left[1] - left[0], right[1] - right[0])
    return bool(off <= PAIR_LEVEL * unit and apart <= PAIR_APART * unit)


def _pair(columns: Mask) -> tuple[float, float] | None:
    """Return the middles of the upper and the lower stroke of columns that hold two, rows."""
    padded = np.zeros((columns.shape[0] + 2, columns.shape[1]), np.int8)  # np.pad takes far longer
    padded[1:-1] = columns
    edges = np.diff(padded, axis=0)
    two = np.count_nonzero(edges == 1, axis=0) == 2
    if np.count_nonzero(two) < max(2.0, PAIRED * columns.shape[1]):
        return None
    rows = np.nonzero(edges[:, two].T)[1].reshape(-1, 4).mean(axis=0)  # of each column in order
    return float(rows[:2].mean()), float(rows[2:].mean())


def is_ruled(own: Mask) -> bool:
    """Tell an upright or a leaning stroke that is as straight and as even as a hand hardly draws.

    Args:
        own: (height, width) connected ink, in its box.
    """
    height, width = own.shape
    if height < LEAST_RULED:
        return False
    cut = int(RULED_ENDS * height)
    rows = own[cut : height - cut]
    first, last = rows.argmax(axis=1), width - rows[:, ::-1].argmax(axis=1)
    place = np.linspace(-1, 1, len(rows))
    middle = (first + last) / 2
    slope = place @ (middle - middle.mean()) / (place @ place)
    off = float((middle - middle.mean() - slope * place).std())
    even = float((last - first).std()) <= RULED_WIDTH * height
    return even and bool(off <= RULED * height)


def is_level(part: Mask, row: int, unit: float) -> bool:
    """Tell one straight stroke from the bars of several digits, one behind the other.

    Where a stroke crosses paper it is thin, and there it lies on one line. Bars of digits that
    touch lie a little above and below one another.

    Args:
        part: (height, width) ink, and nothing but columns that have some near the row.
        row: along which it goes.
        unit: height of the text's band, pixels.
    """
    near = max(round(SWAY * unit), 1)
    first, last = max(row - near, 0), min(row + near + 1, len(part))
    rows = np.arange(len(part))[:, np.newaxis]
    far = np.where(part[first:last], np.abs(rows[first:last] - row), len(part))
    within = first + far.argmin(axis=0)  # the row of each column's ink that is next to it
    top = np.where(~part & (rows < within), rows, -1).max(axis=0) + 1
    bottom = np.where(~part & (rows > within), rows, len(part)).min(axis=0)
    thin = np.flatnonzero(bottom - top <= max(THIN * unit, THIN_PIXELS))
    if len(thin) < LEAST_THIN:
        return True  # it is seen nowhere by itself
    middle = (top[thin] + bottom[thin]) / 2
    place = thin - thin.mean()
    slope = place @ (middle - middle.mean()) / (place @ place)
    return float((middle - middle.mean() - slope * place).std()) <= LEVEL_SWAY * unit


def _ends(own: Mask, unit: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows of connected ink at its left end and at its right one."""
    end = max(round(ENDS * unit), 1)
    left, right = own[:, :end], own[:, -end:]
    return np.flatnonzero(left.any(axis=1)), np.flatnonzero(right.any(axis=1))


def _between(
    ends: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], width: int
) -> npt.NDArray[np.float64]:
    """Return the rows of the straight line that joins two ends, (width,)."""
    return np.linspace(float(ends[0].mean()), float(ends[1].mean()), width)


def _either_side(
    own: Mask, unit: float, ends: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
) -> float:
    """Return the share of ink on that side of the line of its ends that has less of it.

    It is 0 where the line has breaks.
    """
    sway = max(round(SWAY * unit), 1)
    rows, columns = np.nonzero(own)
    below = rows - np.rint(_between(ends, own.shape[1])).astype(np.intp)[columns]
    if len(np.unique(columns[np.abs(below) <= sway])) < INKED * own.shape[1]:
        return 0.0
    return min(np.count_nonzero(below < -sway), np.count_nonzero(below > sway)) / len(rows)


def holes(own: Mask) -> int:
    """Count the patches of paper that connected ink encloses."""
    paper = np.pad(~own, 1, constant_values=True).view(np.uint8)
    return int(cv2.connectedComponents(paper, connectivity=4)[0]) - 2  # what is ink, and outside


def has_frame(own: Mask, unit: float) -> bool:
    """Tell ink with upright lines at its left and its right, and a level one from corner to corner.

    Args:
        own: (height, width) connected ink, in its box.
        unit: height of the text's band, pixels.
    """
    line = max(round(SIDE * unit), 2)
    if own.shape[1] < WIDE * unit:
        return False
    if min(part.any(axis=1).mean() for part in (own[:, :line], own[:, -line:])) < LINED:
        return False
    return any(
        end[:, :line].any() and end[:, -line:].any() and end.any(axis=0).mean() >= LINED
        for end in (own[:line], own[-line:])
    )


def has_feet(own: Mask) -> bool:
    """Tell ink that stands on two feet, as an A does and no 4.

    Args:
        own: (height, width) connected ink, in its box.
    """
    height, width = own.shape
    rows = own[height - max(int(FEET * height), 2) : -1]  # one foot may be a little lower
    columns = np.arange(width)
    inked = np.maximum.accumulate(np.where(rows, columns, -1), axis=1)  # the last one up to each
    before = inked[:, :-1]
    paper = np.where(rows[:, 1:] & (before >= 0), columns[1:] - before - 1, 0)
    return bool((paper.max(axis=1, initial=0) >= BETWEEN * height).all())


def has_ring(own: Mask) -> bool:
    """Tell a circle from the highest point of connected ink to its lowest one.

    Args:
        own: (height, width) connected ink, in its box.
    """
    height, width = own.shape
    top, bottom = (float(np.flatnonzero(own[row]).mean()) for row in (0, -1))
    if abs(top - bottom) > OFF_ROUND * height or width < (1 - OFF_ROUND) * height:
        return False
    angles = np.arange(POINTS) * (2 * np.pi / POINTS)
    radius = (height - 2) / 2
    y = np.rint((height - 1) / 2 + radius * np.sin(angles)).astype(np.intp)
    x = np.rint((top + bottom) / 2 + radius * np.cos(angles)).astype(np.intp)
    off = max(round(OFF_ROUND * height), 1)
    near = cv2.dilate(np.pad(own, off).view(np.uint8), np.ones((2 * off + 1,) * 2, np.uint8))
    inside = (x >= -off) & (x < width + off)
    inked = near[y[inside] + off, x[inside] + off]
    return bool(np.count_nonzero(inked) >= ROUND * POINTS)
