"""The pages of an encoded image or document, decoded one at a time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Lock
from typing import Any

import numpy as np

from service.errors import DamagedImage, EmptyImage, NoSuchPage, TooManyPixels
from service.extras import needs
from service.imaging.decode import count_pages
from service.imaging.limits import Limits
from service.imaging.page import Gray

PDF = b"%PDF-"
TIFF = (b"II", b"MM")
DPI = 300  # dots an inch that a PDF's page is drawn at
POINTS = 72  # of a PDF, an inch

MOST_BYTES = 2**30  # of a PDF
_PDFIUM = Lock()  # it is not for several threads

Content = bytes | Gray  # what a reader is given of a page: its file, or its gray levels


def most_bytes(name: str, limits: Limits) -> int:
    """Return how many bytes a file of that name may have."""
    return MOST_BYTES if name.lower().endswith(".pdf") else limits.max_bytes


class Document:
    """An encoded image or a PDF, whose pages can be asked for.

    A PDF may have any number of pages and be larger than an image: what is decoded at a time is
    one page, and that is bounded as an image is.

    Args:
        encoded: the bytes of the whole.
        limits: how large it may be.
        dpi: dots an inch that a PDF's pages are drawn at.

    Raises:
        InputError: the bytes are neither, or more than allowed.
    """

    def __init__(self, encoded: bytes, limits: Limits, dpi: int = DPI) -> None:
        self.encoded = encoded
        self.limits = limits
        self.dpi = dpi
        self.is_pdf = encoded[:1024].lstrip().startswith(PDF)
        self.pages = self._count()

    def page(self, number: int) -> tuple[Content, int]:
        """Return what a reader is given for a page, and which page of that it reads.

        Raises:
            InputError: there is no such page, or it cannot be drawn.
        """
        if not self.is_pdf:
            return self.encoded, number
        if number >= self.pages:
            raise NoSuchPage(
                f"page {number} was asked for; the document's pages are 0 to {self.pages - 1}",
                "image.page",
            )
        return self._draw(number), 0

    def _count(self) -> int:
        if self.encoded[:2] in TIFF:
            return count_pages(self.encoded, self.limits)
        if not self.is_pdf:  # one page, or none that can be read: decoding it will say
            return 1
        with _opened(self.encoded) as pdf:
            pages = len(pdf)
        if pages == 0:
            raise EmptyImage("the PDF has no pages", "image.encoded")
        return pages

    def _draw(self, number: int) -> Gray:
        with _opened(self.encoded) as pdf, closing(pdf[number]) as page:
            scale = self.dpi / POINTS
            width, height = (round(size * scale) for size in page.get_size())
            if width * height > self.limits.max_pixels or width > self.limits.max_width:
                raise TooManyPixels(
                    f"the page has {width:,}×{height:,} = {width * height:,} pixels at "
                    f"{self.dpi} dots an inch; at most {self.limits.max_pixels:,} are allowed",
                    "image.encoded",
                )
            with closing(page.render(scale=scale, grayscale=True)) as bitmap:
                return np.array(bitmap.to_numpy()).reshape(bitmap.height, bitmap.width)


@contextmanager
def _opened(encoded: bytes) -> Iterator[Any]:
    with needs("batch", "PDF documents need pypdfium2"):
        import pypdfium2
    try:
        with _PDFIUM, closing(pypdfium2.PdfDocument(encoded)) as pdf:
            yield pdf
    except pypdfium2.PdfiumError as error:
        raise DamagedImage(
            f"the PDF is damaged, or locked with a password: {error}", "image.encoded"
        ) from error
