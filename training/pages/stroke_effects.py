"""Digits as strokes of a pen: traced from images or drawn, then written as other hands do.

Strokes are line segments, so that no change of shape, size or slant costs sharpness, and one pen
of one width goes over the whole string, whatever the images' own strokes were.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.pages.augment import Image
from training.pages.glyphs import Strokes, curve, drawn

FINE = 2  # trace pixels per image pixel
DIGIT = 32.0  # height of MNIST's digits in trace pixels, measured between the pen's centers
INK = 90  # gray level from which a trace pixel is ink
CLOT = 1.9  # widest place of a clotted digit, of its strokes' usual width
LOOPS = np.array([1, 0, 0, 0, 0, 0, 1, 0, 2, 1])  # without them nobody can read these digits

# Zhang and Suen 1984: which ink pixels each half-step takes away, by their eight neighbors,
# clockwise from the one above; bit i stands for neighbor i.
NEIGHBORS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


def _kept(half: int) -> Image:
    """Return (256,) 1 where a half-step keeps an ink pixel with these neighbors."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    count = bits.sum(axis=1)
    rises = ((bits == 0) & (np.roll(bits, -1, axis=1) == 1)).sum(axis=1)
    above, right, below, left = bits[:, 0], bits[:, 2], bits[:, 4], bits[:, 6]
    first = (above * right * below == 0) & (right * below * left == 0)
    second = (above * right * left == 0) & (above * below * left == 0)
    removed = (count >= 2) & (count <= 6) & (rises == 1) & (second if half else first)
    return np.asarray(~removed, np.uint8)


KEPT = (_kept(0), _kept(1))


def thin(ink: Image) -> Image:
    """Thin strokes to lines one pixel wide (Zhang and Suen 1984).

    Args:
        ink: (height, width), 1 where there is ink and 0 elsewhere.
    """
    left = cv2.countNonZero(ink)
    while True:
        for kept in KEPT:
            codes = cv2.filter2D(ink, cv2.CV_8U, NEIGHBORS, borderType=cv2.BORDER_CONSTANT)
            ink = np.asarray(cv2.bitwise_and(ink, cv2.LUT(codes, kept)), np.uint8)
        if (now := cv2.countNonZero(ink)) == left:
            return ink
        left = now


