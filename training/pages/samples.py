"""A contact sheet of made pages: each with its normalized strip and its text below."""

from collections.abc import Sequence

from PIL import Image

from service.recognition.normalize import normalize
from training.pages import contact_sheet
from training.pages.page import Page

PAGE_HEIGHT = 96  # on the sheet, pixels
STRIP_HEIGHT = 48


def draw(pages: Sequence[Page], title: str) -> Image.Image:
    """Draw pages as a contact sheet."""
    note = "page  ·  what normalization makes of it  ·  what it says"
    return contact_sheet.draw([_card(page) for page in pages], title, note)


def _card(page: Page) -> contact_sheet.Card:
    strip = normalize(page.gray).strip().pixels
    pictures = (
        contact_sheet.sized(page.gray, PAGE_HEIGHT),
        contact_sheet.sized(strip, STRIP_HEIGHT),
    )
    return contact_sheet.Card(pictures, ((page.text, contact_sheet.DIM),))
