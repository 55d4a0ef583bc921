"""Digits cut from scanned lines, and lines set from them: real ink, in any order.

Scans hold few kinds of strings (a register's years begin with 18 or 19), which a network that
sees neighbors learns by heart. Cut apart and set again, on any paper, they teach hands alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.model import Scorer
from service.recognition.normalize import DIGIT_HEIGHT
from service.recognition.views import FIELD, HEIGHT
from training.config import StripConfig
from training.data.scans import LabeledLine, LineSet
from training.pages import marks, stroke_effects
from training.pages.augment import Image, stroke

SURE = 0.6  # probability of every digit of a line that is cut
INK = 64  # gray level of ink
CLEAR = 300  # gray levels in a column, summed, up to which it may be cut
WIDEST = 40  # pixels
HEIGHTS = (9, 34)  # pixels of a whole digit
STEEPEST = 0.9  # tangent beyond which a slant is a wrong estimate
ROWS = 80  # of a composed line, the digits in its middle
BASELINE = 50.0  # its row, of `ROWS`


@dataclass(frozen=True)
class Cuttings:
    """Digits cut from lines, upright, side by side."""

    pixels: npt.NDArray[np.uint8]  # (FIELD, columns) ink bright on 0
    starts: npt.NDArray[np.int64]  # (digits + 1,) the first column of each
    labels: npt.NDArray[np.int64]  # (digits,)

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image:
        """Return one digit, (FIELD, width)."""
        return self.pixels[:, self.starts[index] : self.starts[index + 1]]

    def complete(self) -> bool:
        """Return whether there are digits of all ten classes."""
        return len(np.unique(self.labels)) == 10

    @classmethod
    def of(cls, lines: LineSet, scorer: Scorer) -> "Cuttings":
        """Cut the lines that a network reads as they are labeled, where no ink is cut through."""
        images, labels = [], []
        for line in map(lines.line, range(len(lines))):
            for image, label in cut(line, scorer):
                images.append(image)
                labels.append(label)
        if not images:
            return cls(np.zeros((FIELD, 0), np.uint8), np.zeros(1, np.int64), np.zeros(0, np.int64))
        widths = [image.shape[1] for image in images]
        return cls(
            np.concatenate(images, axis=1),
            np.concatenate([[0], np.cumsum(widths, dtype=np.int64)]),
            np.array(labels, np.int64),
        )


def cut(line: LabeledLine, scorer: Scorer) -> Iterable[tuple[Image, int]]:
    """Yield the digits of a line that stand free, upright, and what they say."""
    gray = upright(line)
    band = slice((FIELD - HEIGHT) // 2, (FIELD + HEIGHT) // 2)
    scores = scorer.score(np.ascontiguousarray(gray[band]))[0]  # (positions, labels)
    labels = scores.argmax(axis=1)
    edges = np.flatnonzero(np.diff(labels)) + 1
    runs = [
        (first, stop, int(labels[first]))
        for first, stop in pairwise([0, *edges.tolist(), len(labels)])
        if labels[first] != scorer.metadata.none
    ]
    if "".join(str(label) for _, _, label in runs) != line.text or not runs:
        return
    if min(scores[first:stop, label].max() for first, stop, label in runs) < np.log(SURE):
        return
    ink = gray.sum(axis=0, dtype=np.int64)
    centers = [scorer.metadata.center((first + stop - 1) / 2) for first, stop, _ in runs]
    ends = [clearest(ink, centers[0] - 18, centers[0] - 3)]
    ends += [clearest(ink, before + 2, after - 1) for before, after in pairwise(centers)]
    ends.append(clearest(ink, centers[-1] + 3, centers[-1] + 18))
    for (first, stop), (_, _, label) in zip(pairwise(ends), runs, strict=True):
        if max(ink[[first, min(stop, len(ink) - 1)]]) > CLEAR or not 3 <= stop - first <= WIDEST:
            continue
        digit = gray[:, first:stop]
        rows, columns = np.nonzero(digit > INK)
        if len(rows) and HEIGHTS[0] <= rows.max() - rows.min() + 1 <= HEIGHTS[1]:
            yield digit[:, columns.min() : columns.max() + 1], label


def upright(line: LabeledLine) -> Image:
    """Take a line's slant away, all of its rows kept."""
    slant = line.slant if abs(line.slant) < STEEPEST else 0.0
    room = FIELD // 4
    gray = np.pad(line.pixels, ((0, 0), (room, room)))
    shear = np.array([[1, slant, -slant * (FIELD - 1) / 2], [0, 1, 0]])
    size = (gray.shape[1], FIELD)
    return np.asarray(cv2.warpAffine(gray, shear, size, flags=cv2.INTER_LINEAR), np.uint8)


