"""A contact sheet: cards, each of pictures with lines of text below, set in rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
from PIL import Image, ImageDraw, ImageFont

from service.imaging.page import Gray

WIDTH = 1600  # of the sheet, pixels, as everything below
EDGE = 32
GUTTER = 24  # between cards, at least
HEADER = 84
LINE = 22  # from one line of text to the next
CAPTION = 6  # between a card's pictures and its text

NIGHT, INK, DIM, WRONG = (16, 19, 26), (236, 240, 246), (122, 133, 152), (255, 138, 122)

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Card:
    """Pictures, one below the other, and lines of text in their colors."""

    pictures: tuple[Image.Image, ...]
    lines: tuple[tuple[str, Color], ...]

    @property
    def width(self) -> int:
        """The card's width, pixels."""
        texts = [round(font(16).getlength(text)) for text, _ in self.lines]
        return max(*texts, *(picture.width for picture in self.pictures))

    @property
    def height(self) -> int:
        """The card's height, pixels."""
        pictures = sum(picture.height for picture in self.pictures)
        return pictures + CAPTION + LINE * len(self.lines)


def draw(cards: Sequence[Card], title: str, note: str) -> Image.Image:
    """Draw cards in rows, as text is set: both edges even, but for the last row's right one."""
    rows = list(_rows(cards))
    heights = [max(card.height for card in row) for row in rows]
    height = HEADER + sum(heights) + GUTTER * max(len(rows) - 1, 0) + EDGE
    sheet = Image.new("RGB", (WIDTH, height), NIGHT)
    canvas = ImageDraw.Draw(sheet)
    canvas.text((EDGE, HEADER / 2), title, INK, font(24), "lm")
    canvas.text((WIDTH - EDGE, HEADER / 2), note, DIM, font(16), "rm")
    top = HEADER
    for row, tall in zip(rows, heights, strict=True):
        spare = WIDTH - 2 * EDGE - sum(card.width for card in row)
        last = row is rows[-1]
        gap = GUTTER if last or len(row) == 1 else spare / (len(row) - 1)
        left = float(EDGE)
        for card in row:
            _set(sheet, card, round(left), top)
            left += card.width + gap
        top += tall + GUTTER
    return sheet


def sized(gray: Gray, height: int, width: int = WIDTH - 2 * EDGE) -> Image.Image:
    """Zoom to a height, but not beyond a width."""
    zoom = min(height / gray.shape[0], width / gray.shape[1])
    size = (max(round(gray.shape[1] * zoom), 1), max(round(gray.shape[0] * zoom), 1))
    kind = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    return Image.fromarray(cv2.resize(gray, size, interpolation=kind)).convert("RGB")


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which needs no file."""
    return ImageFont.load_default(size)


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


def _set(sheet: Image.Image, card: Card, left: int, top: int) -> None:
    """Put a card on the sheet."""
    for picture in card.pictures:
        sheet.paste(picture, (left, top))
        top += picture.height
    canvas = ImageDraw.Draw(sheet)
    for number, (text, color) in enumerate(card.lines):
        middle = top + CAPTION + LINE * (number + 0.5)
        canvas.text((left, middle), text, color, font(16), "lm")
