"""The lines of ink of a page, one above the other, for those who read each."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.recognition.ink_account import LINE_AREA, LINE_SIDE, OVERLAP
from service.recognition.normalize import Box, Line
from service.recognition.normalize.band import weighted_median
from service.recognition.normalize.ink_mask import boxes

Numbers = npt.NDArray[np.float64]


class FoundLine(NamedTuple):
    """A line of ink on a page, in pixels of the source image."""

    box: Box  # around the ink that is as high as digits
    top: int  # the first row to read
    bottom: int  # the row after the last


def find_lines(line: Line) -> list[FoundLine]:
    """Find the lines of a page, top to bottom; none on a page without ink as high as digits.

    Args:
        line: that normalization found on the page: it has all of the page's ink.
    """
    found = boxes(line.page.mask).astype(np.float64)
    if not len(found):
        return []
    left, top, width, height, area = found.T
    unit = weighted_median(height, area)
    tall = (height >= LINE_SIDE * unit) & (area >= LINE_AREA * unit**2)
    if not tall.any():
        return []
    left, top, width, height = (each[tall] for each in (left, top, width, height))
    owner = _owners(top, top + height)
    spans = []
    for number in range(int(owner.max()) + 1):
        own = owner == number
        right, bottom = (left + width)[own].max(), (top + height)[own].max()
        spans.append(line.page_box(left[own].min(), top[own].min(), right, bottom))
    spans.sort(key=lambda box: box.top + box.bottom)
    return [_with_room(spans, index, line.source_height) for index in range(len(spans))]


def _owners(top: Numbers, bottom: Numbers) -> npt.NDArray[np.int64]:
    """Number the runs of rows that components (tops, bottoms) make, as the account counts them."""
    inset = OVERLAP / 2 * (bottom - top)
    order = np.argsort(top + inset, kind="stable")
    reached = np.maximum.accumulate((bottom - inset)[order])
    begins = np.r_[False, (top + inset)[order][1:] > reached[:-1]]
    owner = np.empty(len(top), np.int64)
    owner[order] = np.cumsum(begins)
    return owner


def _with_room(spans: list[Box], index: int, height: int) -> FoundLine:
    """Return a line with all rows that are nearer to it than to a neighbor.

    So no ink of the page is lost: what is too low to be a line is accounted for in one.
    """
    box = spans[index]
    above = (spans[index - 1].bottom + box.top) / 2 if index else 0.0
    below = (spans[index + 1].top + box.bottom) / 2 if index + 1 < len(spans) else float(height)
    top, bottom = max(min(above, box.top), 0.0), min(max(below, box.bottom), float(height))
    return FoundLine(box, int(top), max(int(np.ceil(bottom)), int(top) + 1))
