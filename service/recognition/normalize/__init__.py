"""Gray pages to lines of text, a step a module.

Size, polarity, background, ink, rules, skew, bend, band, cut.

Training imports its numbers and its functions.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from service.imaging.page import Gray
from service.recognition.normalize.background import remove_background
from service.recognition.normalize.band import find_band, join_broken
from service.recognition.normalize.bend import (
    added,
    find_bend,
    has_rule,
    straighten,
    straighten_mask,
)
from service.recognition.normalize.cut import cut
from service.recognition.normalize.ink_mask import boxes, find_blots, find_ink, has_traces
from service.recognition.normalize.line import (
    DIGIT_HEIGHT,
    INK,
    PLAIN,
    Band,
    Box,
    Line,
    Strip,
    View,
    WorkingPage,
)
from service.recognition.normalize.polarity import Polarity, brightened, find_polarity
from service.recognition.normalize.rules import find_rules
from service.recognition.normalize.size import shrink
from service.recognition.normalize.skew import find_skew, level, level_mask, level_matrix
from service.recognition.views import compose, inverse

__all__ = [
    "DIGIT_HEIGHT",
    "INK",
    "PLAIN",
    "Band",
    "Box",
    "Line",
    "Polarity",
    "Strip",
    "View",
    "WorkingPage",
    "normalize",
]

Note = Callable[[str, Gray], None]  # takes a step's name and its picture, (height, width)


def ignore(step: str, picture: Gray) -> None:
    """Take note of nothing."""


def normalize(gray: Gray, aspect: float = 1.0, note: Note = ignore) -> Line:
    """Find the ink of a page, the band of its text, and scale that to the network's height.

    Args:
        gray: (height, width) uint8 of any size but zero.
        aspect: of a pixel on paper, its width over its height.
        note: is called with the page after the steps `polarity` and `background`, which later
            steps change in place; what those find is in the line.

    Returns:
        The line. A page without ink gives a line of zeros whose band is the whole page.
    """
    page = shrink(gray, aspect)
    polarity = find_polarity(page)
    note("polarity", brightened(page, polarity))
    ink = remove_background(page, polarity)
    note("background", ink)
    mask = find_ink(ink)
    seen = bool(mask.any()) or not has_traces(ink)
    blots = find_blots(page, polarity, mask)
    rules = find_rules(mask)
    erased = rules.mask
    # Of a wide strip, each array of its pixels counts, so these are changed in place.
    ink[erased] = 0
    mask[erased] = False
    to_source = np.diag([gray.shape[1] / page.shape[1], gray.shape[0] / page.shape[0], 1])[:2]
    found, doubtful = boxes(mask), rules.doubtful
    curve = find_bend(found, mask.shape)
    if skew := curve[0] if curve else find_skew(mask, found):
        ink = level(ink, skew)
        mask, blots, erased = (level_mask(each, skew) for each in (mask, blots, erased))
        to_source = compose(to_source, inverse(level_matrix(page.shape[1], skew)))
        found = boxes(mask)
    if curve:
        bend = curve[1]
        ink = straighten(ink, bend)
        mask, blots, erased = (straighten_mask(each, bend) for each in (mask, blots, erased))
        to_source[:, 2] -= to_source[:, 1] * added(page.shape[1], bend)
        # A rule along the line was bent as it was.
        rules = find_rules(mask)
        ink[rules.mask] = 0
        mask[rules.mask] = False
        erased, doubtful = erased | rules.mask, doubtful or rules.doubtful
        found = boxes(mask)
        doubtful |= has_rule(found, bend)
    band = find_band(join_broken(found, ink, mask), mask.shape[0], bool(erased.any()))
    if band is None:
        band, ink = (0.0, float(ink.shape[0])), np.zeros_like(ink)
    top, bottom = band
    mask |= blots
    del blots
    # Nothing looks at the mask meanwhile: a bit a pixel is enough.
    bits, width = np.packbits(mask, axis=1), mask.shape[1]
    del mask
    scaled = cut(ink, top, bottom)
    del ink
    mask = np.unpackbits(bits, axis=1, count=width).view(np.bool_)
    working = WorkingPage(mask, erased, to_source, seen, doubtful)
    line = scaled.line(gray, working, polarity, top, bottom)
    if not curve:
        return line
    shrunk = gray.shape[1] / page.shape[1], gray.shape[0] / page.shape[0]
    return replace(line, bend=curve[1].scaled(*shrunk))