def clearest(ink: npt.NDArray[np.int64], first: float, stop: float) -> int:
    """Return the column of least ink between two, where neighbors are best cut apart.

    Args:
        ink: (columns,) its sum in each.
        first: a column, perhaps beyond the line's begin.
        stop: another, perhaps beyond its end; at least one column is looked at.

    Returns:
        The middle one of several that have hardly more ink than the least.
    """
    left = min(max(int(first), 0), len(ink) - 1)
    right = max(min(int(stop), len(ink)), left + 1)
    least = np.flatnonzero(ink[left:right] <= ink[left:right].min() + 1)
    return left + int(least[len(least) // 2])


def set_line(
    text: str, cuttings: Cuttings, rng: np.random.Generator, config: StripConfig
) -> npt.NDArray[np.float32]:
    """Set a string from cuttings: apart, touching or overlapping, with marks, slanted.

    Returns:
        (height, width) float32, the share of each pixel that is inked, cropped to the ink.
    """
    images = chosen(text, cuttings, rng, config)
    width = sum(image.shape[1] for image in images) + 14 * len(images) + 60
    line = np.zeros((ROWS, width), np.uint8)
    usual, spread = rng.uniform(1, 10), rng.uniform(0, 2)
    deep = rng.random() < config.overlap
    separated = len(text) >= 4 and rng.random() < config.separator
    cursor, middle, strokes = 12.0, -99.0, []
    mark = marks.choose(marks.SEPARATORS, rng)
    for index, image in enumerate(images):
        left = round(max(cursor, middle + 6.5 - image.shape[1] / 2))
        middle, end = left + image.shape[1] / 2, left + image.shape[1]
        top = round((ROWS - image.shape[0]) / 2 + 0.9 * rng.normal())
        place = line[max(top, 0) : top + image.shape[0], left:end]
        np.maximum(place, image[max(-top, 0) :][: len(place)], out=place)
        after = len(images) - 1 - index
        gap = rng.uniform(-4, 1) if deep else usual + spread * rng.normal()
        if separated and after and after % 3 == 0:
            strokes.append(mark(rng) * DIGIT_HEIGHT + np.array([end + rng.uniform(0, 2), BASELINE]))
            gap = rng.uniform(2, 10)
        cursor = end + gap
    right = middle + 12
    if rng.random() < config.trailing:
        sign = marks.choose(marks.TRAILING, rng)(rng) * DIGIT_HEIGHT
        strokes.append(sign + np.array([right + rng.uniform(2, 7), BASELINE]))
    if strokes:
        pen, level = rng.uniform(1.4, 2.6), 255 * rng.uniform(0.7, 1)
        cover = stroke_effects.ink([part.astype(np.float32) for part in strokes], line.shape, pen)
        line = np.maximum(line, (cover * level).astype(np.uint8))
    return cropped(leaning(line, rng, config))


def chosen(
    text: str, cuttings: Cuttings, rng: np.random.Generator, config: StripConfig
) -> Sequence[Image]:
    """Return a cutting for each digit of a text, of a size and width of its own.

    Args:
        text: digits, of each of which there is a cutting.
        cuttings: to draw from.
        rng: decides which, and their sizes.
        config: how often a digit recurs with the same shape, and how often zeros are small.

    Returns:
        (height, width) uint8 each, ink bright on 0; heights are about FIELD pixels.
    """
    images, latest = [], dict[str, int]()
    for digit in text:
        if digit not in latest or rng.random() >= config.alike:
            latest[digit] = int(rng.choice(np.flatnonzero(cuttings.labels == int(digit))))
        image = cuttings.image(latest[digit])
        along = np.exp(rng.normal(0, 0.07))
        across = along * np.exp(rng.normal(0.02, 0.12))
        if digit == "0" and rng.random() < config.small_zeros:
            along, across = np.array([along, across]) * rng.uniform(0.55, 0.85)
        size = (max(round(image.shape[1] * across), 2), max(round(FIELD * along), 8))
        kind = cv2.INTER_AREA if along < 1 else cv2.INTER_LINEAR
        images.append(np.asarray(cv2.resize(image, size, interpolation=kind), np.uint8))
    return images


def leaning(line: Image, rng: np.random.Generator, config: StripConfig) -> Image:
    """Slant a line and let it rise or fall, each on a share of lines.

    Args:
        line: (height, width) uint8, ink bright on 0.
        rng: decides whether, and how much.
        config: the share of lines that slant, their tangents, and the share that climb.

    Returns:
        (height, width + 48): padded by 24 columns each side, so that nothing is cut off.
    """
    tangent = rng.uniform(*config.slants) if rng.random() < config.slant else 0.0
    climb = rng.normal(0, 0.025) if rng.random() < config.climb else 0.0
    padded = np.pad(line, ((0, 0), (24, 24)))
    height, width = padded.shape
    matrix = np.array([[1, -tangent, tangent * height / 2], [-climb, 1, climb * width / 2]])
    size = (width, height)
    return np.asarray(cv2.warpAffine(padded, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)


def cropped(line: Image) -> npt.NDArray[np.float32]:
    """Return the part of a line that has ink, from 0 (paper) to 1 (ink).

    Args:
        line: (height, width) uint8, with at least one pixel above INK.
    """
    rows, columns = np.nonzero(line > INK)
    part = line[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.asarray(part / np.float32(255), np.float32)


def written_over(
    cover: npt.NDArray[np.float32], rng: np.random.Generator, share: float
) -> npt.NDArray[np.float32]:
    """Thicken or thin the strokes of a share of lines."""
    if rng.random() >= share:
        return cover
    changed = stroke((cover * 255).astype(np.uint8), rng, 0.9)
    return np.asarray(changed / np.float32(255), np.float32)
