"""Digits to whole strips and pages with their truth, as a scanner would see them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.views import MARGIN
from training.config import Config, StripConfig
from training.data.digits import DigitSet
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE
from training.pages import paper, stroke_effects
from training.pages.augment import APART, CENTERED, Image, distort, ink_columns
from training.pages.cuttings import Cuttings, set_line, written_over
from training.pages.glyphs import Strokes
from training.pages.writing import Line, lone_marks, random_text, write

CELL_SHARE = (0.33, 0.74)  # of a cell's height that digits take
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


@dataclass(frozen=True)
class Page:
    """A made page, and what it says."""

    gray: npt.NDArray[np.uint8]  # (height, width)
    text: str


def random_page(
    digits: DigitSet, rng: np.random.Generator, config: StripConfig, text: str | None = None
) -> Page:
    """Write a string on paper and scan it: a page as `normalize` is given them.

    Args:
        digits: the digits whose strokes are traced, of all ten classes.
        rng: decides everything.
        config: which effects there are, and how often.
        text: what to write; None chooses as people fill in fields.
    """
    lone = text is None and rng.random() < config.lone
    if lone:
        text, line = "", lone_marks(rng, config)
    else:
        text = random_text(rng, config) if text is None else text
        line = write(text or "0", digits, rng, config)
    height = rng.uniform(*config.height)
    if rng.random() < config.cell:
        strokes, shape, (top, bottom), height = in_cell(line, rng, config)
    else:
        strokes, shape, (top, bottom) = crop(line, height, rng, config)
    if rng.random() < config.cut_off:
        shape, (top, bottom), strokes = cut_off(strokes, shape, (top, bottom), rng)
    if not text and not lone:
        strokes = []
    pen = max(height * rng.uniform(*config.pen), 1.3)
    cover = stroke_effects.ink(strokes, shape, paper.pen_width(shape, pen, rng, config.pressure))
    if rng.random() < config.ghost:
        cover = with_ghost(cover, height, rng)
    return Page(on_paper(cover, (top, bottom), rng, config), text)


def on_paper(
    cover: npt.NDArray[np.float32],
    rows: tuple[float, float],
    rng: np.random.Generator,
    config: StripConfig,
) -> npt.NDArray[np.uint8]:
    """Lay ink on printed paper and scan it.

    Args:
        cover: (height, width) float32, the share of each pixel that is inked.
        rows: between which the digits stand.
        rng: decides everything.
        config: which effects there are, and how often.
    """
    page = paper.sheet(cover.shape, rng, config.dark, config.white)
    page = paper.guilloche(page, rng, config.guilloche)
    page = paper.texture(page, rng, config.texture)
    page = paper.rules(page, rng, config.rules, *rows)
    page = paper.box(page, rng, config.box)
    page = paper.frame(page, rng, config.frame, upright=rows[1] - rows[0] < 0.5 * len(page))
    page = paper.fold(page, rng, config.fold)
    page = paper.print_marks(page, rng, config.print_marks)
    page = paper.lay_ink(page, cover, rng, config.pressure, config.faint, config.washed)
    page = paper.light(page, rng, config.light)
    return paper.scan(page, rng, config)


def with_ghost(
    cover: npt.NDArray[np.float32], height: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Lay faint ink beside a line: what was erased, or shows through from the other side.

    Args:
        cover: (height, width) float32, the share of each pixel that is inked.
        height: of the digits, pixels.
        rng: decides where and how faint.
    """
    inked = np.flatnonzero(cover.any(axis=0))
    if not len(inked):
        return cover
    gap, room = rng.uniform((0.1, 0.3), (0.6, 2.5)) * height
    first = inked[-1] + 1 + round(gap)
    wide = np.pad(cover, ((0, 0), (0, max(first + round(room) - cover.shape[1], 0))))
    ink = cover[:, inked[0] : inked[-1] + 1]
    faint = ink[:, ::-1] if rng.random() < 0.5 else ink  # from the other side, or erased
    faint = faint[:, : wide.shape[1] - first] * np.float32(rng.uniform(0.08, 0.3))
    faint = np.asarray(cv2.GaussianBlur(faint, (0, 0), rng.uniform(0.5, 2)), np.float32)
    place = wide[:, first : first + faint.shape[1]]
    np.maximum(place, faint, out=place)
    return wide


def cut_page(cuttings: Cuttings, rng: np.random.Generator, config: StripConfig) -> Page:
    """Set a string from cuttings on paper and scan it.

    Args:
        cuttings: digits of all ten classes.
        rng: decides everything.
        config: as of `random_page`; what belongs to the pen does not apply.
    """
    text = random_text(rng, replace(config, blank=0))
    cover = written_over(set_line(text, cuttings, rng, config), rng, 0.3)
    in_a_cell = rng.random() < config.cell
    height = rng.uniform(*config.height)
    page_height = cell_height(rng)
    if in_a_cell:
        height = page_height * rng.uniform(*CELL_SHARE)
    width = max(round(cover.shape[1] * height / cover.shape[0]), 3)
    kind = cv2.INTER_AREA if height < cover.shape[0] else cv2.INTER_CUBIC
    scaled = cv2.resize(cover, (width, max(round(height), 6)), interpolation=kind)
    cover = np.clip(np.asarray(scaled, np.float32), 0, 1)
    above, below, before, after = rng.uniform(*config.margins, 4) * height
    if in_a_cell:
        above = (page_height - height) * rng.uniform(0, 1)
        below = page_height - height - above
        before, after = rng.uniform(0.05, 0.8, 2) * page_height
    elif rng.random() < config.tight:
        (before, after), (above, below) = rng.uniform(0, 4, 2), rng.uniform(0, 7, 2)
    if rng.random() < config.cut_off:
        cover, below = cover[: round(len(cover) * rng.uniform(0.76, 1))], 0.0
    margins = ((int(above), int(below)), (int(before), int(after)))
    rows = (above, above + len(cover))
    return Page(on_paper(np.pad(cover, margins), rows, rng, config), text)


