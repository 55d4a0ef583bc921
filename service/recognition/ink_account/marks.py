"""Ink that is no digit: printed lines, dashes, slashes, blots, and the literals of a pattern."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.ink_account.page_ink import PageInk, Which
from service.recognition.ink_account.strokes import holes, is_ruled, is_straight
from service.recognition.normalize.ink_mask import Mask, connected, stroke_width

THIN = 0.25  # shorter side of what is left of a printed line, at most
LONG = 1.6  # longer side of such a piece away from the image's edge, at least
HAIR = 0.6  # pen strokes, that a hairline is thick at most
NEAR = 0.4  # how near to the image's edge one is
ONE_LOW, ONE_HIGH = 0.6, 1.4  # height of what could be a 1
FILLED = 0.6  # share of its box that a piece along an edge fills, at least: a cut digit's leans
HOLLOW = 0.15  # share of its box that a corner of a frame fills, at most
DASH_HEIGHT = 0.4  # of a dash, at most
SIGN_HEIGHT, SIGN_WIDTH = 1.6, 1.3  # of a dash, a slash or another literal, at most
SCRIBBLE, HOLES, DENSE = 0.6, 4, 0.55  # height of a scribble, its holes, the share it fills: least
SOLID = 0.64  # share of the square round it that a blot or a punched hole fills, at least
TALL = 1.3  # height of a slash between digits, in heights of the ink beside it, at least
NEIGHBORS = 4  # components to either side that it is compared with
JUTS = 0.1  # what it juts out above and below that ink, the same
WIDE = 0.6  # width of an image, in its heights, from which a stroke over all of one is a fold
FEWEST = 2  # others that a hairline at a string's end is compared with, at least
THINNER = 0.9  # stroke of the thinnest other one, that a hairline is thick at most
RULED_THIN = 0.92  # the others' usual stroke, that a ruled one is thick at most
APART, APART_OTHERS = 0.55, 3.0  # paper before what stands apart, at least, and in other gaps
LEAST_GAP = 0.05  # of those, at least

HIGH = 0.95  # height of a parenthesis, at least, in heights of the digits
BULGE = 0.09  # by which the middle half of its stroke lies off its chord, in its heights, at least
SMOOTH = 0.04  # by which its stroke lies off an arc anywhere, the same, at most
LEAST_ARC = 12  # pixels of height, below which an arc cannot be made out

ARM, ARM_TOP = 0.1, 0.25  # height of a tick's short arm, at least, and where it ends, at most
LEAST_TICK = 10  # pixels of height, below which an arm cannot be made out
ARM_FEET = (0.6, 0.7, 0.8, 0.9)  # heights, from the top, above which a tick's arms may be two


def printed(ink: PageInk) -> Which:
    """Return which components are pieces of printed lines, that were not removed as such.

    They are straight, so their boxes are thin; and they are long, or run along the image's edge, or
    near it and are thinner than the pen's strokes. What could be a 1 at the edge is none. A corner
    of a frame has a large box that it hardly fills.
    """
    height, width = ink.mask.shape
    unit, hair = ink.unit, HAIR * stroke_width(ink.mask)
    beside = np.minimum(ink.left, width - ink.right)
    above = np.minimum(ink.top, height - ink.bottom)
    one = (ink.height >= ONE_LOW * unit) & (ink.height <= ONE_HIGH * unit)
    upright = (ink.width <= THIN * unit) & (
        (ink.height >= LONG * unit)
        | ((beside <= 1) & ~one & (ink.area >= FILLED * ink.width * ink.height))
        | ((beside > 1) & (beside <= NEAR * unit) & (ink.width <= hair))
    )
    level = (ink.height <= THIN * unit) & (
        (ink.width >= LONG * unit)
        | (above <= 1)
        | ((above > 1) & (above <= NEAR * unit) & (ink.height <= hair))
    )
    large = np.minimum(ink.width, ink.height) >= unit
    corner = large & (np.minimum(beside, above) <= 1)
    corner &= ink.area <= HOLLOW * ink.width * ink.height
    return np.asarray(upright | level | corner, np.bool_)


def between(ink: PageInk, number: int) -> Which:
    """Return which components a literal explains: those of its place and size.

    Args:
        ink: of the page.
        number: of the digit before which the literal stands, from 0.
    """
    ends = [-np.inf, *ink.centers, np.inf]
    y = sum(ink.band) / 2
    left, right = (ink.x_of(column, y) for column in ends[number : number + 2])
    middle = (ink.left + ink.right) / 2
    small = (ink.height <= SIGN_HEIGHT * ink.unit) & (ink.width <= SIGN_WIDTH * ink.unit)
    near = np.abs((ink.top + ink.bottom) / 2 - y) <= 0.8 * ink.unit
    return np.asarray((middle > left) & (middle < right) & small & near, np.bool_)


def dashes(ink: PageInk) -> Which:
    """Return which components are dashes behind the last digit; at the edge, they are cut off."""
    flat = (ink.height <= DASH_HEIGHT * ink.unit) & (ink.width >= 1.5 * ink.height)
    flat &= (ink.width <= SIGN_WIDTH * ink.unit) & (ink.right < ink.mask.shape[1])
    middle = (ink.top + ink.bottom) / 2
    flat &= (middle >= ink.band[0] + 0.15 * ink.unit) & (middle <= ink.band[1])
    behind = ink.left >= ink.to_page[0, 0] * ink.centers[-1] + ink.to_page[0, 2]
    return np.asarray(flat & behind, np.bool_)


def blots(ink: PageInk) -> Which:
    """Return which components are solid: as wide as high, and nearly full, as no digit is."""
    return np.asarray(ink.counts & (ink.area >= SOLID * ink.longer**2), np.bool_)


def scribbles(ink: PageInk) -> Which:
    """Return which components cover a digit: blots, and strokes to and fro with many holes."""
    found = np.zeros(len(ink.area), np.bool_)
    dense = (ink.area >= DENSE * ink.width * ink.height) & (ink.width <= 2 * ink.height)
    large = ink.theirs & ink.counts & (ink.height >= SCRIBBLE * ink.unit)
    for which in np.flatnonzero(large & dense).tolist():
        found[which] = holes(ink.ink_of(which)) >= HOLES
    return found | (large & blots(ink))


def slashes(ink: PageInk, digits: str) -> Which:
    """Return which components, read as a 1, are straight strokes that no 1 is.

    They stand between other ink in the digits' reach and jut out of it above and below, or they
    run from the image's upper edge to its lower one, as a fold does.
    """
    found = np.zeros(len(ink.area), np.bool_)
    row = np.flatnonzero(ink.theirs & ink.counts)
    row = row[np.argsort(ink.left[row], kind="stable")]
    places = {which: place for place, which in enumerate(row.tolist())}
    height, width = ink.mask.shape
    for which in _ones(ink, digits):
        place = places[which]
        others = np.concatenate(
            [row[max(place - NEIGHBORS, 0) : place], row[place + 1 :][:NEIGHBORS]]
        )
        through = (
            ink.top[which] <= 1 and ink.bottom[which] >= height - 1 and width >= WIDE * ink.unit
        )
        if through or _juts_out(ink, which, others):
            found[which] = is_straight(ink.ink_of(which))
    return found


def hairlines(ink: PageInk, digits: str) -> Which:
    """Return which components, read as the first digit or the last, a 1, another pen drew.

    They are far thinner than all others, and thinner than the thinnest, or a little thinner and as
    straight and even as if ruled: slashes, parentheses, staples.
    """
    found = np.zeros(len(ink.area), np.bool_)
    row = np.flatnonzero(ink.theirs & ink.counts)
    if len(row) < 1 + FEWEST or "1" not in (digits[0], digits[-1]):
        return found
    ends = {int(row[ink.left[row].argmin()]), int(row[ink.right[row].argmax()])}
    ones = ends.intersection(_ones(ink, digits))
    inks = [ink.ink_of(which) for which in row.tolist() if which not in ones]
    if ones and len(inks) >= FEWEST:
        others = [stroke_width(each) for each in inks]
        limit = min(HAIR * float(np.median(others)), THINNER * min(others))
        ruled = RULED_THIN * float(np.median([_thick(each) for each in inks]))
        for which in ones:
            own = ink.ink_of(which)
            found[which] = stroke_width(own) <= limit or (_thick(own) <= ruled and is_ruled(own))
    return found


def _thick(own: Mask) -> float:
    """Return how wide strokes of ink in its box are, also those along the box's edges, pixels."""
    return stroke_width(np.pad(own, 1))


