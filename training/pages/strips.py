"""Digits set side by side to strips, with their truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.views import MARGIN
from training.config import Config
from training.data.digits import DigitSet
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE
from training.pages.augment import APART, CENTERED, Image, distort, ink_columns

IGNORED = -100  # the label of a position that would do either way (torch's own default)


@dataclass(frozen=True)
class Strip:
    """A strip made from digits, and what it says."""

    pixels: Image  # (32, width), ink bright on 0
    digits: npt.NDArray[np.int64]  # (digits,), left to right
    centers: npt.NDArray[np.float64]  # (digits,), pixels from the left edge

    @property
    def text(self) -> str:
        """The string that the digits spell."""
        return "".join(LABELS[digit] for digit in self.digits)


def compose(
    images: Sequence[Image], digits: Sequence[int], gaps: Sequence[float], lead: int = MARGIN
) -> Strip:
    """Set digits side by side.

    Args:
        images: (32, 32) each, the digit in the middle.
        digits: what each one says.
        gaps: pixels between the ink of neighbors, one fewer than digits; negative overlaps.
        lead: pixels before the first digit's ink.
    """
    lefts: list[int] = []  # of each image's left edge in the strip
    cursor = float(lead)
    for image, gap in zip(images, [*gaps, 0.0], strict=True):
        first, last = ink_columns(image)
        left = round(cursor - first)
        if lefts:  # however deep the overlap, the order of the centers is the order of the digits
            left = max(left, lefts[-1] + STRIDE)
        lefts.append(left)
        cursor = left + last + gap
    width = max(round(cursor) + MARGIN, RECEPTIVE_FIELD)
    pixels = np.zeros((RECEPTIVE_FIELD, width), np.uint8)
    for image, left in zip(images, lefts, strict=True):
        start, stop = max(left, 0), min(left + RECEPTIVE_FIELD, width)
        window = pixels[:, start:stop]
        np.maximum(window, image[:, start - left : stop - left], out=window)
    centers = np.array(lefts, np.float64) + RECEPTIVE_FIELD / 2
    return Strip(pixels, np.array(digits, np.int64), centers)


def random_strip(digits: DigitSet, rng: np.random.Generator, length: int, config: Config) -> Strip:
    """Compose a string of randomly chosen, undistorted digits, with the config's range of gaps."""
    chosen = rng.integers(len(digits), size=length)
    gaps = rng.uniform(config.gap_min, config.gap_max, length - 1)
    return compose(list(digits.images[chosen]), digits.labels[chosen].tolist(), gaps.tolist())


def training_strip(digits: DigitSet, rng: np.random.Generator, config: Config) -> Strip:
    """Compose a strip of exactly `config.strip_width`: distorted digits, clutter and noise."""
    size = rng.uniform(0.85, 1.15)  # of the whole string: heights are estimated, not known
    lift = rng.uniform(-config.lift, config.lift)
    tight = rng.random() < 0.5
    images, labels, gaps = [], [], []
    room = config.strip_width - 2 * MARGIN
    while room > 0:
        pick = int(rng.integers(len(digits)))
        place = np.array([[size, 0, 0], [0, size, lift + rng.normal(0, 0.7)], [0, 0, 1]])
        image = distort(digits.images[pick], rng, config, place)
        wide = not tight and rng.random() < 0.2
        gap = (
            rng.uniform(config.gap_max, 40) if wide else rng.uniform(config.gap_min, config.gap_max)
        )
        first, last = ink_columns(image)
        images.append(image)
        labels.append(int(digits.labels[pick]))
        gaps.append(float(gap))
        room -= last - first + round(gap)
    strip = compose(images, labels, gaps[:-1], lead=int(rng.integers(-8, 30)))
    width = config.strip_width
    pixels = np.zeros((RECEPTIVE_FIELD, width), np.uint8)
    shown = strip.pixels[:, :width]
    pixels[:, : shown.shape[1]] = shown
    pixels = soil(clutter(pixels, strip, rng), rng)
    return Strip(pixels, strip.digits, strip.centers)


