"""Gray pages to strips: polarity, background, rules, the band of the text, and its height.

A strip is what the network was trained on: 32 pixels high, ink bright on 0, the digits about
20 pixels high in the middle, like MNIST's in their windows (LeCun et al. 1998, section III.A).
Training imports its numbers and its functions.
"""

import math
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from service.image import Gray

HEIGHT = 32  # of a strip, pixels
DIGIT_HEIGHT = 20  # that the text's band is scaled to, pixels
MARGIN = HEIGHT // 2  # empty columns at each end, so that an end digit can be centred

INK = 64  # gray level of a strip from which a pixel counts as ink
WORKING_HEIGHT = 192  # larger pages are shrunk to this before anything is looked for
PIECE = 16_384  # columns whose components are found at once
MOST_ENLARGEMENT = 4  # of a page; digits of fewer than 5 pixels cannot be read anyway
LEAST_CONTRAST = 12  # gray levels between ink and paper, below which a page is blank

Mask = npt.NDArray[np.bool_]


class Polarity(Enum):
    """Which of ink and paper is darker."""

    DARK_ON_LIGHT = "dark on light"
    LIGHT_ON_DARK = "light on dark"


@dataclass(frozen=True)
class Band:
    """The rows between which the text stands, in pixels of the source image."""

    top: float
    bottom: float


@dataclass(frozen=True)
class Box:
    """A rectangle in the source image, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Strip:
    """A normalised strip, and the map from its pixels back to the source image's.

    Coordinates are continuous: pixel i covers i to i + 1, its centre is at i + 0.5.
    """

    pixels: npt.NDArray[np.uint8]  # (32, width), ink bright on 0
    polarity: Polarity
    band: Band
    scale_x: float  # strip pixels per source pixel
    scale_y: float
    origin_x: float  # of the strip's left edge in the source image, pixels
    origin_y: float  # of the strip's top edge
    source_width: int
    source_height: int

    def source_x(self, x: float) -> float:
        """Return the source image's column of a column of the strip."""
        return self.origin_x + x / self.scale_x

    def source_y(self, y: float) -> float:
        """Return the source image's row of a row of the strip."""
        return self.origin_y + y / self.scale_y

    def ink_box(self, left: float, right: float) -> Box:
        """Return the box round the ink between two columns of the strip.

        Without ink there, the box is the columns' whole height of text.
        """
        first, last = max(math.floor(left), 0), min(math.ceil(right), self.pixels.shape[1])
        ink = self.pixels[:, first:last] >= INK
        columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
        if columns.size:
            left, right = first + columns[0], first + columns[-1] + 1
            top, bottom = float(rows[0]), float(rows[-1] + 1)
        else:
            top, bottom = (HEIGHT - DIGIT_HEIGHT) / 2, (HEIGHT + DIGIT_HEIGHT) / 2
        return Box(
            left=min(max(self.source_x(left), 0), self.source_width),
            top=min(max(self.source_y(top), 0), self.source_height),
            right=min(max(self.source_x(right), 0), self.source_width),
            bottom=min(max(self.source_y(bottom), 0), self.source_height),
        )


def normalise(gray: Gray) -> Strip:
    """Find the ink of a page, the band of its text, and scale that to the network's height.

    Args:
        gray: (height, width) uint8 of any size but zero.

    Returns:
        The strip. A page without ink gives a strip of zeros whose band is the whole page.
    """
    page = shrink(gray)
    polarity = find_polarity(page)
    bright = 255 - page if polarity is Polarity.DARK_ON_LIGHT else page
    ink = remove_background(bright)
    mask = find_ink(ink)
    if not mask.any():
        top, bottom = 0.0, float(page.shape[0])
        ink = np.zeros_like(ink)
    else:
        rules = find_rules(mask)
        ink, mask = np.where(rules, np.uint8(0), ink), mask & ~rules
        top, bottom = find_band(mask)
    return cut(gray, ink, polarity, top, bottom)