def apart(ink: PageInk, digits: str) -> Which:
    """Return which component, read as the first digit or the last, a 1, stands far from the others.

    A slash, a staple or a letter beside digits looks like a 1. Its place tells it.
    """
    found = np.zeros(len(ink.area), np.bool_)
    row = np.flatnonzero(ink.theirs & ink.counts)
    if len(row) < 1 + FEWEST or "1" not in (digits[0], digits[-1]):
        return found
    ones = set(_ones(ink, digits))
    row = row[np.argsort(ink.left[row], kind="stable")]
    gaps = (ink.left[row][1:] - np.maximum.accumulate(ink.right[row])[:-1]) / ink.unit
    for place, gap, others in ((0, gaps[0], gaps[1:]), (-1, gaps[-1], gaps[:-1])):
        if gap >= max(APART, APART_OTHERS * max(float(others.max()), LEAST_GAP)):
            found[row[place]] = int(row[place]) in ones
    return found


def ticks(ink: PageInk, digits: str) -> Which:
    """Return which components are ticks, and no 1: a short arm rises to the left of the foot.

    The flag of a 1 begins at its head instead, and what is above its foot hangs together.
    """
    found = np.zeros(len(ink.area), np.bool_)
    for which in _ones(ink, digits):
        found[which] = _has_arm(ink.ink_of(which))
    return found


