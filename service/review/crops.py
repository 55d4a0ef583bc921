"""The part of a page that a person looks at, as PNG: the digits, with what is around them."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from service.imaging.page import Gray
from service.review.sources import Sources
from service.review.table import Box, Row

AROUND = 1.5  # heights of a digit that are shown above and below
BESIDE = 4.0  # the same, left and right: digits may have been missed there
WHOLE = 0.5  # share of the page from which all of it is shown
WIDEST, HIGHEST = 2400, 1200  # pixels of a picture; larger ones are reduced
KEPT = 64  # crops in memory: those just seen, for undoing, and the next ones
TALL = 64  # pixels of a carpet's cell
CLEAR = (0.5, 60)  # percentiles of a page's levels that become black and white
PALE = 0.3  # contrast of what is beside a cell's digit
CELL_MARGIN = 0.2  # of a digit's height, around it in a cell


class Crop(NamedTuple):
    """A part of a page."""

    png: bytes
    left: float  # in the page's pixels
    top: float
    width: float
    height: float
    is_whole: bool  # whether it is all of the page


class Crops:
    """Cuts what is shown of rows from their scans.

    Args:
        sources: of the rows.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._cut = lru_cache(KEPT)(self._cut_uncached)
        self._page = lru_cache(2)(self._decode)

    def of(self, row: Row, whole: bool = False, clear: bool = False) -> Crop:
        """Return what to show of a row: its digits and what is around them, or the whole page.

        Args:
            row: of the table.
            whole: whether to show all of the page.
            clear: whether to raise the contrast, for faint pencil.

        Raises:
            InputError, MissingExtra: the page cannot be shown.
        """
        return self._cut(row, whole, clear)

    def digit(self, row: Row, position: int) -> Gray:
        """Return a square with one digit, (TALL, TALL), for a carpet; what is beside it is pale.

        Raises:
            InputError, MissingExtra: the page cannot be shown.
        """
        gray = self._page(row)
        left, top, right, bottom = row.digits[position].extent
        side = max(right - left, bottom - top, 1.0) * (1 + 2 * CELL_MARGIN)
        x, y = (left + right - side) / 2, (top + bottom - side) / 2
        scale = side / TALL
        matrix = np.array([[scale, 0, x + (scale - 1) / 2], [0, scale, y + (scale - 1) / 2]])
        paper = float(np.median(gray))
        cell = cv2.warpAffine(
            gray,
            matrix,
            (TALL, TALL),
            flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=paper,
        )
        columns = x + scale * (np.arange(TALL) + 0.5)
        beside = (columns < left) | (columns > right)
        cell[:, beside] = paper + PALE * (cell[:, beside] - paper)
        return cell.astype(np.uint8, copy=False)

    def _decode(self, row: Row) -> Gray:
        return self.sources.page(row.source, row.page, row.sha256).gray

    def _cut_uncached(self, row: Row, whole: bool, clear: bool) -> Crop:
        gray = self._page(row)
        left, top, right, bottom = (0, 0, gray.shape[1], gray.shape[0])
        if not whole and row.digits:
            left, top, right, bottom = around(row, right, bottom)
        part = gray[top:bottom, left:right]
        part = cleared(part) if clear else part
        return Crop(png_of(part), left, top, right - left, bottom - top, part.shape == gray.shape)


def around(row: Row, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box to show of a page of that size, or all of the page where most would be."""
    boxes = np.array([digit.extent for digit in row.digits])
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    left = max(int(boxes[:, 0].min() - BESIDE * tall), 0)
    top = max(int(boxes[:, 1].min() - AROUND * tall), 0)
    right = min(int(np.ceil(boxes[:, 2].max() + BESIDE * tall)), width)
    bottom = min(int(np.ceil(boxes[:, 3].max() + AROUND * tall)), height)
    if right <= left or bottom <= top or (right - left) * (bottom - top) > WHOLE * width * height:
        return 0, 0, width, height
    return left, top, right, bottom


def cleared(gray: Gray) -> Gray:
    """Return a picture whose own levels, but for a few of its pixels, reach from black to white."""
    dark, bright = np.percentile(gray, CLEAR)
    return np.interp(gray, (dark, max(bright, dark + 1)), (0, 255)).astype(np.uint8)


def png_of(gray: Gray) -> bytes:
    """Encode a picture, reduced if it is large."""
    height, width = gray.shape
    size = min(WIDEST / width, HIGHEST / height, 1.0)
    if size < 1:
        shape = max(round(width * size), 1), max(round(height * size), 1)
        gray = cv2.resize(gray, shape, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return bytes(cv2.imencode(".png", np.ascontiguousarray(gray), fast)[1].tobytes())


def extents_in(crop: Crop, row: Row) -> list[Box]:
    """Return where a row's digits are in a crop, as shares of its width and height."""
    return [
        (
            (left - crop.left) / crop.width,
            (top - crop.top) / crop.height,
            (right - crop.left) / crop.width,
            (bottom - crop.top) / crop.height,
        )
        for left, top, right, bottom in (digit.extent for digit in row.digits)
    ]
