"""Ink that was read as digits and is none, for it does not fit the others.

The digits of a string are about as high as one another. What juts out of their line above and below
is a slash, a currency sign or a ring round them; a ring of half their height is no digit, nor is
what holds a digit, nor what stands on two feet.
"""

import numpy as np
import numpy.typing as npt

from service.recognition.ink_account.page_ink import PageInk, Which
from service.recognition.ink_account.strokes import (
    STRAIGHT,
    goes_through,
    has_feet,
    has_frame,
    has_ring,
    holes,
    is_straight,
)
from service.recognition.normalize.ink_mask import Mask

# Heights of the others, by their median.
LOW = 0.45  # of a small ring, at most; less does not count among others
SIGN, SIGN_JUTS = 1.15, 0.07  # of a sign at an end of the string, and what juts out, at least
RING, RING_JUTS = 1.05, 0.04  # the same, of a ring round digits
STEMLESS = "35"  # digits that a dollar sign is read as, and that have no upright stroke themselves
BESIDE = 64  # others to either side that digits are compared with
FEWEST = 2  # others, without which there is no line that a sign could jut out of

LEAN, LONE_LEAN = 0.2, 0.25  # tangent of a slash behind digits, and of one alone, at least
RULED = 0.12  # how straight one alone is
HELD = 0.45  # height of what a frame holds, at least, of its own
CLEAR = 20  # pixels of height, below which signs, rings and frames cannot be made out


def misfits(ink: PageInk, digits: str) -> Which:
    """Return which components are signs, letters, or rings and frames round digits."""
    found = np.zeros(len(ink.area), np.bool_)
    row = np.flatnonzero(ink.theirs & ink.counts)
    row = row[np.argsort(ink.left[row], kind="stable")]
    for at, which in enumerate(row.tolist()):
        beside = row[max(at - BESIDE, 0) : at + BESIDE + 1]
        others = beside[(beside != which) & (ink.height[beside] >= LOW * ink.height[which])]
        numbers = ink.digits_of(which)
        text = digits[numbers.start : numbers.stop]
        own = ink.ink_of(which)
        clear = bool(ink.height[which] >= CLEAR)
        if clear and (has_frame(own, ink.unit) or (text == "4" and has_feet(own))):
            found[which] = True  # a frame, or an A
        elif not len(others):
            found[which] = digits == "1" and _leans(own, LONE_LEAN, RULED)
        elif ink.height[which] <= LOW * np.median(ink.height[others]):
            found[which] = holes(own) > 0  # of a percent sign
        elif _holds(ink, which, others):
            found[which] = True
        elif clear:
            if len(text) > 1:
                # In the stroke of a percent sign, two digits are read.
                found[which] = ("1" not in text and is_straight(own)) or (
                    _juts_out(ink, which, others, RING, RING_JUTS) and has_ring(own)
                )
            elif {0, len(digits) - 1} & set(numbers):
                juts = len(others) >= FEWEST and _juts_out(ink, which, others, SIGN, SIGN_JUTS)
                if text == "1":
                    found[which] = juts and numbers.stop == len(digits) and _leans(own, LEAN)
                elif juts or text in STEMLESS:
                    found[which] = goes_through(own.T, ink.unit)  # a dollar sign
    return found


def _juts_out(
    ink: PageInk, which: int, others: npt.NDArray[np.intp], high: float, juts: float
) -> bool:
    """Tell what is higher than others, and juts out of their line above and below."""
    height = float(np.median(ink.height[others]))
    above = float(np.median(ink.top[others])) - ink.top[which]
    below = ink.bottom[which] - float(np.median(ink.bottom[others]))
    return bool(ink.height[which] >= high * height and min(above, below) >= juts * height)


def _holds(ink: PageInk, which: int, others: npt.NDArray[np.intp]) -> bool:
    """Tell ink in whose box another digit's lies."""
    within = (ink.left[others] > ink.left[which]) & (ink.right[others] < ink.right[which])
    within &= (ink.top[others] > ink.top[which]) & (ink.bottom[others] < ink.bottom[which])
    return bool((within & (ink.height[others] >= HELD * ink.height[which])).any())


def _leans(own: Mask, least: float, spread: float = STRAIGHT) -> bool:
    """Tell a straight stroke that leans to the right, as a slash does."""
    upper, lower = (float(np.flatnonzero(own[row]).mean()) for row in (0, -1))
    return is_straight(own, spread) and upper - lower >= least * len(own)
