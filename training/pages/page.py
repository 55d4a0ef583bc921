"""Strings written on paper and scanned: made pages with their truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from training.config import StripConfig
from training.data.digits import DigitSet
from training.pages import paper, stroke_effects
from training.pages.cuttings import Cuttings, set_line, written_over
from training.pages.glyphs import Strokes
from training.pages.writing import Line, lone_marks, random_text, write

CELL_SHARE = (0.33, 0.74)  # of a cell's height that digits take


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
