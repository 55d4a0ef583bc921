"""What pens, scanners and neighbors do to a digit: pure functions of (image, rng).

Images are (32, 32) uint8, ink bright on 0, and keep that shape. The augmentations are the
lecture's (shift, size, digits at the sides, an eleventh class of nothing centered) and Simard et
al. 2003's (affine and elastic distortion).
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize import INK
from training.config import Config
from training.networks import RECEPTIVE_FIELD, STRIDE

Image = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]  # (3, 3), homogeneous, acting round the image's center

# A digit is `centered` up to half a stride from the window's center: whatever its place in a
# strip, at least one position answers for it. Past a whole stride a neighboring position is
# the one to answer, and this one must say `none`. In between either would do.
CENTERED = STRIDE / 2  # pixels
APART = float(STRIDE)  # pixels

ROWS, COLUMNS = np.mgrid[0:RECEPTIVE_FIELD, 0:RECEPTIVE_FIELD].astype(np.float32)


def shift(image: Image, rng: np.random.Generator, across: float = 2, along: float = 3) -> Image:
    """Move the digit by up to `across` pixels sideways and `along` pixels up or down."""
    return warp(image, _shift(rng, across, along))


def scale(
    image: Image, rng: np.random.Generator, spread: float = 0.15, stretch: float = 0.25
) -> Image:
    """Change the digit's size by a factor of 1 ± `spread`, its width by one of 1 ± `stretch`."""
    return warp(image, _scale(rng, spread, stretch))


def slant(image: Image, rng: np.random.Generator, spread: float = 0.25) -> Image:
    """Shear the digit sideways by up to `spread` pixels per pixel of height, either way."""
    return warp(image, _slant(rng, spread))


def rotate(image: Image, rng: np.random.Generator, spread: float = 10) -> Image:
    """Turn the digit by up to `spread` degrees, either way."""
    return warp(image, _rotation(rng, spread))


def stroke(image: Image, rng: np.random.Generator, strength: float = 0.6) -> Image:
    """Thicken or thin the strokes: a share of up to `strength` of a one-pixel dilation or erosion.

    A thin stroke is never erased: erosion is blended half as strongly.
    """
    amount = float(rng.uniform(-strength, strength))
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    changed = cv2.dilate(image, kernel) if amount > 0 else cv2.erode(image, kernel)
    weight = amount if amount > 0 else -amount / 2
    return _uint8(cv2.addWeighted(image, 1 - weight, changed, weight, 0))


def elastic(image: Image, rng: np.random.Generator, spread: float = 1.0) -> Image:
    """Displace pixels by a smooth random field of `spread` pixels (Simard et al. 2003)."""
    across, along = _field(rng, spread)
    return _uint8(cv2.remap(image, COLUMNS + across, ROWS + along, cv2.INTER_LINEAR))


def sharpen(image: Image, rng: np.random.Generator, strength: float = 1.5) -> Image:
    """Raise the contrast of the strokes' edges by a factor of up to 1 + `strength`."""
    gain = 1 + rng.uniform(0, strength)
    levels = (np.arange(256) - 127.5) * gain + 127.5
    return _uint8(cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)))


def distort(
    image: Image, rng: np.random.Generator, config: Config, place: Matrix | None = None
) -> Image:
    """Write the digit as another hand might: every change above but the shift.

    The affine and the elastic change are one interpolation, because each blurs; and a share of
    digits is left as it is, because otherwise none would be as sharp as those to be read.

    Args:
        image: (32, 32) the digit, centered.
        rng: decides everything.
        config: how strong the changes are.
        place: an affine map to apply last, in the same interpolation.
    """
    place = np.eye(3) if place is None else place
    if rng.random() < config.plain:
        return image.copy() if np.array_equal(place, np.eye(3)) else warp(image, place)
    matrix = (
        place
        @ _rotation(rng, config.rotation)
        @ _slant(rng, config.slant)
        @ _scale(rng, config.scale, config.stretch)
    )
    back = np.linalg.inv(matrix).astype(np.float32)
    middle = (RECEPTIVE_FIELD - 1) / 2
    x, y = COLUMNS - middle, ROWS - middle
    across, along = _field(rng, config.elastic)
    across += back[0, 0] * x + back[0, 1] * y + (back[0, 2] + middle)
    along += back[1, 0] * x + back[1, 1] * y + (back[1, 2] + middle)
    warped = _uint8(cv2.remap(image, across, along, cv2.INTER_LINEAR))
    return sharpen(stroke(warped, rng, config.stroke), rng, config.sharpness)


