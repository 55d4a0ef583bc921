"""A contact sheet of made pages: each with its normalised strip and its text below."""

from collections.abc import Sequence

from PIL import Image

from service.strip import normalise
from training import sheet
from training.strips import Page

PAGE_HEIGHT = 96  # on the sheet, pixels
STRIP_HEIGHT = 48


def draw(pages: Sequence[Page], title: str) -> Image.Image:
    """Draw pages as a contact sheet."""
    note = "page  ·  what normalisation makes of it  ·  what it says"
    return sheet.draw([_card(page) for page in pages], title, note)


def _card(page: Page) -> sheet.Card:
    strip = normalise(page.gray).strip().pixels
    pictures = (sheet.sized(page.gray, PAGE_HEIGHT), sheet.sized(strip, STRIP_HEIGHT))
    return sheet.Card(pictures, ((page.text, sheet.DIM),))
