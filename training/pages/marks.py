"""What stands beside digits and is none: separators, dashes, currency, as strokes of a pen.

Every mark begins at x = 0 and stands where it does on a line, the baseline at 0 and digits
reaching up to -1.
"""

from collections.abc import Callable, Sequence

import numpy as np

from training.pages.glyphs import Strokes, curve

Mark = Callable[[np.random.Generator], Strokes]

FILL = 0.045  # digit heights between strokes, narrower than any pen


def dot(rng: np.random.Generator) -> Strokes:
    """Draw a full stop: a point, a small blot, or a short stroke."""
    size = rng.uniform(0.0, 0.07)
    y = rng.uniform(-0.12, 0.03)
    return curve([(0.03, y), (0.03 + size, y + size / 2), (0.04, y + size)])


def comma(rng: np.random.Generator) -> Strokes:
    """Draw a comma, on the line or hanging below it."""
    y, length = rng.uniform(-0.1, 0.03), rng.uniform(0.12, 0.3)
    return curve([(0.1, y), (0.1, y + length / 2), (0, y + length)])


def apostrophe(rng: np.random.Generator) -> Strokes:
    """Draw an apostrophe at the digits' upper end."""
    y, length = rng.uniform(-1.1, -0.9), rng.uniform(0.12, 0.25)
    return curve([(0.08, y), (0, y + length)])


def dash(rng: np.random.Generator) -> Strokes:
    """Draw a dash, anywhere from low to above the middle."""
    length, y = rng.uniform(0.2, 0.7), rng.uniform(-0.6, -0.08)
    bend, tilt = rng.normal(0, 0.05), rng.normal(0.02, 0.06)
    return curve([(0, y + tilt), (length / 2, y + bend), (length, y - tilt)])


def point_dash(rng: np.random.Generator) -> Strokes:
    """Draw `.-`, the end of an amount without cents."""
    return _row(rng, (dot, dash), 0.12)


def comma_dash(rng: np.random.Generator) -> Strokes:
    """Draw `,-`, the same in other countries."""
    return _row(rng, (comma, dash), 0.08)


def equals(rng: np.random.Generator) -> Strokes:
    """Draw `=`, which closes an amount."""
    length, y, gap = rng.uniform(0.25, 0.6), rng.uniform(-0.5, -0.2), rng.uniform(0.12, 0.3)
    tilts = rng.normal(0.02, 0.04, 2)
    return np.concatenate(
        [
            curve([(0, y + dy + tilt), (length, y + dy - tilt)])
            for dy, tilt in zip((-gap, 0), tilts, strict=True)
        ]
    )


def hash_sign(rng: np.random.Generator) -> Strokes:
    """Draw `#`, which guards an amount against additions."""
    size = rng.uniform(0.5, 0.9)
    jitter = rng.normal(0, 0.03, (4, 2, 2))
    ends = np.array(
        [
            [(0.05, -0.3), (0.8, -0.36)],
            [(0, -0.62), (0.78, -0.68)],
            [(0.32, -1), (0.18, 0)],
            [(0.64, -1), (0.5, 0)],
        ]
    )
    return np.asarray((ends + jitter) * size - (0, (1 - size) / 2), np.float32)


def slashes(rng: np.random.Generator) -> Strokes:
    """Draw `//`: one alone, or less slanted, would be a 1."""
    reach, gap = rng.uniform(0.42, 0.75), rng.uniform(0.14, 0.3)
    feet, heads = rng.uniform(-0.05, 0.2, 2), rng.uniform(-1.1, -0.8, 2)
    lines = [
        [(index * gap, foot), (index * gap + reach, head)]
        for index, (foot, head) in enumerate(zip(feet, heads, strict=True))
    ]
    return np.asarray(lines, np.float32)


def dollar(rng: np.random.Generator) -> Strokes:
    """Draw `$`: an S with one or two strokes through it."""
    body = [(0.5, -0.85), (0.25, -0.97), (0.05, -0.72), (0.5, -0.3), (0.28, -0.03), (0, -0.18)]
    bars = [
        curve([(x, rng.uniform(-1.2, -1.05)), (x - 0.05, rng.uniform(0.05, 0.2))])
        for x in (0.3, 0.42)[: int(rng.integers(1, 3))]
    ]
    return np.concatenate([curve(np.array(body) + rng.normal(0, 0.02, (6, 2))), *bars])