def make_pages(digits: DigitSet, seed: int, count: int, config: StripConfig) -> list[Page]:
    """Return the first pages of a seed; how many are asked for changes none of them."""
    return [random_page(digits, np.random.default_rng([seed, n]), config) for n in range(count)]


def crop(
    line: Line, height: float, rng: np.random.Generator, config: StripConfig
) -> tuple[list[Strokes], tuple[int, int], tuple[float, float]]:
    """Cut a page round a line: tight, so that ends are lost, or loose.

    Returns:
        All strokes in pixels of the page, its (height, width), and the rows between which the
        digits stand.
    """
    left, top, right, bottom = (edge * height for edge in line.box(others=False))
    outer_left, _, outer_right, _ = (edge * height for edge in line.box(others=True))
    strokes = [*line.digits, *line.others]
    if rng.random() < config.stranger:
        strokes += stranger(line, rng)
    # What stands beside the digits is on the page, on most of them.
    if rng.random() < 0.85:
        left, right = outer_left, outer_right
    before, above, after, below = rng.uniform(*config.margins, 4) * height
    if rng.random() < config.tight:
        before, after = rng.uniform(-3, 4, 2)
        above, below = rng.uniform(0, 7, 2)
    origin = np.array([left - before, top - above], np.float32)
    shape = (
        max(round(bottom + below - origin[1]), 8),
        max(round(right + after - origin[0]), round(0.4 * height)),
    )
    on_page = [part * np.float32(height) - origin for part in strokes]
    return on_page, shape, (top - float(origin[1]), bottom - float(origin[1]))


def cell_height(rng: np.random.Generator) -> float:
    """Return the height, in pixels, of a cell as a phone's photograph of a whole page leaves it."""
    return 34.0 if rng.random() < 0.6 else rng.uniform(26, 64)


def in_cell(
    line: Line, rng: np.random.Generator, config: StripConfig
) -> tuple[list[Strokes], tuple[int, int], tuple[float, float], float]:
    """Set a line in a form's cell, anywhere in it; the crop is as high as a phone leaves it.

    Returns:
        What `crop` returns, and the digits' height in pixels.
    """
    page_height = cell_height(rng)
    tall = rng.uniform(*CELL_SHARE) if rng.random() < 0.85 else rng.uniform(0.24, 0.36)
    height = page_height * tall
    left, top, right, bottom = (edge * height for edge in line.box(others=False))
    outer_left, _, outer_right, _ = (edge * height for edge in line.box(others=True))
    strokes = [*line.digits, *line.others]
    if rng.random() < config.stranger:
        strokes += stranger(line, rng)
    if rng.random() < 0.8:
        left, right = outer_left, outer_right
    before, after = rng.uniform(0.03, 0.8, 2) * page_height
    if rng.random() < 0.12:  # the crop cuts into the first digit or the last
        before, after = rng.uniform(-1.5, 4, 2)
    above = (page_height - (bottom - top)) * rng.uniform(0.08, 0.92)
    origin = np.array([left - before, top - above], np.float32)
    shape = (round(page_height), round(max(right - left + before + after, 0.5 * page_height)))
    on_page = [part * np.float32(height) - origin for part in strokes]
    return on_page, shape, (above, above + bottom - top), height


def cut_off(
    strokes: Sequence[Strokes],
    shape: tuple[int, int],
    rows: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[tuple[int, int], tuple[float, float], list[Strokes]]:
    """Move a page's writing so far down, or up, that a part of the digits is lost."""
    top, bottom = rows
    lost = rng.uniform(0, 0.24) * (bottom - top)
    down = shape[0] - bottom + lost if rng.random() < 0.7 else -top - lost
    moved = [part + np.array([0, down], np.float32) for part in strokes]
    return shape, (top + down, bottom + down), moved


def stranger(line: Line, rng: np.random.Generator) -> list[Strokes]:
    """Return strokes of a line above or below, which a page shows half of at most."""
    left, top, right, bottom = line.box(others=False)
    away = (top if rng.random() < 0.5 else bottom + (bottom - top)) + rng.uniform(-0.1, 0.1)
    order = rng.permutation(len(line.digits))[: int(rng.integers(1, 4))]
    return [
        line.digits[index]
        - line.digits[index].reshape(-1, 2).min(axis=0) * np.array([1, 0], np.float32)
        + np.array([rng.uniform(left, right), away], np.float32)
        for index in order
    ]
