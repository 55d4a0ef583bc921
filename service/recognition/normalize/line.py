"""A line of text, the strips that views show of it, and the maps back to the source image.

A strip is what the network was trained on: 32 pixels high, ink bright on 0, the digits about
20 pixels high in the middle, like MNIST's in their windows (LeCun et al. 1998, section III.A).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from service.recognition.normalize.bend import Bend
from service.recognition.normalize.ink_mask import Mask
from service.recognition.normalize.polarity import Polarity
from service.recognition.views import HEIGHT, Matrix, inverse, slant_of, view, view_matrix

DIGIT_HEIGHT = 20  # that the text's band is scaled to, pixels

INK = 64  # gray level of a strip from which a pixel counts as ink


@dataclass(frozen=True)
class Band:
    """The rows between which the text stands at the source image's middle column, in its pixels."""

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
    skew: float  # the same, of the baseline: positive where it falls to the right
    to_source: Matrix  # but for the bend
    source_width: int
    source_height: int
    bend: Bend | None = None  # taken away from the baseline, in the source image

    @property
    def scale_x(self) -> float:
        """Strip pixels per source pixel, across."""
        return float(1 / self.to_source[0, 0])

    @property
    def scale_y(self) -> float:
        """Strip pixels per source pixel, down."""
        (across, lean), (fall, down) = self.to_source[:, :2]
        return float(across / (across * down - lean * fall))

    def source_point(self, x: float, y: float) -> tuple[float, float]:
        """Return the source image's (x, y) of a point of the strip."""
        across, along = self.to_source @ [x, y, 1]
        if self.bend:
            along += self.bend.rows(across)
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
        along = self.to_source[1, 0] * x + self.to_source[1, 1] * y + self.to_source[1, 2]
        if self.bend:
            along += self.bend.rows(across)
        return Box(
            left=min(max(float(across.min()), 0), self.source_width),
            top=min(max(float(along.min()), 0), self.source_height),
            right=min(max(float(across.max()), 0), self.source_width),
            bottom=min(max(float(along.max()), 0), self.source_height),
        )


@dataclass(frozen=True)
class WorkingPage:
    """The whole page at the working size, as the line was found on it."""

    mask: Mask  # (height, width) where ink is, blots that are no strokes among it
    erased: Mask  # (height, width) where printed lines were
    to_source: Matrix  # from this page's points to the source image's
    seen: bool = True  # False where traces of ink are too faint to be read
    doubtful: bool = False  # whether an upright line among the printed ones may be a 1


@dataclass(frozen=True)
class Line:
    """The line of text on a page, from which strips are cut."""

    pixels: npt.NDArray[np.uint8]  # (FIELD, width), ink bright on 0, the digits in the middle
    polarity: Polarity
    band: Band
    skew: (
        float  # of the baseline: tangent, positive where it falls to the right, in the source image
    )
    scale_x: float  # line pixels per source pixel
    scale_y: float
    origin_x: float  # of the line's left edge in the source image, pixels
    origin_y: float  # of its top edge, where that meets the source image's left one
    source_width: int
    source_height: int
    page: WorkingPage
    bend: Bend | None = None  # taken away from the baseline, in the source image

    @cached_property
    def slant(self) -> float:
        """How far the strokes lean, by estimate: a tangent, positive to the right."""
        return slant_of(self.pixels)

    def page_box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Return the box in the source image round one of the working page."""
        columns = [left, right]
        if self.bend:  # whose vertex may be the highest point, or the lowest
            vertex = self.bend.middle / self.page.to_source[0, 0]
            columns.append(min(max(vertex, left), right))
        x = np.array(columns * 2)
        y = np.repeat([top, bottom], len(columns))
        across, along = self.page.to_source @ np.stack([x, y, np.ones(len(x))])
        if self.bend:
            along += self.bend.rows(across)
        return Box(
            left=max(float(across.min()), 0.0),
            top=max(float(along.min()), 0.0),
            right=min(float(across.max()), self.source_width),
            bottom=min(float(along.max()), self.source_height),
        )

    def strip(self, view_: View = PLAIN) -> Strip:
        """Return the strip that a view shows."""
        slant = view_.upright * self.slant if view_.upright else 0.0
        matrix = view_matrix(slant, view_.scale, view_.scale)
        back = inverse(matrix)
        back[:, 2] += [self.origin_x * self.scale_x, self.origin_y * self.scale_y]
        to_source = back / np.array([[self.scale_x], [self.scale_y]])
        to_source[1] += self.skew * to_source[0]
        return Strip(
            pixels=view(self.pixels, matrix),
            polarity=self.polarity,
            band=self.band,
            view=view_,
            slant=slant * self.scale_y / self.scale_x,
            skew=self.skew,
            to_source=to_source,
            source_width=self.source_width,
            source_height=self.source_height,
            bend=self.bend,
        )
