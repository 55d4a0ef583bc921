"""One line of text, seen several ways: with its slant or without, larger and smaller.

A network of 32 pixels' height knows digits of one size that stand upright better than others.
Which size and slant a page has can only be estimated, so it is read several ways.
"""

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray

HEIGHT = 32  # of a strip, pixels
FIELD = 48  # rows of a line: a strip's, and what a view at a smaller scale shows beside them
MARGIN = HEIGHT // 2  # empty columns at each end, so that an end digit can be centered

SLANTS = np.arange(-6, 11) / 10  # tangents that a line is tried at; hands lean to the right
_SEEN = slice((FIELD - 28) // 2, (FIELD + 28) // 2)  # rows of digits, without what is round them

Matrix = npt.NDArray[np.float64]  # (2, 3) affine, acting on continuous coordinates (x, y)


def slant_of(line: Gray) -> float:
    """Estimate how far a line's strokes lean: the shear that makes its columns most unequal.

    Upright strokes fill few columns, so the sum of squared column sums is greatest when they
    stand; after Vinciarelli and Luettin 2001, whose score is per column and stroke.

    Args:
        line: (FIELD, width) uint8, ink bright on 0.

    Returns:
        The tangent of the angle from upright, positive to the right; 0 without ink.
    """
    seen = np.ascontiguousarray(line[_SEEN])
    height, width = seen.shape
    sheared = np.array([[1.0, 0, 0], [0, 1, 0]])
    energies = []
    for slant in SLANTS:
        sheared[0, 1], sheared[0, 2] = slant, -slant * (height - 1) / 2
        upright = cv2.warpAffine(seen, sheared, (width, height), flags=cv2.INTER_LINEAR)
        columns = cv2.reduce(upright, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
        energies.append(float(np.dot(columns[0], columns[0])))
    best = int(np.argmax(energies))
    if energies[best] == 0:
        return 0.0
    if not 0 < best < len(SLANTS) - 1:
        return float(SLANTS[best])
    before, peak, after = energies[best - 1 : best + 2]  # a parabola through the three
    bend = before - 2 * peak + after
    shift = 0.5 * (before - after) / bend if bend else 0.0
    return float(SLANTS[best] + shift * (SLANTS[1] - SLANTS[0]))


def view_matrix(
    slant: float = 0.0, scale_x: float = 1.0, scale_y: float = 1.0, lift: float = 0.0
) -> Matrix:
    """Return the map from a line's points to a strip's.

    Args:
        slant: the tangent by which strokes are turned to the left, round the line's middle.
        scale_x: strip pixels per pixel of the line, across.
        scale_y: the same, down.
        lift: pixels of the strip by which all is moved up.
    """
    middle = FIELD / 2
    return np.array(
        [
            [scale_x, scale_x * slant, MARGIN - scale_x * (MARGIN + slant * middle)],
            [0, scale_y, HEIGHT / 2 - lift - scale_y * middle],
        ]
    )


def view(line: Gray, matrix: Matrix) -> Gray:
    """Return the strip that a map shows of a line; what comes in from outside is 0.

    Args:
        line: (FIELD, width) uint8.
        matrix: of `view_matrix`.

    Returns:
        (HEIGHT, width) uint8, as wide as the scaled ink and both margins.
    """
    ink = line.shape[1] - 2 * MARGIN
    size = (max(round(ink * matrix[0, 0]), 1) + 2 * MARGIN, HEIGHT)
    # OpenCV counts pixels by their centers.
    centered = matrix.copy()
    centered[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return np.asarray(cv2.warpAffine(line, centered, size, flags=cv2.INTER_LINEAR), np.uint8)


def inverse(matrix: Matrix) -> Matrix:
    """Return the map back."""
    (a, b, x), (c, d, y) = matrix.tolist()
    back = np.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]])
    return np.asarray(back / (a * d - b * c), np.float64)


def compose(after: Matrix, before: Matrix) -> Matrix:
    """Return the map that does one and then the other."""
    both = after[:, :2] @ before
    both[:, 2] += after[:, 2]
    return np.asarray(both, np.float64)