def kroner(rng: np.random.Generator) -> Strokes:
    """Draw `Kr`."""
    parts = [
        [(0.04, -1), (0, 0)],
        [(0.5, -1), (0.04, -0.5)],
        [(0.04, -0.5), (0.5, 0)],
        [(0.66, -0.5), (0.66, 0)],
        [(0.66, -0.35), (0.78, -0.5), (0.92, -0.46)],
    ]
    paths = [np.array(part) for part in parts]
    return np.concatenate([curve(path + rng.normal(0, 0.03, path.shape)) for path in paths])


def cross(rng: np.random.Generator) -> Strokes:
    """Draw a small cross, as registers have them beside a number."""
    size, y = rng.uniform(0.2, 0.4), rng.uniform(-0.6, -0.3)
    jitter = rng.normal(0, 0.04, (2, 2, 2))
    ends = np.array([[(0, y), (size, y + size)], [(size, y), (0, y + size)]])
    return np.asarray(ends + jitter, np.float32)


# Capitals, small letters and signs as curves of points; the baseline is at 0.
LETTERS: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (((0, -1), (0, 0)), ((0, -1), (0.5, -1)), ((0, -0.5), (0.4, -0.5))),  # F
    (((0, 0), (0, -1)), ((0, -1), (0.5, 0)), ((0.5, 0), (0.5, -1))),  # N
    (((0, 0), (0.05, -1)), ((0.05, -1), (0.3, -0.4), (0.55, -1)), ((0.55, -1), (0.6, 0))),  # M
    (((0, -1), (0, 0)), ((0.5, -1), (0, -0.45)), ((0, -0.45), (0.5, 0))),  # K
    (((0, -0.5), (0.02, 0)), ((0, -0.3), (0.15, -0.5), (0.28, -0.3), (0.28, 0)),
     ((0.28, -0.3), (0.42, -0.5), (0.55, -0.3), (0.56, 0))),  # m
    (((0, -1), (0, 0)), ((0.5, -1), (0.5, 0)), ((0, -0.5), (0.5, -0.5))),  # H
    (((0, 0), (0.25, -1)), ((0.25, -1), (0.5, 0)), ((0.1, -0.4), (0.4, -0.4))),  # A
    (((0, -1), (0.6, -1)), ((0.3, -1), (0.3, 0))),  # T
    (((0, -1), (0.25, 0)), ((0.25, 0), (0.5, -1))),  # V
    (((0, -1), (0, 0)), ((0, 0), (0.45, 0))),  # L
    (((0.5, -0.85), (0.2, -1), (0, -0.5), (0.2, 0), (0.5, -0.15)),),  # C
    (((0, -0.9), (0.55, -0.1)), ((0.55, -0.9), (0, -0.1))),  # X
    (((0, -0.5), (0.5, -0.5)), ((0.25, -0.75), (0.25, -0.25))),  # plus, half as high as digits
    (((0.05, -0.3), (0.2, 0)), ((0.2, 0), (0.6, -1))),  # tick
    (((0.15, -1.1), (0, -0.5), (0.15, 0.1)),),  # parentheses
    (((0, -1.1), (0.15, -0.5), (0, 0.1)),),
    (((0, 0), (0.5, -1)), ((0.1, -0.9), (0, -0.75), (0.1, -0.65), (0.2, -0.8), (0.1, -0.9)),
     ((0.45, -0.3), (0.35, -0.15), (0.45, -0.02), (0.55, -0.15), (0.45, -0.3))),  # percent
)  # fmt: skip


def letter(rng: np.random.Generator) -> Strokes:
    """Draw a letter or a sign, a little smaller than digits or as tall."""
    curves = LETTERS[rng.integers(len(LETTERS))]
    drawn = [curve(np.array(part) + rng.normal(0, 0.035, (len(part), 2))) for part in curves]
    return np.asarray(np.concatenate(drawn) * np.float32(rng.uniform(0.6, 1.05)), np.float32)


def tick(rng: np.random.Generator) -> Strokes:
    """Draw a tick, its corner sharp or soft, its left arm short."""
    tall, left = rng.uniform(0.6, 1.1), rng.uniform(0.05, 0.35)
    corner = np.array([left, rng.uniform(-0.1, 0.1)])
    start = corner - np.array([left, tall * rng.uniform(0.15, 0.5)])
    end = corner + np.array([tall * rng.uniform(0.3, 0.9), -tall])
    if rng.random() < 0.5:
        return thickened(np.concatenate([curve([start, corner]), curve([corner, end])]), rng)
    return thickened(curve([start, corner, (corner + end) / 2 + (0.05, 0.03), end]), rng)


