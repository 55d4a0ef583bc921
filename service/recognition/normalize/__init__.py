"""Gray pages to strips: polarity, background, rules, the band of the text, its height and slant.

A strip is what the network was trained on: 32 pixels high, ink bright on 0, the digits about
20 pixels high in the middle, like MNIST's in their windows (LeCun et al. 1998, section III.A).
Training imports its numbers and its functions.
"""

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray
from service.recognition.views import FIELD, HEIGHT, MARGIN, Matrix, slant_of, view, view_matrix

DIGIT_HEIGHT = 20  # that the text's band is scaled to, pixels

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
class View:
    """One way to see a line."""

    upright: float = 0.0  # the share of the line's slant that is taken away
    scale: float = 1.0  # of the digits, against DIGIT_HEIGHT


PLAIN = View()


@dataclass(frozen=True)
class Strip:
    """A normalized strip, and the map from its points to the source image's.

    Coordinates are continuous: pixel i covers i to i + 1, its center is at i + 0.5.
    """

    pixels: npt.NDArray[np.uint8]  # (32, width), ink bright on 0
    polarity: Polarity
    band: Band
    view: View
    slant: float  # taken away: tangent, positive to the right, in the source image
    to_source: Matrix
    source_width: int
    source_height: int

    @property
    def scale_x(self) -> float:
        """Strip pixels per source pixel, across."""
        return float(1 / self.to_source[0, 0])

    @property
    def scale_y(self) -> float:
        """Strip pixels per source pixel, down."""
        return float(1 / self.to_source[1, 1])

    def source_point(self, x: float, y: float) -> tuple[float, float]:
        """Return the source image's (x, y) of a point of the strip."""
        across, along = self.to_source @ [x, y, 1]
        return float(across), float(along)

    def ink_box(self, left: float, right: float) -> Box:
        """Return the box, in the source image, round the ink between two columns of the strip.

        Without ink there, the box is the columns' whole height of text.
        """
        first, last = max(math.floor(left), 0), min(math.ceil(right), self.pixels.shape[1])
        rows, columns = np.nonzero(self.pixels[:, first:last] >= INK)
        if columns.size:
            corners = np.add.outer([0, 1], np.stack([first + columns, rows])).reshape(2, 2, -1)
            x, y = corners[:, 0].ravel(), corners[:, 1].ravel()
        else:
            x = np.array([left, right])
            y = np.array([HEIGHT - DIGIT_HEIGHT, HEIGHT + DIGIT_HEIGHT]) / 2
        across = self.to_source[0, 0] * x + self.to_source[0, 1] * y + self.to_source[0, 2]
        along = self.to_source[1, 1] * y + self.to_source[1, 2]
        return Box(
            left=min(max(float(across.min()), 0), self.source_width),
            top=min(max(float(along.min()), 0), self.source_height),
            right=min(max(float(across.max()), 0), self.source_width),
            bottom=min(max(float(along.max()), 0), self.source_height),
        )


@dataclass(frozen=True)
class Line:
    """The line of text on a page, from which strips are cut."""

    pixels: npt.NDArray[np.uint8]  # (FIELD, width), ink bright on 0, the digits in the middle
    polarity: Polarity
    band: Band
    scale_x: float  # line pixels per source pixel
    scale_y: float
    origin_x: float  # of the line's left edge in the source image, pixels
    origin_y: float  # of its top edge
    source_width: int
    source_height: int

    @cached_property
    def slant(self) -> float:
        """How far the strokes lean, by estimate: a tangent, positive to the right."""
        return slant_of(self.pixels)

    def strip(self, view_: View = PLAIN) -> Strip:
        """Return the strip that a view shows."""
        slant = view_.upright * self.slant if view_.upright else 0.0
        matrix = view_matrix(slant, view_.scale, view_.scale)
        back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
        back[:, 2] += [self.origin_x * self.scale_x, self.origin_y * self.scale_y]
        to_source = back / np.array([[self.scale_x], [self.scale_y]])
        return Strip(
            pixels=view(self.pixels, matrix),
            polarity=self.polarity,
            band=self.band,
            view=view_,
            slant=slant * self.scale_y / self.scale_x,
            to_source=to_source,
            source_width=self.source_width,
            source_height=self.source_height,
        )


def normalize(gray: Gray, aspect: float = 1.0) -> Line:
    """Find the ink of a page, the band of its text, and scale that to the network's height.

    Args:
        gray: (height, width) uint8 of any size but zero.
        aspect: of a pixel on paper, its width over its height.

    Returns:
        The line. A page without ink gives a line of zeros whose band is the whole page.
    """
    page = shrink(gray, aspect)
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


def shrink(gray: Gray, aspect: float = 1.0) -> Gray:
    """Make a page's pixels square, and shrink it to the working height, if it is higher.

    The columns never become more, only the rows: strips cost by their width.
    """
    height, width = gray.shape
    rows = height / aspect
    columns = width if rows <= WORKING_HEIGHT else width * WORKING_HEIGHT / rows
    size = (max(round(columns), 1), max(round(min(rows, WORKING_HEIGHT)), 1))
    if size == (width, height):
        return gray
    if size[1] > height:  # columns first, so that no more is held than at the end
        fewer = cv2.resize(gray, (size[0], height), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(fewer, size, interpolation=cv2.INTER_LINEAR), np.uint8)
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


def cut(gray: Gray, ink: Gray, polarity: Polarity, top: float, bottom: float) -> Line:
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
    shrunk_x, shrunk_y = width / gray.shape[1], height / gray.shape[0]
    return Line(
        pixels=stretch(pixels),
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
