"""Dividers of a comb that strokes run along or touch, found by their places."""

import numpy as np

from service.recognition.normalize.rules.lines import NONE, Image, Lines

FEWEST = 3  # printed lines that tell a comb's pitch
FARTHEST = 6  # pitches between two of them, at most
EVEN, EVEN_PIXELS = 0.06, 1.5  # of the pitch, by which they stand off their places, at most
NARROW = 0.4  # of their length, that the pitch is at least
COVER = 0.7  # share of a divider's length in which there is ink, at least


def missing_dividers(turned: Image, upright: Lines) -> Lines:
    """Return the dividers between printed ones whose places have ink from end to end.

    Args:
        turned: ink of the page, its columns as rows.
        upright: printed lines.
    """
    if len(upright) < FEWEST:
        return NONE
    middle = np.asarray(upright.at((upright.start + upright.stop) / 2))
    order = np.argsort(middle)
    gaps = np.diff(middle[order])
    if gaps.min() < NARROW * float(np.median(upright.length)):
        return NONE
    many = np.rint(gaps / gaps.min())
    pitch = float(gaps.sum() / many.sum())
    uneven = float(np.abs(gaps - many * pitch).max())
    if many.max() > FARTHEST or uneven > max(EVEN * pitch, EVEN_PIXELS):
        return NONE
    fields = np.array(list(vars(upright).values()))[:, order]
    found = []
    for before, after, count in zip(
        fields.T, fields.T[1:], many.astype(int).tolist(), strict=False
    ):
        for place in range(1, count):
            line = before + (after - before) * place / count
            if _covered(turned, Lines(*line[:, None])):
                found.append(line)
    return Lines(*np.array(found).T) if found else NONE


def _covered(turned: Image, line: Lines) -> bool:
    """Whether there is ink along a line."""
    start, stop = int(line.start[0]), int(line.stop[0])
    columns = np.arange(start, stop + 1)
    rows = np.rint(line.at(columns.astype(np.float64))).astype(int)
    near = [turned[np.clip(rows + off, 0, len(turned) - 1), columns] > 0 for off in (-1, 0, 1)]
    return bool(np.any(near, axis=0).mean() >= COVER)