def large_cross(rng: np.random.Generator) -> Strokes:
    """Draw a cross as tall as a digit or nearly: a box's, or an upright one."""
    wide, tall = rng.uniform(0.45, 1, 2)
    middle = np.array([wide / 2, -rng.uniform(0.4, 0.6)])
    ends = np.array([[(-0.5, -0.5), (0.5, 0.5)], [(0.5, -0.5), (-0.5, 0.5)]])
    if rng.random() < 0.08:  # seldom: it is many a hand's 7
        ends = np.array([[(-0.5, 0), (0.5, 0)], [(0, -0.5), (0, 0.5)]])
    strokes = ends * (wide, tall) + middle + rng.normal(0, 0.04, (2, 2, 2))
    return thickened(np.asarray(strokes, np.float32), rng)


def blot(rng: np.random.Generator) -> Strokes:
    """Fill a disc or an ellipse: a blot, or a punched hole."""
    wide = rng.uniform(0.2, 0.9)
    tall = wide * (1 if rng.random() < 0.5 else rng.uniform(0.6, 1.4))
    middle = np.array([wide / 2, -rng.uniform(0.1, 0.9)])
    angles = np.linspace(0, 2 * np.pi, 17)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (wide / 2, tall / 2)
    # Rings so near to one another that any pen fills what is between them.
    rings = 1 + round(max(wide, tall) / 2 / FILL)
    return np.concatenate([curve(middle + (n + 0.5) / rings * ring) for n in range(rings)])


def slash(rng: np.random.Generator) -> Strokes:
    """Draw a slash taller than the digits, as between the parts of a date."""
    tall, foot = rng.uniform(1.1, 1.6), rng.uniform(-0.05, 0.25)
    # Further to the right than any digits lean: an upright one would be a 1.
    lean, bow = tall * rng.uniform(0.3, 0.7), rng.normal(0, 0.02)
    ends = [(0, foot), (lean / 2 + bow, foot - tall / 2), (lean, foot - tall)]
    return thickened(curve(ends), rng)


def slash_dash(rng: np.random.Generator) -> Strokes:
    """Draw `/-`, which closes an amount."""
    return _row(rng, (slash, dash), rng.uniform(0.05, 0.25))


def thickened(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    """Go over half of the marks again, a little beside, as with a thicker pen."""
    if rng.random() < 0.5:
        return strokes
    across = rng.uniform(0.02, FILL) * np.array([(0, 0), (1, 0), (0, 1), (1, 1)], np.float32)
    return np.concatenate([strokes + offset for offset in across])


def staple(rng: np.random.Generator) -> Strokes:
    """Draw a staple: a straight stroke in any direction, its ends bent or not."""
    length, turn = rng.uniform(0.4, 1.2), rng.uniform(0, np.pi)
    along = length / 2 * np.array([np.cos(turn), np.sin(turn)])
    middle = np.array([abs(along[0]), -rng.uniform(0.2, 0.8)])
    return curve([middle - along, middle + along])


SEPARATORS: tuple[tuple[Mark, float], ...] = ((dot, 0.7), (comma, 0.2), (apostrophe, 0.1))
TRAILING: tuple[tuple[Mark, float], ...] = (
    (dot, 0.34), (dash, 0.2), (point_dash, 0.16), (comma_dash, 0.05), (equals, 0.12),
    (slashes, 0.04), (hash_sign, 0.03), (comma, 0.03), (cross, 0.03),
)  # fmt: skip
LEADING: tuple[tuple[Mark, float], ...] = (
    (dash, 0.3), (equals, 0.2), (dot, 0.25), (hash_sign, 0.1), (cross, 0.05),
)  # fmt: skip
CURRENCY: tuple[tuple[Mark, float], ...] = ((dollar, 0.7), (kroner, 0.3))
STRAY: tuple[tuple[Mark, float], ...] = (
    (tick, 0.3), (large_cross, 0.2), (blot, 0.22), (slash_dash, 0.18), (letter, 0.1),
)  # fmt: skip
LONE: tuple[tuple[Mark, float], ...] = (
    (tick, 0.34), (large_cross, 0.2), (blot, 0.26), (staple, 0.1), (letter, 0.1),
)  # fmt: skip


def choose(marks: Sequence[tuple[Mark, float]], rng: np.random.Generator) -> Mark:
    """Choose a mark by the marks' shares."""
    at = rng.random() * sum(share for _, share in marks)
    for mark, share in marks:
        at -= share
        if at < 0:
            return mark
    return marks[-1][0]


def _row(rng: np.random.Generator, marks: Sequence[Mark], gap: float) -> Strokes:
    parts, x = [], 0.0
    for mark in marks:
        strokes = mark(rng)
        parts.append(strokes + np.array([x, 0], np.float32))
        x = float(parts[-1][..., 0].max()) + gap
    return np.concatenate(parts)
