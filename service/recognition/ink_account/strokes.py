"""The shapes of strokes: straight ones, those that go through other ink, rings."""

import cv2
import numpy as np

from service.recognition.normalize.ink_mask import Mask

STRAIGHT = 0.16  # spread of a straight stroke's ink across its axis, in spreads along it, at most

ENDS = 0.05  # of the band's height, that is looked at of ink at either end
NARROW, NARROW_PIXELS = 0.1, 3  # height of an end of one stroke, at most: of the band, or pixels
SWAY = 0.04  # of the band's height, by which a stroke through ink may lie off the line of its ends
INKED = 0.97  # share of that line that has ink, at least
EITHER = 0.2  # share of the ink on either side of that stroke, at least

# Of a frame: width of a line, at most, its own, at least, and the share of a line that has ink.
SIDE, WIDE, LINED = 0.08, 0.4, 0.75

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
    end, sway = max(round(ENDS * unit), 1), max(round(SWAY * unit), 1)
    ends = [np.flatnonzero(columns.any(axis=1)) for columns in (own[:, :end], own[:, -end:])]
    if max(int(np.ptp(each)) for each in ends) > max(NARROW * unit, NARROW_PIXELS):
        return False
    rows, columns = np.nonzero(own)
    first, last = (float(each.mean()) for each in ends)
    line = np.rint(np.linspace(first, last, own.shape[1])).astype(np.intp)
    below = rows - line[columns]
    inked = len(np.unique(columns[np.abs(below) <= sway]))
    sides = np.count_nonzero(below < -sway), np.count_nonzero(below > sway)
    return bool(inked >= INKED * own.shape[1] and min(sides) >= EITHER * len(rows))


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
