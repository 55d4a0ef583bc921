"""Upright lines that were taken for printed ones and may be a 1 that touches two rules.

A 1 is as straight and as thick as a printed line, often enough. What it hardly ever does is stand
where both of its rules end, as the side of a frame, or at the one place of many that makes spaces
even, as the dividers of a comb.
"""

import numpy as np

from service.recognition.normalize.rules.lines import Bools, Floats, Lines, crossings

REACH, REACH_PIXELS = 0.1, 2.0  # of its length, within which a line's end meets a rule
CORNER = 2.0  # pixels between a side's edge and the ends of its rules, at most
DIVIDERS = 2  # of a comb with both its sides, at least; one more for each side that is not seen
EVEN, EVEN_PIXELS = 0.04, 1.0  # of a comb's pitch, by which its dividers stand off it, at most
NARROW = 0.4  # of a comb's height, that its pitch is at least
THINNER, THICKER = 0.8, 1.25  # times as thick as the rules, that a divider is
SPREAD, SPREAD_PIXELS = 0.15, 0.75  # of dividers' thickness, between the thinnest and the thickest
SQUARE = 0.02  # tangent by which it is off square to them, at most
OVERSHOOT = 2.0  # pixels by which it ends beside their outer edges, at most


def has_doubtful(upright: Lines, level: Lines, text: bool) -> bool:
    """Tell whether one of the printed upright lines may be a 1.

    Args:
        upright: printed lines.
        level: printed lines.
        text: whether the page has ink that is no line.
    """
    if not len(upright):
        return False
    if not len(level):  # the outermost two may be sides of text; alone they may be 11, cut close
        return len(upright) > 2 or not text
    _, column, upper, lower = _meet(upright, level)
    met = upper | lower
    at_end = (_at_end(column, upright, level) | ~met).all(axis=1)
    sides = np.asarray(met.any(axis=1) & at_end)
    return not (sides.all() or _is_comb(upright, level, sides))


def _is_comb(upright: Lines, level: Lines, sides: Bools) -> bool:
    """Tell whether lines between the sides stand as the dividers of a comb do."""
    others = np.asarray(~sides)
    middle = np.asarray(upright.at((upright.start + upright.stop) / 2))
    closed = int((middle[sides] < middle[others].min()).any())
    closed += int((middle[sides] > middle[others].max()).any())
    if np.count_nonzero(others) < DIVIDERS + 2 - closed:
        return False
    gaps = np.diff(np.sort(middle))
    pitch = float(np.median(gaps))
    uneven = float(np.abs(gaps - pitch).max())
    narrow = pitch < NARROW * float(np.median(upright.length))
    if narrow or uneven > max(EVEN * pitch, EVEN_PIXELS):
        return False
    thick = upright.thick[others]
    if np.ptp(thick) > max(SPREAD * float(np.median(thick)), SPREAD_PIXELS):
        return False
    return bool(_divides(upright[others], level).all())


def joins_unprinted(upright: Lines, level: Lines, printed: Bools) -> bool:
    """Tell whether an upright line ends at two level ones, of which one was not taken for printed.

    Rules that end beside the digits stay, and with them a 1 that touches both.

    Args:
        upright: lines that stay.
        level: all lines.
        printed: which of the level ones are.
    """
    _, _, upper, lower = _meet(upright, level)
    both = upper.any(axis=1) & lower.any(axis=1)
    return bool((both & (upper | lower)[:, ~printed].any(axis=1)).any())


def _meet(upright: Lines, level: Lines) -> tuple[Floats, Floats, Bools, Bools]:
    """Return where lines meet rules, row and column, and where they begin and end there.

    Returns:
        Each (upright, level).
    """
    row, column = crossings(upright, level)
    reach = np.maximum(REACH * upright.length, REACH_PIXELS)[:, None]
    on_rule = (column >= level.far_start - reach) & (column <= level.far_stop + reach)
    near = reach + level.thick / 2
    upper = on_rule & (np.abs(row - upright.far_start[:, None]) <= near)
    lower = on_rule & (np.abs(row - upright.far_stop[:, None]) <= near)
    return row, column, upper, lower


def _at_end(column: Floats, upright: Lines, level: Lines) -> Bools:
    """Tell which lines stand at an end of which level one: (upright, level)."""
    near = (upright.thick / 2 + CORNER)[:, None]
    # Long rules are followed in parts: where another goes on, there is no end.
    middle, rows = level.at((level.start + level.stop) / 2), level.thick + CORNER
    same = np.abs(middle[:, None] - middle) <= np.maximum(rows[:, None], rows)
    np.fill_diagonal(same, False)
    starts, stops = level.far_start[:, None], level.far_stop[:, None]
    before = (same & (level.far_start < starts) & (level.far_stop >= starts - 2 * CORNER)).any(
        axis=1
    )
    behind = (same & (level.far_stop > stops) & (level.far_start <= stops + 2 * CORNER)).any(axis=1)
    first = (np.abs(column - level.far_start) <= near) & ~before
    last = (np.abs(column - level.far_stop) <= near) & ~behind
    return np.asarray(first | last)


def _divides(upright: Lines, level: Lines) -> Bools:
    """Tell which lines end at the outer edges of an upper and a lower rule, square to them."""
    row, _, upper, lower = _meet(upright, level)
    ends = upper & (np.abs(upright.far_start[:, None] - row + level.thick / 2) <= OVERSHOOT)
    feet = lower & (np.abs(upright.far_stop[:, None] - row - level.thick / 2) <= OVERSHOOT)
    ratio = upright.thick / float(np.median(level.thick))
    square = np.abs(upright.slope + float(np.median(level.slope))) <= SQUARE
    alike = (ratio >= THINNER) & (ratio <= THICKER)
    return np.asarray(ends.any(axis=1) & feet.any(axis=1) & square & alike)
