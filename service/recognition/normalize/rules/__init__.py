"""Printed lines: rules, the frames of cells, the dividers and teeth of combs.

A printed line is thin, straight and of even thickness. Digits have such strokes, too: the bar of a
7, a 1. A line goes on to another line or to the image's edge, or is longer than digits are.
"""

from dataclasses import dataclass

import numpy as np

from service.recognition.normalize.ink_mask import Mask
from service.recognition.normalize.pieces import PIECE
from service.recognition.normalize.rules.comb import missing_dividers
from service.recognition.normalize.rules.doubt import has_doubtful, joins_unprinted
from service.recognition.normalize.rules.erase import line_pixels
from service.recognition.normalize.rules.find import level_lines, straight_lines
from service.recognition.normalize.rules.judge import (
    SMALL,
    TEXT,
    digits_of,
    frames,
    has_text,
    printed_level,
    printed_upright,
)
from service.recognition.normalize.rules.remains import is_bare_frame, remains

# Shares of the page's height, or pixels where those are more.
THICK, THICK_PIXELS = 1 / 14, 5  # of a line, at most
TALL = 0.4  # of an upright line that meets level ones, at least
WHOLE = 0.9  # of one that meets none


@dataclass(frozen=True)
class Rules:
    """Printed lines of a page."""

    mask: Mask  # (height, width) their pixels, but for those of strokes that cross them
    doubtful: bool = False  # whether a 1 may be among them, or hangs together with some that stay


def find_rules(mask: Mask) -> Rules:
    """Find printed lines.

    Args:
        mask: (height, width) where ink is.
    """
    if mask.shape[1] <= PIECE:
        rules = _find_rules(mask)
        if is_bare_frame(mask, rules.mask):
            return Rules(mask.copy(), doubtful=True)
        sides, doubtful = remains(mask & ~rules.mask)
        return Rules(rules.mask | sides, rules.doubtful or doubtful)
    pixels, doubtful = np.zeros(mask.shape, np.bool_), False
    for left in range(0, mask.shape[1], PIECE):
        rules = _find_rules(mask[:, left : left + PIECE])
        doubtful |= rules.doubtful
        if rules.mask.any():  # where nothing is written, it takes no memory
            pixels[:, left : left + PIECE] = rules.mask
    return Rules(pixels, doubtful)


def _find_rules(mask: Mask) -> Rules:
    height, width = mask.shape
    ink = np.ascontiguousarray(mask).view(np.uint8)
    thick = max(round(THICK * height), THICK_PIXELS)
    level = level_lines(ink, thick)
    turned = np.ascontiguousarray(ink.T)
    upright = straight_lines(turned, height, thick, (TALL if len(level) else WHOLE) * height)
    if not len(level) and not len(upright):
        return Rules(np.zeros_like(mask))
    framed, framing = frames(level, upright, (height, width))
    printed = printed_level(level, upright, height, width) | framed
    if len(level) and not printed.any() and not has_text(ink, level, TEXT):
        # The feet of a 2 and a 3 make an uneven line with a break.
        printed = (level.firm > 0) | (not has_text(ink, level[level.firm > 0], SMALL))
    rules, doubtful = level[printed], False
    if len(upright):
        digits, pen = digits_of(ink, rules, upright)
        sides = printed_upright(upright, rules, (height, width), digits, pen) | framing
        doubtful = joins_unprinted(upright[~sides], level, printed)
        upright = upright[sides]
        doubtful |= has_doubtful(upright, rules, digits > 0)
        missing = missing_dividers(turned, upright)
        # What stands there may be a 1, where the comb has a wider cell.
        doubtful |= len(missing) > 0
        upright += missing
    if not len(rules) and not len(upright):
        return Rules(np.zeros_like(mask), doubtful)
    pixels, broken = line_pixels(ink, rules, upright, thick)
    return Rules(pixels, doubtful or broken)
