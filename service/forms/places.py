"""Places on a form, in millimeters, and where they lie in an image."""

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray

NODE_STEP = 16  # pixels between nodes at which a warp is computed

Points = npt.NDArray[np.float64]  # (points, 2), x and y
Matrix = npt.NDArray[np.float64]  # (3, 3)


@dataclass(frozen=True)
class Box:
    """A rectangle of a form, mm."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    @property
    def corners(self) -> Points:
        """The corners (4, 2), from the top left one clockwise."""
        return np.array(
            [
                (self.left, self.top),
                (self.right, self.top),
                (self.right, self.bottom),
                (self.left, self.bottom),
            ]
        )

    def grown(self, by: float) -> "Box":
        """Return it with a margin on all sides."""
        return Box(self.left - by, self.top - by, self.width + 2 * by, self.height + 2 * by)

    def moved(self, by: tuple[float, float]) -> "Box":
        """Return it at another place."""
        return replace(self, left=self.left + by[0], top=self.top + by[1])


@dataclass(frozen=True, eq=False)
class Warp:
    """Where places of a form lie in an image: a homography of places that a polynomial moved."""

    matrix: Matrix  # mm → continuous pixels of the image
    size: tuple[float, float]  # of the form, mm
    bend: Points | None = None  # (terms, 2) coefficients, mm

    def source(self, places: Points) -> Points:
        """Return the pixels (points, 2) of places (points, 2) in mm."""
        moved = places if self.bend is None else places + self.shift(places)
        ahead = np.column_stack([moved, np.ones(len(moved))]) @ self.matrix.T
        return np.asarray(ahead[:, :2] / ahead[:, 2:])

    def shift(self, places: Points) -> Points:
        """Return by how many mm the polynomial moves places."""
        if self.bend is None:
            return np.zeros_like(places)
        return np.asarray(terms(places, self.size, len(self.bend)) @ self.bend)

    def scaled(self, by: float) -> Self:
        """Return the same for the image in another size."""
        return replace(self, matrix=np.diag([by, by, 1.0]) @ self.matrix)

    def pixels_per_mm(self, at: Box) -> float:
        """Return the image's resolution at a box: the root of its area there over that in mm²."""
        x, y = self.source(at.corners).T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        return float(np.sqrt(area / (at.width * at.height)))

    def cut(self, gray: Gray, box: Box, scale: float) -> Gray:
        """Return what an image has at a box, straight, in `scale` pixels a mm.

        Pixels beyond the image are white.
        """
        across, down = (max(round(side * scale), 1) for side in (box.width, box.height))
        # Warps are smooth: between nodes of a grid, they are as good as linear.
        nodes_x, columns = _nodes(across)
        nodes_y, rows = _nodes(down)
        x = box.left + nodes_x * (box.width / across)
        y = box.top + nodes_y * (box.height / down)
        places = np.stack(np.meshgrid(x, y), axis=-1)
        pixels = self.source(places.reshape(-1, 2)).reshape(places.shape)
        # Far outside, or behind the camera, there is nothing to see.
        pixels = np.clip(np.nan_to_num(pixels, nan=-1e4), -1e4, 1e6)
        low = np.maximum(np.floor(pixels.min(axis=(0, 1))).astype(int) - 2, 0)
        high = np.maximum(np.ceil(pixels.max(axis=(0, 1))).astype(int) + 3, low)
        part = gray[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return np.full((down, across), 255, np.uint8)
        # What is made smaller is averaged first, or thin strokes fall between the pixels.
        factor = max(int(self.pixels_per_mm(box) / scale), 1)
        if factor > 1:
            sides = [max(side // factor, 1) for side in part.shape]
            ratio = np.array([part.shape[1] / sides[1], part.shape[0] / sides[0]])
            part = np.asarray(cv2.resize(part, sides[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        else:
            ratio = np.ones(2)
        grid = ((pixels - low) / ratio - 0.5).astype(np.float32)
        at_x, at_y = (rows @ grid[..., axis] @ columns.T for axis in (0, 1))
        cut = cv2.remap(
            part,
            at_x,
            at_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(255,),
        )
        return np.asarray(cut, np.uint8)


def _nodes(count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Return nodes along pixels, and the weights (pixels, nodes) of each pixel's center on them."""
    nodes = np.linspace(0, count, max(-(-count // NODE_STEP), 1) + 1)
    at = (np.arange(count) + 0.5) / count * (len(nodes) - 1)
    before = np.minimum(at.astype(int), len(nodes) - 2)
    weights = np.zeros((count, len(nodes)), np.float32)
    weights[np.arange(count), before] = 1 - (at - before)
    weights[np.arange(count), before + 1] = at - before
    return nodes, weights


def terms(places: Points, size: tuple[float, float], count: int) -> Points:
    """Return the terms (points, count) of a polynomial, low degrees first.

    Coordinates are scaled to -1 to 1 over the form. Counts are 1, 3, 6 and 10: of degree 0 to 3.
    """
    x, y = (2 * places / np.array(size) - 1).T
    one = np.ones_like(x)
    all_terms = [one, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3]
    return np.stack(all_terms[:count], axis=1)
