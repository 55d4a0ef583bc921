"""The account of ink: which ink of a page its digits explain, and which nothing does.

The confidence of a reading is that of the strip that normalization kept. What was left out of it,
another line or a stamp, and what lies in it unread, a dash or a stroke through the digits, speaks
against the reading all the same. So no reading is accepted whose account does not balance.

Lengths here are heights of the text's band, areas its squares, and coordinates the working page's,
unless they are said to be others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.recognition.ink_account.edges import cut_off
from service.recognition.ink_account.marks import (
    apart,
    between,
    blots,
    dashes,
    hairlines,
    parentheses,
    printed,
    scribbles,
    slashes,
    ticks,
)
from service.recognition.ink_account.misfits import misfits
from service.recognition.ink_account.page_ink import SLACK, PageInk, Which
from service.recognition.ink_account.strikes import struck
from service.recognition.normalize import Box, Line, Strip

__all__ = ["InkAccount", "Reason", "account"]

MOST_BOXES = 20  # of unexplained ink that are listed

# Limits of the account; `benchmarks/trouble_pages.py` counts what they catch and what they cost.
LEAST_REST = 0.2  # ink that a digit's component may have out of reach: two thirds of a digit
LINE_SIDE = 0.4  # height of a component that makes a line of its own
LINE_AREA = 0.06  # ink of one: half a 1
OVERLAP = 0.3  # of the lower component's height, from which two stand in one line


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

    @property
    def blank(self) -> bool:
        """Whether the page has no ink at all, neither kept nor removed, nor traces of any."""
        return self.seen and self.digits + self.unexplained + self.outside + self.removed == 0


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
    ink = PageInk.of(line, strip, centers)
    unit, theirs = ink.unit, ink.theirs
    solid, rules = blots(ink), printed(ink)
    strange = ink.counts & ~theirs | (theirs & (ink.area - ink.in_reach >= LEAST_REST * unit**2))
    strange &= ~rules
    strange |= solid | slashes(ink, digits) | ticks(ink, digits)
    strange |= parentheses(ink, digits) | hairlines(ink, digits) | misfits(ink, digits)
    strange |= apart(ink, digits)
    for number in signs:
        strange &= ~between(ink, number)
    # A dash ends many an amount, and is no digit. So does `/-`, whose slash looks like a 1.
    if digits:
        ending = dashes(ink)
        strange = strange | (ending & ink.counts) if digits[-1] == "1" else strange & ~ending
    scribbled = scribbles(ink) & (len(digits) > 1)
    lines = _lines(ink, ~rules)
    reasons = []
    if not line.page.seen:
        reasons.append(Reason.NOTHING_SEEN)
    if lines > 1:
        reasons.append(Reason.SECOND_LINE)
    if scribbled.any() or (centers and struck(ink, digits)):
        reasons.append(Reason.STRUCK_OUT)
    if cut_off(ink, rules):
        reasons.append(Reason.CUT_OFF)
    unexplained = bool((strange & ~scribbled).any()) or line.page.doubtful
    # A fold's hairline is too little ink to be a digit's.
    unexplained |= bool(digits) and not (theirs & ink.counts).any()
    if unexplained and Reason.SECOND_LINE not in reasons:
        reasons.append(Reason.UNEXPLAINED_INK)
    middles = (ink.top + ink.bottom) / 2
    within = (middles >= ink.band[0] - SLACK * unit) & (middles <= ink.band[1] + SLACK * unit)
    explained = theirs & ~strange
    removed = np.count_nonzero(ink.erased)
    share = 1 / max(float(ink.area.sum()) + removed, 1.0)
    order = np.flatnonzero(strange)[np.argsort(-ink.area[strange], kind="stable")]
    return InkAccount(
        seen=line.page.seen,
        lines=lines,
        digits=float(ink.area[explained].sum()) * share,
        unexplained=float(ink.area[~explained & within].sum()) * share,
        outside=float(ink.area[~explained & ~within].sum()) * share,
        removed=removed * share,
        boxes=tuple(
            line.page_box(ink.left[which], ink.top[which], ink.right[which], ink.bottom[which])
            for which in order[:MOST_BOXES]
        ),
        reasons=tuple(reasons),
    )


def _lines(ink: PageInk, chosen: Which) -> int:
    """Count the lines of ink: runs of rows of components as high as digits, one above the other."""
    tall = (ink.height >= LINE_SIDE * ink.unit) & (ink.area >= LINE_AREA * ink.unit**2) & chosen
    if not tall.any():
        return 0
    top, bottom = ink.top[tall], ink.bottom[tall]
    inset = OVERLAP / 2 * (bottom - top)
    order = np.argsort(top)
    top, bottom = (top + inset)[order], (bottom - inset)[order]
    reached = np.maximum.accumulate(bottom)
    return 1 + int(np.count_nonzero(top[1:] > reached[:-1]))
