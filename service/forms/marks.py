"""Marks at the corners of a form: filled squares, or ArUco markers, found in a page."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from service.forms.places import Box, Matrix, Points
from service.imaging.page import Gray

MOST_SQUARES = 40  # of a page that are tried, the largest
LEAST_SIDE = 5.0  # pixels
FILLED = 0.85  # share of its upright or turned rectangle that a square fills
OBLONG = 1.5  # longer over shorter side, in perspective
OFF = 0.08  # of the form's diagonal that a mark may be off a similarity
UNLIKE = 1.6  # ratio of a mark's size to the expected one
TRIED = 8  # arrangements, the likeliest first


def markers(gray: Gray, ids: Sequence[int]) -> tuple[list[int], Points]:
    """Find ArUco markers (4×4, 50 ids).

    Returns:
        The indices of the ids that were found once, and their corners (4 × markers, 2), clockwise
        from the top left one of each.
    """
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    corners, found, _ = cv2.aruco.ArucoDetector(dictionary, parameters).detectMarkers(gray)
    seen = [] if found is None else [int(each) for each in np.ravel(found)]
    which, places = [], []
    for index, number in enumerate(ids):
        if seen.count(number) == 1:  # of two, one is a stranger
            which.append(index)
            places.append(np.reshape(corners[seen.index(number)], (4, 2)) + 0.5)
    return which, np.concatenate(places).astype(np.float64) if places else np.zeros((0, 2))


def arrangements(gray: Gray, marks: Sequence[Box]) -> Iterator[Matrix]:
    """Yield homographies, from mm to pixels, under which squares of a page are the marks.

    Squares look alike, so there are several: the print says which one holds.
    """
    squares = _squares(gray)
    if len(squares) < 3:
        return
    centers = np.array([(each.left + each.width / 2, each.top + each.height / 2) for each in marks])
    there, sides = squares[:, :2], squares[:, 2]
    diagonal = np.ptp(centers, axis=0)
    first, last = _farthest(centers)
    base = complex(*(centers[last] - centers[first]))
    found: dict[tuple[int, ...], tuple[int, float]] = {}
    for i in range(len(there)):
        for j in range(len(there)):
            if i == j:
                continue
            # A similarity takes two marks to two squares; others must lie near where it says.
            turn = complex(*(there[j] - there[i])) / base
            zoom = abs(turn)
            expected = zoom * marks[0].width
            if not 1 / UNLIKE < sides[i] / expected < UNLIKE:
                continue
            offsets = (centers - centers[first]) @ np.array(
                [[turn.real, turn.imag], [-turn.imag, turn.real]]
            )
            distances = np.hypot(*(there[None] - (there[i] + offsets)[:, None]).transpose(2, 0, 1))
            nearest = distances.argmin(axis=1)
            off = distances.min(axis=1) / (zoom * float(np.hypot(*diagonal)))
            fits = (off < OFF) & (sides[nearest] < UNLIKE * expected)
            fits &= sides[nearest] > expected / UNLIKE
            if fits.sum() >= 3 and len(set(nearest[fits])) == fits.sum():
                key = tuple(np.where(fits, nearest, -1).tolist())
                rank = int(fits.sum()), -float(off[fits].sum())
                found[key] = max(found.get(key, rank), rank)
    for key in sorted(found, key=found.__getitem__, reverse=True)[:TRIED]:
        which = np.array(key) >= 0
        matrix = _fit(centers[which], there[np.array(key)[which]])
        if matrix is not None:
            yield matrix


def _fit(here: Points, there: Points) -> Matrix | None:
    """Fit a homography, or to three places an affine map."""
    if len(here) > 3:
        matrix, _ = cv2.findHomography(here, there, 0)
        return None if matrix is None else np.asarray(matrix, np.float64)
    affine = cv2.getAffineTransform(here.astype(np.float32), there.astype(np.float32))
    matrix = np.vstack([affine, [0, 0, 1]])
    return np.asarray(matrix) if abs(np.linalg.det(matrix)) > 1e-9 else None


def _squares(gray: Gray) -> npt.NDArray[np.float64]:
    """Return filled dark squares (squares, 3): center x and y, and side, the largest first."""
    block = max(min(gray.shape) // 12 | 1, 15)
    dark = np.asarray(
        cv2.adaptiveThreshold(
            gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, block, 25
        ),
        np.uint8,
    )
    outlines, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    squares = []
    for outline in outlines:
        left, top, width, height = cv2.boundingRect(outline)
        if min(width, height) < LEAST_SIDE:
            continue
        (x, y), sides, _ = cv2.minAreaRect(outline)
        across, down = sides[0] + 1, sides[1] + 1  # the outline runs through pixels' centers
        inked = cv2.countNonZero(
            _filled(dark, np.asarray(outline, np.int32), left, top, width, height)
        )
        if max(across, down) < OBLONG * min(across, down) and inked > FILLED * across * down:
            squares.append((x + 0.5, y + 0.5, (across * down) ** 0.5))
    squares.sort(key=lambda each: -each[2])
    return np.array(squares[:MOST_SQUARES]).reshape(-1, 3)


def _filled(
    dark: Gray, outline: npt.NDArray[np.int32], left: int, top: int, width: int, height: int
) -> Gray:
    """Return the ink within an outline alone."""
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [outline], -1, 255, -1, offset=(-left, -top))
    return inside & dark[top : top + height, left : left + width]


def _farthest(points: Points) -> tuple[int, int]:
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    first, last = np.unravel_index(int(apart.argmax()), apart.shape)
    return int(first), int(last)
