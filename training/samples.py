"""A contact sheet of made pages: each with its normalised strip and its text below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from service.strip import normalise
from training.config import StripConfig
from training.dataset import DigitSet
from training.strips import Page, random_page

WIDTH = 1600  # of the picture, pixels, as everything below
EDGE = 32
GUTTER = 24  # between cards, at least
HEADER = 84
PAGE_HEIGHT = 96
STRIP_HEIGHT = 48
TEXT_HEIGHT = 30
CARD_HEIGHT = PAGE_HEIGHT + STRIP_HEIGHT + TEXT_HEIGHT
NARROWEST = 64  # so that a short page's text has room

NIGHT, INK, DIM = (16, 19, 26), (236, 240, 246), (122, 133, 152)


@dataclass(frozen=True)
class Card:
    """A page and its strip at the size that the sheet shows them."""

    page: Image.Image
    strip: Image.Image
    text: str

    @property
    def width(self) -> int:
        """The card's width, pixels."""
        return max(self.page.width, self.strip.width, NARROWEST)


def make_pages(digits: DigitSet, seed: int, count: int, config: StripConfig) -> list[Page]:
    """Return the first pages of a seed; how many are asked for changes none of them."""
    return [random_page(digits, np.random.default_rng([seed, n]), config) for n in range(count)]


def draw(pages: Sequence[Page], title: str) -> Image.Image:
    """Draw pages in rows, as text is set: both edges even, but for the last row's right one."""
    rows = list(_rows([_card(page) for page in pages]))
    height = HEADER + len(rows) * (CARD_HEIGHT + GUTTER) + EDGE - GUTTER
    picture = Image.new("RGB", (WIDTH, height), NIGHT)
    canvas = ImageDraw.Draw(picture)
    canvas.text((EDGE, HEADER / 2), title, INK, _font(24), "lm")
    note = "page  ·  what normalisation makes of it  ·  what it says"
    canvas.text((WIDTH - EDGE, HEADER / 2), note, DIM, _font(16), "rm")
    for index, row in enumerate(rows):
        top = HEADER + index * (CARD_HEIGHT + GUTTER)
        spare = WIDTH - 2 * EDGE - sum(card.width for card in row)
        last = index == len(rows) - 1
        gap = GUTTER if last or len(row) == 1 else spare / (len(row) - 1)
        left = float(EDGE)
        for card in row:
            at = round(left)
            picture.paste(card.page, (at, top))
            picture.paste(card.strip, (at, top + PAGE_HEIGHT))
            y = top + PAGE_HEIGHT + STRIP_HEIGHT + TEXT_HEIGHT / 2
            canvas.text((at, y), card.text, DIM, _font(16), "lm")
            left += card.width + gap
    return picture


def _rows(cards: Sequence[Card]) -> Iterator[list[Card]]:
    """Yield as many cards at a time as have room side by side."""
    row: list[Card] = []
    for card in cards:
        taken = sum(other.width + GUTTER for other in row)
        if row and taken + card.width > WIDTH - 2 * EDGE:
            yield row
            row = []
        row.append(card)
    if row:
        yield row


def _card(page: Page) -> Card:
    strip = normalise(page.gray).strip().pixels
    return Card(_sized(page.gray, PAGE_HEIGHT), _sized(strip, STRIP_HEIGHT), page.text)


def _sized(gray: npt.NDArray[np.uint8], height: int) -> Image.Image:
    """Zoom to a height, but not beyond the sheet's width."""
    zoom = min(height / gray.shape[0], (WIDTH - 2 * EDGE) / gray.shape[1])
    size = (max(round(gray.shape[1] * zoom), 1), max(round(gray.shape[0] * zoom), 1))
    kind = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    sized = np.asarray(cv2.resize(gray, size, interpolation=kind), np.uint8)
    return Image.fromarray(sized).convert("RGB")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
