"""The line, cut from the page and scaled to the network's height."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.levels import counted_quantile
from service.imaging.page import Gray
from service.recognition.normalize.line import DIGIT_HEIGHT, Band, Line, WorkingPage
from service.recognition.normalize.pieces import pieces
from service.recognition.normalize.polarity import Polarity
from service.recognition.views import FIELD, MARGIN

FULL = 0.7  # quantile of the ink's levels that is drawn at full brightness
MOST_ENLARGEMENT = 4  # of a page; digits of fewer than 5 pixels cannot be read anyway
LEVELS = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True)
class Cut:
    """The band of a page, scaled to the digits' height; the page's ink is not needed any more."""

    pixels: npt.NDArray[np.uint8]  # (FIELD, width), gray levels above the background
    scale_x: float  # pixels per one of the page
    scale_y: float
    top: float  # row of the page that is the first of these

    def line(
        self, gray: Gray, page: WorkingPage, polarity: Polarity, top: float, bottom: float
    ) -> Line:
        """Scale the ink to full brightness, in place, and say where the line lies in the image.

        Args:
            gray: the source image.
            page: that the band was cut from.
            polarity: of the image's ink.
            top: of the band on the page.
            bottom: the same.
        """
        to_source = page.to_source
        shrunk_x, shrunk_y = 1 / to_source[0, 0], 1 / to_source[1, 1]
        fall = float(to_source[1, 0] * shrunk_x)  # source rows per source column
        offset = float(to_source[1, 2])  # of the page's upper left corner in the source image
        sunk = offset + fall * gray.shape[1] / 2  # the same, of its middle column
        return Line(
            pixels=stretch(self.pixels),
            polarity=polarity,
            band=Band(top / shrunk_y + sunk, bottom / shrunk_y + sunk),
            skew=fall,
            scale_x=self.scale_x * shrunk_x,
            scale_y=self.scale_y * shrunk_y,
            origin_x=-MARGIN / (self.scale_x * shrunk_x),
            origin_y=self.top / shrunk_y + offset,
            source_width=gray.shape[1],
            source_height=gray.shape[0],
            page=page,
        )


def cut(ink: Gray, top: float, bottom: float) -> Cut:
    """Scale a band of rows to the digits' height, and set it in the middle of a line."""
    height, width = ink.shape
    scale = min(DIGIT_HEIGHT / max(bottom - top, 1), MOST_ENLARGEMENT)
    middle, reach = (top + bottom) / 2, FIELD / 2 / scale
    first, last = max(math.floor(middle - reach), 0), min(math.ceil(middle + reach) + 1, height)
    size = (max(round(width * scale), 1), max(round((last - first) * scale), 1))
    scale_x, scale_y = size[0] / width, size[1] / (last - first)
    above = round((middle - first) * scale_y - FIELD / 2)  # rows cut off; added, if negative
    # All that is scaled, with the rows that are cut off: scaled elsewhere, it would be held twice.
    begin, end = min(above, 0), max(above + FIELD, size[1])
    whole = np.zeros((end - begin, size[0] + 2 * MARGIN), np.uint8)
    scaled = whole[-begin : size[1] - begin, MARGIN:-MARGIN]
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cv2.resize(ink[first:last], size, dst=scaled, interpolation=kind)
    return Cut(whole[above - begin :][:FIELD], scale_x, scale_y, first + above / scale_y)


def stretch(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Map the paper's grain to 0 and the ink's own level to 255, in place."""
    counts = np.zeros(256, np.intp)
    for _, _, piece in pieces(pixels, 0):
        part = cv2.calcHist([pixels[:, piece]], [0], None, [256], [0, 256])
        counts += part.ravel().astype(np.intp)
    if not counts[1:].any():
        return pixels
    lit = np.repeat(LEVELS[1:], counts[1:])  # the same pixels, by level
    threshold, _ = cv2.threshold(lit, 0, 255, cv2.THRESH_OTSU, dst=lit)
    counts[: int(threshold) + 1] = 0
    full = counted_quantile(counts, FULL) if counts.any() else float(threshold)
    floor = 0.35 * float(threshold)
    # A table of all levels: the line in floats would take several times as much memory.
    stretched = (LEVELS.astype(np.float32) - floor) * (255 / max(full - floor, 1))
    table = np.asarray(np.clip(stretched, 0, 255), np.uint8)
    return np.asarray(cv2.LUT(pixels, table, dst=pixels), np.uint8)
