"""The pages of an encoded image or document, decoded one at a time."""

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from service.errors import DamagedImage, EmptyImage, NoSuchPage, TooManyPixels
from service.extras import needs
from service.imaging.decode import count_pages
from service.imaging.limits import RAISED, Limits
from service.imaging.page import Gray

PDF = b"%PDF-"
TIFF = (b"II", b"MM")
DPI = 300  # dots an inch that a PDF's page is drawn at
POINTS = 72  # of a PDF, an inch

MAX_PDF_BYTES = 2**30
MAGIC_BYTES = 1024  # from the start of a file, in which a PDF says that it is one
_PDFIUM = Lock()  # PDFium is not thread-safe

Content = bytes | Gray  # what a page is read from: its file, or its gray levels


def max_bytes_of(name: str, limits: Limits) -> int:
    """Return how many bytes a file of that name may have."""
    return MAX_PDF_BYTES if name.lower().endswith(".pdf") else limits.max_bytes


class Document:
    """An encoded image or a PDF, page by page.

    A PDF may have any number of pages and be larger than an image: one page is decoded at a time,
    and that is bounded as an image is.

    Args:
        encoded: the bytes of the whole, or a file with them.
        limits: how large it may be.
        dpi: dots an inch that a PDF's pages are drawn at.

    Raises:
        InputError: the bytes are neither, or more than allowed.
    """

    def __init__(self, encoded: bytes | BinaryIO, limits: Limits, dpi: int = DPI) -> None:
        self.encoded = encoded
        self.limits = limits
        self.dpi = dpi
        self.is_pdf = is_pdf(start_of(encoded))
        self.pages = self._count()

    def page(self, number: int) -> tuple[Content, int]:
        """Return what a page, from 0, is read from, and which page of that it is.

        Raises:
            InputError: there is no such page, or it cannot be drawn.
        """
        if isinstance(self.encoded, bytes) and not self.is_pdf:
            return self.encoded, number
        if number >= self.pages:
            raise no_such_page(number, self.pages)
        return self._draw(number), 0

    def _count(self) -> int:
        if isinstance(self.encoded, bytes) and not self.is_pdf:
            if self.encoded[:2] in TIFF:
                return count_pages(self.encoded, self.limits)
            return 1  # one page, or none that can be read: decoding it will say
        with opened_pdf(self.encoded) as pdf:
            pages = len(pdf)
        if pages == 0:
            raise EmptyImage("the PDF has no pages", "image.encoded")
        return pages

    def _draw(self, number: int) -> Gray:
        with opened_pdf(self.encoded) as pdf, closing(pdf[number]) as page:
            scale = self.dpi / POINTS
            width, height = (round(size * scale) for size in size_of(page, number))
            if width * height > self.limits.max_pixels or width > self.limits.max_width:
                raise TooManyPixels(
                    f"the page has {width:,}×{height:,} = {width * height:,} pixels at "
                    f"{self.dpi} dots an inch; at most {self.limits.max_pixels:,} are allowed; "
                    f"{RAISED['max_pixels']}, or draw it with fewer --dpi",
                    "image.encoded",
                )
            with closing(page.render(scale=scale, grayscale=True)) as bitmap:
                return np.array(bitmap.to_numpy()).reshape(bitmap.height, bitmap.width)


def start_of(encoded: bytes | BinaryIO) -> bytes:
    """Return the first bytes of an encoded image or document."""
    if isinstance(encoded, bytes):
        return encoded[:MAGIC_BYTES]
    encoded.seek(0)
    return encoded.read(MAGIC_BYTES)


def is_pdf(start: bytes) -> bool:
    """Whether the first bytes are those of a PDF."""
    return start[:MAGIC_BYTES].lstrip().startswith(PDF)


def no_such_page(number: int, pages: int) -> NoSuchPage:
    """Return the error of a page, from 0, that a document does not have; people count from 1."""
    there = f"its pages are 1 to {pages}" if pages > 1 else "there is one page"
    return NoSuchPage(f"page {number + 1} was requested; {there}", "image.page")


def size_of(page: Any, number: int) -> tuple[float, float]:  # noqa: ANN401 - pypdfium2 has no types
    """Return the width and the height of a PDF's page, from 0, as it shows: points.

    Raises:
        DamagedImage: they are no lengths.
    """
    width, height = page.get_size()
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise DamagedImage(
            f"page {number + 1} of the PDF is {width:g}×{height:g} points large; expected more "
            "than 0",
            "image.encoded",
        )
    return width, height


@contextmanager
def opened_pdf(encoded: bytes | BinaryIO) -> Iterator[Any]:  # pypdfium2 has no types
    """Open a PDF; one at a time.

    Raises:
        DamagedImage: it cannot be opened.
        MissingExtra: pypdfium2 is not installed.
    """
    with needs("batch", "PDF documents need pypdfium2"):
        import pypdfium2
    try:
        with _PDFIUM, closing(pypdfium2.PdfDocument(encoded)) as pdf:
            yield pdf
    except pypdfium2.PdfiumError as error:
        raise DamagedImage(
            f"the PDF is damaged, or locked with a password: {error}", "image.encoded"
        ) from error