def clutter(pixels: Image, strip: Strip, rng: np.random.Generator) -> Image:
    """Add what is written between digits and is none: dots, commas, dashes, a rule's remains."""
    marks = np.zeros_like(pixels)  # drawn apart: a faint mark must not fade the ink it crosses
    ink = int(rng.integers(150, 256))
    foot = int(rng.integers(22, 28))
    for before, after in zip(strip.centers[:-1], strip.centers[1:], strict=True):
        middle = round((before + after) / 2)
        room = after - before
        kind = rng.random()
        if room > 16 and kind < 0.12:
            cv2.circle(marks, (middle, foot), int(rng.integers(1, 3)), ink, -1, cv2.LINE_AA)
        elif room > 16 and kind < 0.2:
            cv2.line(marks, (middle, foot), (middle - 2, foot + 4), ink, 2, cv2.LINE_AA)
        elif room > 26 and kind < 0.5:
            half = int(rng.integers(3, max(4, round(room / 2) - 11)))
            y = int(rng.integers(12, 22))
            end = (middle + half, y + int(rng.integers(-2, 3)))
            cv2.line(marks, (middle - half, y), end, ink, 2, cv2.LINE_AA)
    if rng.random() < 0.15:  # a rule that normalization left, above or below
        y = int(rng.choice([rng.integers(0, 4), rng.integers(28, 32)]))
        width = pixels.shape[1]
        fall = int(rng.integers(-1, 2))
        cv2.line(marks, (0, y), (width, y + fall), int(rng.integers(40, 200)), 1, cv2.LINE_AA)
    return np.maximum(pixels, marks)


def soil(pixels: Image, rng: np.random.Generator) -> Image:
    """Fade the ink and add grain, as scanning and normalization leave them."""
    faded = pixels * rng.uniform(0.6, 1.0)
    if rng.random() < 0.5:
        faded += rng.normal(0, rng.uniform(0, 20), pixels.shape).astype(np.float32)
    return np.asarray(np.clip(faded, 0, 255), np.uint8)


def position_labels(strip: Strip, positions: int) -> npt.NDArray[np.int64]:
    """Label every position: the digit centered on it, `none`, or IGNORED in between.

    Args:
        strip: the strip and its truth.
        positions: how many windows, a stride apart, the strip has.

    Returns:
        (positions,) int64 labels.
    """
    looks_at = np.arange(positions) * STRIDE + RECEPTIVE_FIELD / 2
    labels = np.full(positions, NONE, np.int64)
    if strip.digits.size == 0:
        return labels
    distances = np.abs(looks_at[:, None] - strip.centers[None, :])  # (positions, digits)
    nearest = distances.argmin(axis=1)
    distance = distances.min(axis=1)
    labels[distance <= APART] = IGNORED
    centered = distance <= CENTERED
    labels[centered] = strip.digits[nearest[centered]]
    return labels


@dataclass(frozen=True)
class Style:
    """How a page looks; colors are RGB, 0 to 255."""

    zoom: float = 2.5  # page pixels per strip pixel
    paper: tuple[int, int, int] = (246, 244, 238)
    ink: tuple[int, int, int] = (38, 36, 48)
    grain: float = 3.0  # standard deviation of the paper's gray, in gray levels
    shade: float = 0.0  # how much darker the right end is lit, 0 to 1
    ruled: bool = False  # lines above and below the text, as forms have them
    margin: int = 10  # strip pixels of paper added above and below


def to_page(strip: Strip, style: Style, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Write a strip on paper.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    margins = ((style.margin, style.margin), (0, 0))
    ink = np.pad(strip.pixels, margins)
    size = (round(ink.shape[1] * style.zoom), round(ink.shape[0] * style.zoom))
    cover = cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    paper = np.broadcast_to(np.array(style.paper, np.float32), (size[1], size[0], 3)).copy()
    if style.ruled:
        for row in (style.margin + 1, style.margin + RECEPTIVE_FIELD - 1):
            y = round(row * style.zoom)
            cv2.line(paper, (0, y), (size[0], y), (96, 128, 176), 2, cv2.LINE_AA)
    paper += rng.normal(0, style.grain, (size[1], size[0], 1)).astype(np.float32)
    paper *= np.linspace(1, 1 - style.shade, size[0], dtype=np.float32)[None, :, None]
    lit = paper + cover[..., None] * (np.array(style.ink, np.float32) - paper)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)