def shrink(gray: Gray) -> Gray:
    """Shrink a page to the working height, if it is higher."""
    height, width = gray.shape
    if height <= WORKING_HEIGHT:
        return gray
    size = (max(round(width * WORKING_HEIGHT / height), 1), WORKING_HEIGHT)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def find_polarity(page: Gray) -> Polarity:
    """Tell dark ink from light: the stronger extremes, against their surroundings, are ink.

    That is the sign of the skewness, which a gradient of the lighting does not move.
    """
    side = max(page.shape[0] * 2 // 3, 3)
    surroundings = cv2.blur(page, (side, side), borderType=cv2.BORDER_REFLECT)
    darker = third_moment(cv2.subtract(surroundings, page))
    lighter = third_moment(cv2.subtract(page, surroundings))
    return Polarity.DARK_ON_LIGHT if darker >= lighter else Polarity.LIGHT_ON_DARK


def third_moment(levels: npt.NDArray[np.uint8] | cv2.typing.MatLike) -> float:
    """Return the sum of the cubes of gray levels."""
    counts = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel()
    return float(counts @ np.arange(256.0) ** 3)


def remove_background(bright: Gray) -> Gray:
    """Subtract what is wider than any stroke: the paper, its shade, a gradient of the light.

    Args:
        bright: (height, width) uint8, ink brighter than its surroundings.

    Returns:
        (height, width) uint8, gray levels above the local background.
    """
    side = max(bright.shape[0] * 2 // 5, 3) | 1
    # Reflected edges: ink that touches the page's edge is not taken for paper.
    padded = cv2.copyMakeBorder(bright, side, side, side, side, cv2.BORDER_REFLECT)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    background = cv2.morphologyEx(cv2.medianBlur(padded, 3), cv2.MORPH_OPEN, kernel)
    background = cv2.blur(background, (side, side))[side:-side, side:-side]
    return np.asarray(cv2.subtract(bright, background), np.uint8)


def find_ink(ink: Gray) -> Mask:
    """Return where the ink is, by Otsu's threshold; nowhere on a page without contrast."""
    threshold, _ = cv2.threshold(ink, 0, 255, cv2.THRESH_OTSU)
    mask = ink > threshold
    if not mask.any() or mask.all():
        return np.zeros_like(mask)
    contrast = float(ink[mask].mean()) - float(ink[~mask].mean())
    return mask if contrast >= LEAST_CONTRAST else np.zeros_like(mask)


def find_rules(mask: Mask) -> Mask:
    """Return the pixels of long horizontal lines, but for those of strokes that cross them."""
    height, width = mask.shape
    length = max(int(1.5 * height), 24)
    if width <= length:
        return np.zeros_like(mask)
    ink = mask.view(np.uint8)
    lines = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    lines = cv2.morphologyEx(lines, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    lines = cv2.dilate(lines, np.ones((3, 1), np.uint8))
    # A stroke goes on above or below a line that it crosses.
    upright = np.ones((max(height // 6, 4), 1), np.uint8)
    strokes = cv2.morphologyEx(ink, cv2.MORPH_OPEN, upright)
    rules: Mask = mask & (lines > 0) & (strokes == 0)
    return rules


def find_band(mask: Mask) -> tuple[float, float]:
    """Return the rows between which the digits stand, from the heights of connected ink.

    Ink counts by its area: specks, dots and dashes hardly do. One tall stroke or a small zero
    does not decide.
    """
    ink = mask.view(np.uint8)
    # Piece by piece: the map of components takes four bytes a pixel.
    pieces = [ink[:, left : left + PIECE] for left in range(0, ink.shape[1], PIECE)]
    found = [cv2.connectedComponentsWithStats(piece, connectivity=8)[2] for piece in pieces]
    boxes = np.concatenate([stats[1:] for stats in found]).astype(np.float64)  # without the paper
    if not len(boxes):
        return 0.0, float(mask.shape[0])
    usual = weighted_median(boxes[:, cv2.CC_STAT_HEIGHT], boxes[:, cv2.CC_STAT_AREA])
    boxes = boxes[np.abs(np.log(boxes[:, cv2.CC_STAT_HEIGHT] / usual)) <= math.log(2)]
    tops, heights = boxes[:, cv2.CC_STAT_TOP], boxes[:, cv2.CC_STAT_HEIGHT]
    areas = boxes[:, cv2.CC_STAT_AREA]
    return weighted_median(tops, areas), weighted_median(tops + heights, areas)


def weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the value below which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def cut(gray: Gray, ink: Gray, polarity: Polarity, top: float, bottom: float) -> Strip:
    """Scale the band to the digits' height, the ink to full brightness, and set it in a strip."""
    height, width = ink.shape
    scale = min(DIGIT_HEIGHT / max(bottom - top, 1), MOST_ENLARGEMENT)
    middle, reach = (top + bottom) / 2, HEIGHT / 2 / scale
    first, last = max(math.floor(middle - reach), 0), min(math.ceil(middle + reach) + 1, height)
    size = (max(round(width * scale), 1), max(round((last - first) * scale), 1))
    scaled = cv2.resize(
        ink[first:last], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    scale_x, scale_y = size[0] / width, size[1] / (last - first)
    above = round((middle - first) * scale_y - HEIGHT / 2)  # rows cut off; added, if negative
    pixels = np.zeros((HEIGHT, size[0] + 2 * MARGIN), np.uint8)
    upper, lower = max(above, 0), min(above + HEIGHT, size[1])
    pixels[upper - above : lower - above, MARGIN:-MARGIN] = scaled[upper:lower]
    pixels = stretch(pixels)
    shrunk_x, shrunk_y = width / gray.shape[1], height / gray.shape[0]
    return Strip(
        pixels=pixels,
        polarity=polarity,
        band=Band(top / shrunk_y, bottom / shrunk_y),
        scale_x=scale_x * shrunk_x,
        scale_y=scale_y * shrunk_y,
        origin_x=-MARGIN / (scale_x * shrunk_x),
        origin_y=(first + above / scale_y) / shrunk_y,
        source_width=gray.shape[1],
        source_height=gray.shape[0],
    )


def stretch(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Map the paper's grain to 0 and the ink's own level to 255."""
    lit = pixels[pixels > 0]
    if lit.size == 0:
        return pixels
    threshold, _ = cv2.threshold(lit, 0, 255, cv2.THRESH_OTSU)
    strong = lit[lit > threshold]
    full = float(np.quantile(strong, 0.7)) if strong.size else float(threshold)
    floor = 0.35 * float(threshold)
    stretched = (pixels.astype(np.float32) - floor) * (255 / max(full - floor, 1))
    return np.asarray(np.clip(stretched, 0, 255), np.uint8)
