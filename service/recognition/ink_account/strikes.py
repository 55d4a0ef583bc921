"""Strokes through digits."""

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.ink_account.page_ink import PageInk
from service.recognition.ink_account.strokes import (
    FREE,
    ends_in_pairs,
    even_stroke,
    goes_through,
    is_level,
)
from service.recognition.normalize.ink_mask import Mask, connected, stroke_width
from service.recognition.normalize.pieces import PIECE

STRIKE = 1.2  # length of a level stroke through the digits' middle, at least
STRUCK = 0.7  # share of the digits' whole width that it has, at least
SPANNED, SURELY = 0.95, 1.8  # share of the ink's that a shorter one has, at least: bars add up
NO_BARS = 2.5  # length from which bars that add up are none: those of three digits
TILTS = (0.0, -0.03, 0.03, -0.06, 0.06)  # of such a stroke, tangents
MIDDLE = 0.25  # of the band at its top and bottom that is not its middle

# Of a stroke through some of the digits, or through a single one, which may climb and fall. Chosen
# on MNIST's training digits and parish registers: where digits touch, their own bars add up.
SLANTS = (0.0, -0.1, 0.1, -0.2, 0.2, -0.3, 0.3)  # tangents
CORE = 0.2  # of the band at its top and bottom, where its middle does not lie
BEYOND = 0.2  # above and below the band, where an end is not free that has ink there
END, END_LONE, END_PIXELS = 0.12, 0.08, 2  # that hold nothing else where its end is free
ONE_FREE, BOTH_FREE = 1.6, 1.3  # its length, at least, where ends are free
# The same through a single digit, both of whose ends are: one without a level stroke of its own,
# one with, and a 1.
THROUGH, THROUGH_BARRED, THROUGH_ONE = 0.7, 0.9, 0.45
STEEP = 2.0  # by which these lengths grow with the tangent: leaning digits have such strokes
BARRED = "247"  # digits that have a level stroke themselves
TALL = 0.5  # height of the ink that it is part of, at least

# Length of a stroke from the left end of connected ink to its right one, at any tilt, at least: of
# some digits, of a single one, and of one among others in which MNIST has no such stroke.
CHORD, CHORD_LONE, CHORD_AMONG = 1.45, 1.15, 0.9
BARLESS = "039"
CLEAR = 20  # pixels of height, below which the stroke of that one cannot be made out

# An even stroke through a single digit, level or slanted, and upright: share of the ink on either
# side, its length, and its thickness, in pen strokes. Of 15,561 digits of MNIST, of parishes and of
# made pages, sure and right, four have a level one and none an upright one.
LEVEL_EITHER, LEVEL_LONG, LEVEL_THICK = 0.25, 0.85, 1.3
UPRIGHT_EITHER, UPRIGHT_LONG, UPRIGHT_THICK = 0.2, 0.9, 0.85
# The same where both ends jut out of the rest: no bar of a 4 or a 7 does so at either side.
JUTTING_EITHER, JUTTING_LONG, JUTTING_FREE = 0.05, 0.7, 0.19
LEAST_EVEN = 12  # pixels of height, below which evenness cannot be made out


def struck(ink: PageInk, digits: str) -> bool:
    """Tell a straight stroke through digits: all of them, some, or a single one.

    That a line was removed as a printed one does not excuse it.
    """
    return (
        _along(ink)
        or _through(ink, digits)
        or _end_to_end(ink, digits)
        or _evenly(ink, digits)
        or _twice(ink)
    )


def _along(ink: PageInk) -> bool:
    """Tell a stroke that is longer than any digit is wide."""
    first = max(round(ink.band[0] + MIDDLE * ink.unit), 0)
    last = min(round(ink.band[1] - MIDDLE * ink.unit), ink.mask.shape[0])
    columns = ink.reached(first, last)
    if not columns.size:
        return False
    # Of a line that is longer than a piece, its beginning speaks for the whole.
    mask = _printed_too(ink, slice(columns[0], min(columns[-1] + 1, columns[0] + PIECE)))
    part = mask[first:last].view(np.uint8)
    width = part.shape[1]
    inked = np.flatnonzero(mask.any(axis=0))
    whole = SPANNED * np.ptp(inked) if inked.size else 0.0
    least = max(STRIKE * ink.unit, min(whole, SURELY * ink.unit), STRUCK * width)
    length = max(round(least), 3)
    reached = np.asarray(part.any(axis=0), np.bool_)[np.newaxis]
    if not len(_runs(reached, length)):  # in no row, then
        return False
    thick = _thick(ink.unit)
    for tilt in TILTS:
        level = _level(part, tilt)
        for row, start, stop in _runs(cv2.dilate(level, thick) > 0, length).tolist():
            if _is_one(level[:, start:stop], row, ink.unit):
                return True
    return False


def _through(ink: PageInk, digits: str) -> bool:
    """Tell a stroke whose ends jut out of the digits that it crosses."""
    top = max(round(ink.band[0] - BEYOND * ink.unit), 0)
    bottom = min(round(ink.band[1] + BEYOND * ink.unit), ink.mask.shape[0])
    part = _printed_too(ink, slice(PIECE))[top:bottom].view(np.uint8)
    if not part.size:
        return False
    if len(digits) > 1:
        least = {1: ONE_FREE, 2: BOTH_FREE}
    else:
        least = {
            2: {"1": THROUGH_ONE, **dict.fromkeys(BARRED, THROUGH_BARRED)}.get(digits, THROUGH)
        }
    labels, stats = connected(part)
    wide = stats[:, cv2.CC_STAT_WIDTH] >= 0.9 * min(least.values()) * ink.unit
    wide &= stats[:, cv2.CC_STAT_HEIGHT] >= TALL * ink.unit
    rows = [round(ink.band[0] + CORE * ink.unit) - top, round(ink.band[1] - CORE * ink.unit) - top]
    for which in np.flatnonzero(wide[1:]) + 1:
        left, width = stats[which, [cv2.CC_STAT_LEFT, cv2.CC_STAT_WIDTH]].tolist()
        own = (labels[:, left : left + width] == which).view(np.uint8)
        if _juts_out(own, max(rows[0], 0), max(rows[1], 0), ink.unit, least):
            return True
    return False


