"""Strokes through digits."""

import cv2
import numpy as np

from service.recognition.ink_account.page_ink import PageInk
from service.recognition.normalize.ink_mask import PIECE, Mask

STRIKE = 1.2  # length of a level stroke through the digits' middle, at least
STRUCK = 0.7  # share of the digits' whole width that it has, at least
TILTS = (0.0, -0.03, 0.03, -0.06, 0.06)  # of such a stroke, tangents
MIDDLE = 0.25  # of the band at its top and bottom that is not its middle
THROUGH = 0.7  # length of a stroke through a single digit, in its heights, at least
FREE = 0.08  # what of that juts out on either side
BARRED = "247"  # digits that have a level stroke themselves


def struck(ink: PageInk, digits: str) -> bool:
    """Tell a straight stroke, level or tilted, through the middle of digits.

    That a line was removed as a printed one does not excuse it.
    """
    mask = ink.mask | ink.erased
    return _along(ink, mask) or (len(digits) == 1 and digits not in BARRED and _lone(ink, mask))


def _along(ink: PageInk, mask: Mask) -> bool:
    """Tell a stroke that is longer than any digit is wide."""
    first = max(round(ink.band[0] + MIDDLE * ink.unit), 0)
    last = min(round(ink.band[1] - MIDDLE * ink.unit), mask.shape[0])
    columns = np.flatnonzero(ink.zone[first:last].any(axis=0))
    if not columns.size:
        return False
    # Of a line that is longer than a piece, its beginning speaks for the whole.
    stop = min(columns[-1] + 1, columns[0] + PIECE)
    part = mask[first:last, columns[0] : stop].view(np.uint8)
    height, width = part.shape
    length = max(round(STRIKE * ink.unit), round(STRUCK * width), 3)
    if _run(np.asarray(part.any(axis=0), np.bool_))[1] < length:  # in no row, then
        return False
    thick = np.ones((2 * max(round(0.04 * ink.unit), 1) + 1, 1), np.uint8)
    for tilt in TILTS:
        sheared = np.array([[1, 0, 0], [tilt, 1, -tilt * (width - 1) / 2]])
        level = cv2.warpAffine(part, sheared, (width, height), flags=cv2.INTER_NEAREST)
        if _longest_run(cv2.dilate(level, thick) > 0) >= length:
            return True
    return False


def _lone(ink: PageInk, mask: Mask) -> bool:
    """Tell a stroke through a single digit, by its two ends that jut out of it."""
    own = np.flatnonzero(ink.theirs & ink.counts)
    if len(own) != 1:
        return False
    top, left = int(ink.top[own[0]]), int(ink.left[own[0]])
    part = mask[top : int(ink.bottom[own[0]]), left : int(ink.right[own[0]])]
    height = part.shape[0]
    end, thick = max(round(FREE * ink.unit), 1), max(round(0.12 * ink.unit), 2)
    for row in range(round(0.2 * height), round(0.8 * height)):
        start, length = _run(part[row])
        stop = start + length
        if length < THROUGH * height:
            continue
        if all(_free(part[:, at : at + end], row, thick) for at in (start, stop - end)):
            return True
    return False


def _free(columns: Mask, row: int, thick: int) -> bool:
    """Whether columns hold nothing but a stroke near a row."""
    rows = np.flatnonzero(columns.any(axis=1))
    if not rows.size or rows[-1] - rows[0] > 2 * thick:
        return False
    return bool(abs((rows[0] + rows[-1]) / 2 - row) <= 1.5 * thick)


def _run(row: Mask) -> tuple[int, int]:
    """Return where the longest run of ink of a row begins, and how long it is."""
    gaps = np.flatnonzero(~np.pad(row, 1))
    longest = int(np.diff(gaps).argmax())
    return int(gaps[longest]), int(gaps[longest + 1] - gaps[longest]) - 1


def _longest_run(mask: Mask) -> int:
    """Return how long the longest run of ink is in any row, pixels."""
    gaps = np.flatnonzero(~np.pad(mask, ((0, 0), (1, 1))))
    return int(np.diff(gaps).max()) - 1