def parentheses(ink: PageInk, digits: str) -> Which:
    """Return which components, read as a 1 at either end of the string, are parentheses.

    They are as high as the digits, and arcs whose backs are turned away from them.
    """
    found = np.zeros(len(ink.area), np.bool_)
    others = ink.theirs & ink.counts
    for which in _ones(ink, digits):
        number = ink.digit_of(which)
        backs = {0: -1, len(digits) - 1: 1}
        others[which] = False
        if number in backs and others.any():
            high = ink.height[which] >= HIGH * np.median(ink.height[others])
            found[which] = high and _back(ink.ink_of(which)) == backs[number]
        others[which] = True
    return found


def _ones(ink: PageInk, digits: str) -> Iterator[int]:
    """Find the components that are read as a 1."""
    if "1" not in digits:
        return
    for which in np.flatnonzero(ink.theirs & ink.counts).tolist():
        number = ink.digit_of(which)
        if number is not None and digits[number] == "1":
            yield which


def _has_arm(mask: Mask) -> bool:
    height = len(mask)
    if height < LEAST_TICK:
        return False
    for foot in ARM_FEET:
        upper, lower = np.split(mask.view(np.uint8), [round(foot * height)])
        if cv2.connectedComponents(lower)[0] != 2:  # the background is one
            continue
        _, stats = connected(upper)
        parts = stats[1:][stats[1:, cv2.CC_STAT_HEIGHT] >= ARM * height]
        if len(parts) != 2:
            continue
        arm = parts[parts[:, cv2.CC_STAT_LEFT].argmin()]
        ends = arm[cv2.CC_STAT_TOP] + arm[cv2.CC_STAT_HEIGHT] == len(upper)
        if ends and arm[cv2.CC_STAT_TOP] >= ARM_TOP * height:
            return True
    return False


def _back(mask: Mask) -> int:
    """Return to which side an arc bulges: -1 to the left, 1 to the right; 0 of what is none."""
    height = len(mask)
    if height < LEAST_ARC:
        return 0
    middle = mask @ np.arange(mask.shape[1]) / np.maximum(mask.sum(axis=1), 1)
    place = np.linspace(-1, 1, height)
    arc = np.polynomial.Polynomial.fit(place, middle, 2)(place)
    off = arc - np.linspace(arc[0], arc[-1], height)  # of an arc's chord
    bulge = float(off[height // 4 : -(height // 4)].mean()) / height
    smooth = float(np.abs(middle - arc).max()) <= SMOOTH * height
    return int(np.sign(bulge)) if smooth and abs(bulge) >= BULGE else 0


def _juts_out(ink: PageInk, which: int, others: npt.NDArray[np.intp]) -> bool:
    if not (ink.left[others] < ink.left[which]).any():
        return False
    if not (ink.right[others] > ink.right[which]).any():
        return False
    height = float(np.median(ink.height[others]))
    top, bottom = float(np.median(ink.top[others])), float(np.median(ink.bottom[others]))
    return bool(
        ink.height[which] >= TALL * height
        and ink.top[which] <= top - JUTS * height
        and ink.bottom[which] >= bottom + JUTS * height
    )