def _printed_too(ink: PageInk, columns: slice) -> Mask:
    """Return where ink is in some columns, that of printed lines which were removed included."""
    return ink.mask[:, columns] | ink.erased[:, columns]


def _end_to_end(ink: PageInk, digits: str) -> bool:
    """Tell ink whose two ends one straight stroke joins, and that lies on both sides of it.

    A frame's line has digits on one side alone, and no two digits have bars that go on in a line.
    """
    for which in np.flatnonzero(ink.theirs & (ink.height >= TALL * ink.unit)).tolist():
        least, numbers = CHORD, ink.digits_of(which)
        if len(digits) == 1:
            least = CHORD_LONE
        elif len(numbers) == 1 and digits[numbers.start] in BARLESS and ink.height[which] >= CLEAR:
            least = CHORD_AMONG
        if ink.width[which] >= least * ink.unit and goes_through(ink.ink_of(which), ink.unit):
            return True
    return False


def _evenly(ink: PageInk, digits: str) -> bool:
    """Tell an even straight stroke through a single digit, from end to end of its ink."""
    large = ink.theirs & (ink.height >= max(TALL * ink.unit, LEAST_EVEN))
    for which in np.flatnonzero(large).tolist():
        numbers = ink.digits_of(which)
        if len(numbers) != 1:
            continue
        own = ink.ink_of(which)
        tries = [(own, LEVEL_LONG, LEVEL_EITHER, LEVEL_THICK, FREE)]
        tries.append((own, JUTTING_LONG, JUTTING_EITHER, LEVEL_THICK, JUTTING_FREE))
        if digits[numbers.start] != "1":
            tries.append((own.T, UPRIGHT_LONG, UPRIGHT_EITHER, UPRIGHT_THICK, FREE))
        for turned, least, either, most, free in tries:
            if turned.shape[1] < least * ink.unit:
                continue
            thick = even_stroke(turned, ink.unit, either, free)
            if thick is not None and thick <= most * stroke_width(own):
                return True
    return False


def _twice(ink: PageInk) -> bool:
    """Tell two level strokes through digits, one above the other."""
    large = ink.theirs & (ink.height >= max(TALL * ink.unit, LEAST_EVEN))
    return any(
        ends_in_pairs(ink.ink_of(which), ink.unit) for which in np.flatnonzero(large).tolist()
    )


def _juts_out(
    own: npt.NDArray[np.uint8], first: int, last: int, unit: float, least: dict[int, float]
) -> bool:
    """Tell a straight stroke in connected ink, as long as it must be with as many free ends."""
    lone = 1 not in least
    end = max(round((END_LONE if lone else END) * unit), END_PIXELS)
    near = max(round(0.1 * unit), 2)
    for tilt in SLANTS:
        scale = (1 + STEEP * abs(tilt)) * unit
        length = max(round(min(least.values()) * scale), 3)
        sheared = _level(own, tilt)
        core = cv2.dilate(sheared[first:last], _thick(unit)) if last > first else sheared[:0]
        for row, start, stop in _runs(core > 0, length).tolist():
            free = sum(
                _is_free(sheared[:, at : at + end], first + row, near) for at in (start, stop - end)
            )
            long = any(
                free >= ends and stop - start >= each * scale for ends, each in least.items()
            )
            if long and _is_one(sheared[:, start:stop], first + row, unit):
                return True
    return False


def _is_one(columns: npt.NDArray[np.uint8], row: int, unit: float) -> bool:
    """Tell one stroke along a row from bars of several digits that add up."""
    return columns.shape[1] >= NO_BARS * unit or is_level(columns > 0, row, unit)


def _level(part: npt.NDArray[np.uint8], tilt: float) -> npt.NDArray[np.uint8]:
    """Shear a part of a page so that strokes of that tilt are level."""
    if not tilt:
        return part
    height, width = part.shape
    matrix = np.array([[1, 0, 0], [tilt, 1, -tilt * (width - 1) / 2]])
    level = cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_NEAREST)
    return np.asarray(level, np.uint8)


def _thick(unit: float) -> npt.NDArray[np.uint8]:
    """Return a kernel of the rows by which a stroke may sway."""
    return np.ones((2 * max(round(0.04 * unit), 1) + 1, 1), np.uint8)


def _is_free(columns: npt.NDArray[np.uint8], row: int, near: int) -> bool:
    """Whether columns hold nothing but a stroke near a row."""
    rows = np.flatnonzero(columns.any(axis=1))
    if not rows.size or rows[-1] - rows[0] > 2 * near:
        return False
    return bool(abs((rows[0] + rows[-1]) / 2 - row) <= near + 1)


def _runs(mask: Mask, least: int) -> npt.NDArray[np.intp]:
    """Return runs of ink in rows that are at least as long: (runs, 3) row, start and stop."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)  # np.pad takes far longer
    padded[:, 1:-1] = mask
    edges = np.diff(padded, axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    return np.stack([rows, starts, stops], axis=1)[stops - starts >= least]
