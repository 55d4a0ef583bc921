"""The line, cut from the page and scaled to the network's height."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.levels import quantile
from service.imaging.page import Gray
from service.recognition.normalize.line import DIGIT_HEIGHT, Band, Line, WorkingPage
from service.recognition.normalize.polarity import Polarity
from service.recognition.views import FIELD, MARGIN

FULL = 0.7  # quantile of the ink's levels that is drawn at full brightness
MOST_ENLARGEMENT = 4  # of a page; digits of fewer than 5 pixels cannot be read anyway


def cut(
    gray: Gray, ink: Gray, page: WorkingPage, polarity: Polarity, top: float, bottom: float
) -> Line:
    """Scale the band to the digits' height, the ink to full brightness, and set it in a line."""
    height, width = ink.shape
    scale = min(DIGIT_HEIGHT / max(bottom - top, 1), MOST_ENLARGEMENT)
    middle, reach = (top + bottom) / 2, FIELD / 2 / scale
    first, last = max(math.floor(middle - reach), 0), min(math.ceil(middle + reach) + 1, height)
    size = (max(round(width * scale), 1), max(round((last - first) * scale), 1))
    scaled = cv2.resize(
        ink[first:last], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    scale_x, scale_y = size[0] / width, size[1] / (last - first)
    above = round((middle - first) * scale_y - FIELD / 2)  # rows cut off; added, if negative
    pixels = np.zeros((FIELD, size[0] + 2 * MARGIN), np.uint8)
    upper, lower = max(above, 0), min(above + FIELD, size[1])
    pixels[upper - above : lower - above, MARGIN:-MARGIN] = scaled[upper:lower]
    to_source = page.to_source
    shrunk_x, shrunk_y = 1 / to_source[0, 0], 1 / to_source[1, 1]
    fall = float(to_source[1, 0] * shrunk_x)  # source rows per source column
    offset = float(to_source[1, 2])  # of the page's upper left corner in the source image
    sunk = offset + fall * gray.shape[1] / 2  # the same, of its middle column
    return Line(
        pixels=stretch(pixels),
        polarity=polarity,
        band=Band(top / shrunk_y + sunk, bottom / shrunk_y + sunk),
        skew=fall,
        scale_x=scale_x * shrunk_x,
        scale_y=scale_y * shrunk_y,
        origin_x=-MARGIN / (scale_x * shrunk_x),
        origin_y=(first + above / scale_y) / shrunk_y + offset,
        source_width=gray.shape[1],
        source_height=gray.shape[0],
        page=page,
    )


def stretch(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Map the paper's grain to 0 and the ink's own level to 255."""
    lit = pixels[pixels > 0]
    if lit.size == 0:
        return pixels
    threshold, _ = cv2.threshold(lit, 0, 255, cv2.THRESH_OTSU)
    strong = lit[lit > threshold]
    full = quantile(strong, FULL) if strong.size else float(threshold)
    floor = 0.35 * float(threshold)
    # A table of all levels: the line in floats would take several times as much memory.
    stretched = (np.arange(256, dtype=np.float32) - floor) * (255 / max(full - floor, 1))
    table = np.asarray(np.clip(stretched, 0, 255), np.uint8)
    return np.asarray(cv2.LUT(pixels, table), np.uint8)