def trace(images: npt.NDArray[np.uint8], labels: Sequence[int]) -> list[Strokes]:
    """Return each digit's strokes, standing on the baseline with their left end at 0.

    A digit whose loops have run full has none: its lines would not say what it is.

    Args:
        images: (digits, 32, 32), ink bright on 0, with empty columns at both sides.
        labels: what they say.
    """
    count, height, width = images.shape
    sheet = images.transpose(1, 0, 2).reshape(height, count * width)
    size = (count * width * FINE, height * FINE)
    gray = cv2.GaussianBlur(cv2.resize(sheet, size, interpolation=cv2.INTER_CUBIC), (3, 3), 0)
    # Against their surroundings, faint strokes are ink and the holes of small loops are not.
    sharp = cv2.addWeighted(gray, 1.9, cv2.GaussianBlur(gray, (0, 0), 2.5), -0.9, 0)
    ink_mask = (sharp > INK).astype(np.uint8)
    rows, columns = np.nonzero(thin(ink_mask).view(np.bool_))
    numbers = np.full((size[1] + 2, size[0] + 2), -1, np.int32)
    numbers[rows + 1, columns + 1] = np.arange(len(rows))
    right, below = numbers[rows + 1, columns + 2], numbers[rows + 2, columns + 1]
    left = numbers[rows + 1, columns]
    falling, rising = numbers[rows + 2, columns + 2], numbers[rows + 2, columns]
    # A diagonal beside a corner would close a triangle.
    falling = np.where((right < 0) & (below < 0), falling, -1)
    rising = np.where((left < 0) & (below < 0), rising, -1)
    ends = np.concatenate([right, below, falling, rising])
    starts = np.tile(np.arange(len(rows)), 4)[ends >= 0]
    ends = ends[ends >= 0]
    points = _smooth(np.column_stack([columns, rows]).astype(np.float64), starts, ends)
    segments = (points[np.stack([starts, ends], axis=1)] / DIGIT).astype(np.float32)
    owners = columns[starts] // (width * FINE)
    radii = np.asarray(cv2.distanceTransform(ink_mask, cv2.DIST_L2, 3), np.float32)[rows, columns]
    whole = _whole(radii, columns // (width * FINE), owners, labels)
    return [stand(segments[(owners == n) & whole[n]]) for n in range(count)]


def _whole(
    radii: npt.NDArray[np.float32],
    point_owners: npt.NDArray[np.int64],
    segment_owners: npt.NDArray[np.int64],
    labels: Sequence[int],
) -> npt.NDArray[np.bool_]:
    """Return (digits,) whose lines tell all: no place is clotted and no loop has run full."""
    count = len(labels)
    points = np.bincount(point_owners, minlength=count)
    widest = np.zeros(count)
    np.maximum.at(widest, point_owners, radii)
    usual = np.bincount(point_owners, radii, count) / np.maximum(points, 1)
    # Euler: a graph in one piece has one edge fewer than points, and one more for every loop.
    loops = np.bincount(segment_owners, minlength=count) - points + 1
    needed = LOOPS[np.asarray(labels)]
    return np.asarray((widest <= CLOT * usual) & ((needed == 0) | (loops >= needed)), np.bool_)


def _smooth(
    points: npt.NDArray[np.float64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Take the pixels' stairs out of a line; its free ends stay."""
    count = len(points)
    sources, targets = np.concatenate([starts, ends]), np.concatenate([ends, starts])
    degree = np.bincount(targets, minlength=count)
    weight = np.where(degree >= 2, 0.6, 0.0)[:, None]
    for _ in range(4):
        sums = [np.bincount(targets, points[sources, axis], count) for axis in (0, 1)]
        means = np.column_stack(sums) / np.maximum(degree, 1)[:, None]
        points = points + weight * (means - points)
    return points


def stand(strokes: Strokes) -> Strokes:
    """Move strokes so that they stand on the baseline and begin at 0."""
    if not len(strokes):
        return strokes
    flat = strokes.reshape(-1, 2)
    return strokes - np.array([flat[:, 0].min(), flat[:, 1].max()], np.float32)


def shape(traced: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Draw a share of digits, and those that could not be traced, in another of its shapes."""
    return stand(drawn(digit, rng)) if rng.random() < share or not len(traced) else traced


def stem(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Draw a share of the ones as a straight stroke, as straight as a frame's side."""
    if digit != 1 or rng.random() >= share:
        return strokes
    return stand(curve([(rng.normal(0, 0.04), 0), (0, 1)]))


def flag(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Begin a share of the ones with an upstroke, short or as long as the stem."""
    if digit != 1 or rng.random() >= share or not len(strokes):
        return strokes
    top = highest(strokes)
    length = rng.uniform(0.2, 0.65) if rng.random() < 0.65 else rng.uniform(0.6, 1.1)
    angle = rng.uniform(0.45, 1.15)  # from the horizontal, radians
    tip = top + length * np.array([-np.cos(angle), np.sin(angle)])
    bend = (top + tip) / 2 + rng.normal(0, 0.03, 2)
    return stand(np.concatenate([strokes, curve([tip, bend, top])]))


def foot(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Put a share of the ones on a short horizontal stroke."""
    if digit != 1 or rng.random() >= share or not len(strokes):
        return strokes
    base = highest(-strokes) * -1
    left, right = rng.uniform(0.12, 0.3, 2)
    tilt = rng.normal(0, 0.03)
    ends = [base + np.array([-left, -tilt]), base + np.array([right, tilt])]
    return stand(np.concatenate([strokes, curve(ends)]))


def bar(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Cross a share of the sevens with a bar through the stem."""
    if digit != 7 or rng.random() >= share or not len(strokes):
        return strokes
    height = -rng.uniform(0.35, 0.6)
    middle = strokes.mean(axis=1)
    near = middle[np.abs(middle[:, 1] - height) < 0.12]
    x = float(near[:, 0].mean()) if len(near) else float(middle[:, 0].mean())
    left, right = rng.uniform(0.14, 0.34, 2)
    tilt = rng.normal(0.03, 0.05)
    ends = [
        (x - left, height + tilt),
        (x, height + rng.normal(0, 0.02)),
        (x + right, height - tilt),
    ]
    return stand(np.concatenate([strokes, curve(ends)]))


def long_bar(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Give a share of the fives a long bar of its own, now and then off the body."""
    if digit != 5 or rng.random() >= share or not len(strokes):
        return strokes
    flat = strokes.reshape(-1, 2)
    top = float(flat[:, 1].min())
    left, right = float(flat[:, 0].min()), float(flat[:, 0].max())
    start = left + (right - left) * rng.uniform(0.1, 0.6)
    end = right + rng.uniform(0.05, 0.45)
    y = top + rng.uniform(-0.12, 0.05)
    tilt = rng.uniform(-0.02, 0.14)
    ends = [(start, y), ((start + end) / 2, y - tilt / 2 + rng.normal(0, 0.02)), (end, y - tilt)]
    return stand(np.concatenate([strokes, curve(ends)]))


def curl(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """End a share of the twos in a flourish, or turn them in a loop at the foot."""
    if digit != 2 or rng.random() >= share or not len(strokes):
        return strokes
    flat = strokes.reshape(-1, 2)
    low = flat[flat[:, 1] > -0.3]
    if rng.random() < 0.5:  # a loop at the left foot
        x, y = low[low[:, 0].argmin()]
        size = rng.uniform(0.08, 0.16)
        ring = [
            (x + size, y - size),
            (x, y - size),
            (x - size, y),
            (x, y + size * 0.6),
            (x + size, y),
        ]
        return stand(np.concatenate([strokes, curve(ring)]))
    x, y = low[low[:, 0].argmax()]
    reach, lift = rng.uniform(0.12, 0.4), rng.uniform(-0.1, 0.25)
    ends = [(x, y), (x + reach / 2, y + 0.05), (x + reach, y - lift)]
    return np.concatenate([strokes, curve(ends)])


def closed(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Begin a share of the twos with a curl into the head, which may close it as a nine's."""
    if digit != 2 or rng.random() >= share or not len(strokes):
        return strokes
    flat = strokes.reshape(-1, 2)
    head = flat[flat[:, 1] < -0.55]
    if not len(head):
        return strokes
    x, y = head[head[:, 0].argmin()]
    wide = float(head[:, 0].max() - x)
    low = y + rng.uniform(0.08, 0.25)
    turn, end = x + wide * rng.uniform(0.2, 0.4), x + wide * rng.uniform(0.5, 1.05)
    return stand(np.concatenate([strokes, curve([(x, y), (turn, low), (end, low - 0.08)])]))


def hook(strokes: Strokes, digit: int, rng: np.random.Generator, share: float) -> Strokes:
    """Give a share of the nines a smaller head, and a tail that turns back to the left."""
    if digit != 9 or rng.random() >= share or not len(strokes):
        return strokes
    waist = rng.uniform(-0.68, -0.5)  # where the head's lower edge, at half height, comes to lie
    known, placed = [-1.5, -1.0, -0.5, 0.0], [-1.5, -1.0, waist, 0.0]
    bent = strokes.copy()
    bent[..., 1] = np.interp(strokes[..., 1], known, placed)
    x, y = highest(-bent) * -1
    reach, lift = rng.uniform(0.15, 0.5), rng.uniform(-0.04, 0.25)
    tail = [(x, y), (x - reach / 2, y + 0.06), (x - reach, y - lift)]
    return stand(np.concatenate([bent, curve(tail)]))


def upright(strokes: Strokes, removed: float) -> Strokes:
    """Take away a part, 0 to 1, of a digit's own slant."""
    if removed == 0 or not len(strokes):
        return strokes
    middle = strokes.mean(axis=1)
    x, y = (middle - middle.mean(axis=0)).T
    slope = float(np.clip((x @ y) / max(float(y @ y), 1e-6), -0.6, 0.6))
    return stand(shear(strokes, slope * removed))


def shear(strokes: Strokes, tangent: float) -> Strokes:
    """Lean strokes to the right, about the baseline."""
    return strokes + strokes[..., 1:] * np.array([-tangent, 0], np.float32)


def wobble(strokes: Strokes, rng: np.random.Generator, strength: float) -> Strokes:
    """Bend strokes by smooth waves of `strength` digit heights."""
    if strength == 0:
        return strokes
    bent = strokes.copy()
    turns = rng.uniform(0.6, 1.6, (2, 2)) * 2 * np.pi
    phases = rng.uniform(0, 2 * np.pi, 2)
    for axis in (0, 1):
        wave = strokes @ turns[axis].astype(np.float32) + np.float32(phases[axis])
        bent[..., axis] += np.float32(strength) * np.sin(wave)
    return bent


def connect(before: Strokes, after: Strokes, rng: np.random.Generator, share: float) -> Strokes:
    """Return the stroke that leads from a digit to the next; none for most neighbors."""
    if rng.random() >= share or not len(before) or not len(after):
        return np.zeros((0, 2, 2), np.float32)
    exits, entries = before.reshape(-1, 2), after.reshape(-1, 2)
    start = exits[(exits[:, 0] - 0.3 * np.abs(exits[:, 1] + 0.3)).argmax()]
    end = entries[entries[:, 0].argmin()]
    sag = np.array([0, rng.uniform(-0.08, 0.12)])
    return curve([start, (start + end) / 2 + sag, end])


def highest(strokes: Strokes) -> npt.NDArray[np.float64]:
    """Return the uppermost point."""
    flat = strokes.reshape(-1, 2)
    return np.asarray(flat[flat[:, 1].argmin()], np.float64)


def ink(
    strokes: Sequence[Strokes],
    shape: tuple[int, int],
    pen: float | npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Draw strokes with a round pen.

    Args:
        strokes: in pixels of the page.
        shape: the page's height and width.
        pen: its width, pixels: one for all, or (height, width) of them.

    Returns:
        (height, width) float32, the share of each pixel that is inked.
    """
    height, width = shape
    together = np.concatenate(strokes) if strokes else np.zeros((0, 2, 2), np.float32)
    blank = np.full((height * FINE, width * FINE), 255, np.uint8)
    # Fixed-point coordinates, 1/16 pixel; the center of the first fine pixel is at 0.
    fixed = np.rint(np.clip((together * FINE - 0.5) * 16, -(2**20), 2**20)).astype(np.int32)
    cv2.polylines(blank, fixed, False, 0, 1, cv2.LINE_8, 4)
    distance = cv2.distanceTransform(blank, cv2.DIST_L2, 5)
    if not np.isscalar(pen):
        size = (width * FINE, height * FINE)
        pen = np.asarray(cv2.resize(np.asarray(pen), size), np.float32)
    # A line through a pixel's center is already one fine pixel wide.
    cover = np.clip(np.asarray(pen, np.float32) * (FINE / 2) + 0.5 - distance, 0, 1)
    return np.asarray(cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA), np.float32)