def flank(
    image: Image,
    rng: np.random.Generator,
    neighbors: Sequence[Image],
    gaps: tuple[float, float] = (-4, 8),
) -> Image:
    """Insert digits at the sides: the first at the right, the second, if any, at the left.

    Args:
        image: (32, 32) the window, its digit in the middle.
        rng: decides the gaps.
        neighbors: one or two digits, (32, 32) each.
        gaps: the least and greatest gap between the ink of two digits, in pixels; at 0 they
            touch, below they overlap.
    """
    first, last = ink_columns(image)
    window = image
    for neighbor, to_the_right in zip(neighbors, (True, False), strict=False):
        left, right = ink_columns(neighbor)
        gap = rng.uniform(*gaps)
        # Never so close that the neighbor is centered in the window as well.
        move = (
            max(last + gap - left, APART + 1)
            if to_the_right
            else min(first - gap - right, -APART - 1)
        )
        window = np.maximum(window, _move(neighbor, round(move)))
    return window


def blank(rng: np.random.Generator) -> Image:
    """Return a window of even paper."""
    return np.full((RECEPTIVE_FIELD, RECEPTIVE_FIELD), rng.integers(0, 24), np.uint8)


def noise(rng: np.random.Generator) -> Image:
    """Return a window of noise: grain, specks, or rules, as scanners and forms leave them."""
    side = RECEPTIVE_FIELD
    window = np.clip(rng.normal(0, rng.uniform(2, 40), (side, side)), 0, 255).astype(np.uint8)
    kind = rng.integers(3)
    if kind == 1:  # specks
        for _ in range(rng.integers(1, 6)):
            center = (int(rng.integers(side)), int(rng.integers(side)))
            cv2.circle(window, center, int(rng.integers(0, 2)), int(rng.integers(80, 256)), -1)
    elif kind == 2:  # rules
        y, fall = int(rng.integers(side)), int(rng.integers(-2, 3))
        cv2.line(window, (0, y), (side, y + fall), int(rng.integers(80, 256)), 1, cv2.LINE_AA)
    return window


def uncentered(rng: np.random.Generator, digits: Sequence[Image]) -> Image:
    """Return a window with digits at one or both sides and none in the center.

    Args:
        rng: decides how far out they stand.
        digits: one or two digits, (32, 32) each; the second goes to the other side.
    """
    window = blank(rng) // 3
    side = rng.choice([-1, 1])
    for digit in digits[:2]:
        # A digit's width keeps the two at least a stride from the window's center.
        distance = rng.uniform(APART + 1, RECEPTIVE_FIELD / 2 + 6)
        window = np.maximum(window, _move(digit, round(side * distance)))
        side = -side
    return window


def ink_columns(image: Image) -> tuple[int, int]:
    """Return the first column with ink and the one past the last; the middle if there is none."""
    columns = np.flatnonzero((image >= INK).any(axis=0))
    if columns.size == 0:
        return image.shape[1] // 2, image.shape[1] // 2
    return int(columns[0]), int(columns[-1]) + 1


def warp(image: Image, matrix: Matrix) -> Image:
    """Apply an affine map round the image's center; what comes in from outside is 0."""
    height, width = image.shape
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    linear = matrix[:2, :2]
    moved = matrix[:2, 2] + center - linear @ center
    return _uint8(
        cv2.warpAffine(
            image, np.column_stack([linear, moved]), (width, height), flags=cv2.INTER_LINEAR
        )
    )


def _shift(rng: np.random.Generator, across: float, along: float) -> Matrix:
    return np.array(
        [[1, 0, rng.uniform(-across, across)], [0, 1, rng.uniform(-along, along)], [0, 0, 1]]
    )


def _scale(rng: np.random.Generator, spread: float, stretch: float) -> Matrix:
    both = 1 + rng.uniform(-spread, spread)
    width = both * (1 + rng.uniform(-stretch, stretch))
    return np.diag([width, both, 1])


def _slant(rng: np.random.Generator, spread: float) -> Matrix:
    return np.array([[1, rng.uniform(-spread, spread), 0], [0, 1, 0], [0, 0, 1]])


def _rotation(rng: np.random.Generator, spread: float) -> Matrix:
    angle = math.radians(rng.uniform(-spread, spread))
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _field(
    rng: np.random.Generator, spread: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return displacements across and along, (32, 32) each, that leave the center where it is."""
    # A 5×5 grid, interpolated: the field of a wide Gaussian, far cheaper.
    grid = rng.normal(0, spread, (2, 5, 5)).astype(np.float32)
    grid -= grid[:, 2:3, 2:3]
    size = (RECEPTIVE_FIELD, RECEPTIVE_FIELD)
    across, along = (cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in grid)
    return np.asarray(across, np.float32), np.asarray(along, np.float32)


def _move(image: Image, columns: int) -> Image:
    """Shift by whole columns; what leaves the window is lost, what enters is 0."""
    moved = np.zeros_like(image)
    if columns >= 0:
        moved[:, columns:] = image[:, : max(image.shape[1] - columns, 0)]
    else:
        moved[:, :columns] = image[:, -columns:]
    return moved


def _uint8(image: npt.NDArray[np.generic] | cv2.typing.MatLike) -> Image:
    return np.asarray(image, np.uint8)
