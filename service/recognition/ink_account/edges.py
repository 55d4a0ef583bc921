"""Digits that go on beyond the image's edges."""

import numpy as np

from service.recognition.ink_account.page_ink import PageInk, Which
from service.recognition.normalize.ink_mask import Mask

CUT_SIDE = 0.45  # contact with the left or the right edge, of a digit that is cut off
CUT_PIECE = 0.3  # height of ink there that no digit was read in, the same
CUT_DIGITS = 0.75  # share of digits at the upper or the lower edge, from which they are cut off
NARROW = 0.6  # of what is left of a digit that is cut off, at most
CROSSING = 3  # pixels of a stroke that crosses an edge, at least
# The same, where the other side has room: contact, width of what is left, and the room.
CUT_BESIDE, NARROW_BESIDE, ROOM_BESIDE = 0.2, 0.75, 0.5
AROUND = 0.3  # paper above and below, with which a single stroke that crosses an edge is enough
ROOM = 0.15  # paper at the other edge, without which a single digit's image is tight, not cut off


def cut_off(ink: PageInk, rules: Which) -> bool:
    """Tell digits that go on beyond an edge of the image.

    Args:
        ink: of the page.
        rules: which of it are pieces of printed lines.
    """
    digits = ink.theirs & ink.counts
    if not digits.any():
        return False
    height, width = ink.mask.shape
    left, right = float(ink.left[digits].min()), width - float(ink.right[digits].max())
    above, below = float(ink.top[digits].min()), height - float(ink.bottom[digits].max())
    around = min(above, below)
    for at_edge, column, room in ((ink.left <= 0, 0, right), (ink.right >= width, -1, left)):
        cut = digits & at_edge
        if cut.any() and _is_cut(ink, cut, rules, ink.mask[:, column], room, around):
            return True
    for at_edge, room in ((ink.top <= 0, below), (ink.bottom >= height, above)):
        touching, all_of_them = np.count_nonzero(digits & at_edge), np.count_nonzero(digits)
        if touching < CUT_DIGITS * all_of_them:
            continue
        if all_of_them > 1 or room >= ROOM * ink.unit:
            return True
    return False


def _is_cut(ink: PageInk, cut: Which, rules: Which, edge: Mask, room: float, around: float) -> bool:
    """Tell whether digits that touch the left or the right edge go on beyond it.

    Args:
        ink: of the page.
        cut: which of it are digits that touch the edge.
        rules: which are pieces of printed lines.
        edge: (height,) the edge's pixels.
        room: paper at the other edge: an image that was cut close to its digits has none.
        around: paper above and below the digits.
    """
    contact, narrowest = np.count_nonzero(edge), float(ink.width[cut].min())
    if contact >= CUT_SIDE * ink.unit:
        return True
    if _strokes(edge) > 1 and narrowest <= NARROW * ink.unit:
        return True
    crossing = contact >= CROSSING and around >= AROUND * ink.unit
    if (crossing or contact >= CUT_BESIDE * ink.unit) and (
        narrowest <= NARROW_BESIDE * ink.unit and room >= ROOM_BESIDE * ink.unit
    ):
        return True
    pieces = cut & ~rules & (ink.height >= CUT_PIECE * ink.unit)
    return any(ink.is_unread(which) for which in np.flatnonzero(pieces).tolist())


def _strokes(edge: Mask) -> int:
    """Count the strokes that cross an edge, (rows,): a whole digit leans on it once."""
    ends = np.flatnonzero(np.diff(np.pad(edge, 1).astype(np.int8)))
    return int(np.count_nonzero(ends[1::2] - ends[::2] >= CROSSING))
