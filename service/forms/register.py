"""Registration: where a form lies in a page, and how far that can be trusted.

Never a wrong place: a page whose print is not where the form has it is misregistered, and so is a
field whose surroundings are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from service.errors import quoted
from service.forms.code import read_code
from service.forms.marks import arrangements, markers
from service.forms.outline import outlines
from service.forms.page_print import Found, Keypoints, Print, work_scale
from service.forms.places import Box, Matrix, Points, Warp, terms
from service.forms.template import Form, FormCode, FormField
from service.imaging.page import Gray

ROUNDS = ((4.0, 1), (3.0, 6), (1.5, 10), (1.5, 10))  # mm of reach, and terms of the polynomial
PER_TERM = 3  # patches that a term needs
FEWEST_SEEN = 12  # patches that a page is bent by
SOFT_MM = 0.3  # residual of a patch that counts half
NEIGHBORS = 4  # patches around a field's box
NEIGHBORS_FOUND = 2  # of them, at least
NEAR_MM = 60.0  # what is farther from a box says nothing of it
NEAR_PATCHES_MM = 15.0  # where print is known in a few places alone, and the page bends between
BEYOND_MM = 0.5  # by which a box may reach over the page's edge
END_MM, END_MARGIN_MM = 15.0, 2.0  # of a box whose print is looked for: how wide, how far out
TURNED_MM = 0.35  # difference of what both ends are off
FURTHER_MM = 4.0  # beyond a field's search in which its print might be
FEWEST_MARKERS = 3


class Status(StrEnum):
    """Whether a page's fields can be read."""

    REGISTERED = "REGISTERED"
    MISREGISTERED = "MISREGISTERED"


@dataclass(frozen=True, eq=False)
class Registration:
    """Where a form lies in a page."""

    status: Status
    residual: float | None  # mm by which print is off, the median; None if nothing was measured
    inliers: float | None  # share of the print, or of the markers, that is where it belongs
    why: str = ""  # what is wrong, if anything is
    warp: Warp | None = None  # of a page that is registered
    doubtful: frozenset[str] = frozenset()  # fields whose own place cannot be confirmed
    coded: bool = False  # whether the form's code was read, and is its own

    def trusts(self, field: str) -> bool:
        """Whether a field's place is known."""
        return self.status is Status.REGISTERED and field not in self.doubtful


def register(gray: Gray, form: Form) -> Registration:
    """Find a form in a page.

    Args:
        gray: (height, width) of the page.
        form: that it should be.
    """
    largest = work_scale((form.width, form.height)) * max(form.width, form.height)
    ratio = min(largest / max(gray.shape), 1.0)
    small = gray
    if ratio < 1:
        sides = [max(round(side * ratio), 1) for side in gray.shape]
        small = np.asarray(cv2.resize(gray, sides[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    if min(small.shape) < 32:
        return _failed(f"the page has {gray.shape[1]}×{gray.shape[0]} pixels, too few for a form")
    # Rounded sides are scaled by a little more or less than the ratio.
    to_page = np.diag([gray.shape[1] / small.shape[1], gray.shape[0] / small.shape[0], 1.0])
    if form.print is not None:
        found = _by_print(small, form, form.print)
    else:
        found = _without_print(small, form)
    if found.warp is None:
        return found
    warp = replace(found.warp, matrix=to_page @ found.warp.matrix)
    beyond = {
        each.name
        for each in form.fields
        if _is_beyond(warp, each.box, (gray.shape[1], gray.shape[0]))
    }
    found = replace(found, warp=warp, doubtful=found.doubtful | beyond)
    return found if form.code is None else _checked(found, warp, gray, form.code)


def _checked(found: Registration, warp: Warp, gray: Gray, code: FormCode) -> Registration:
    """Return the registration of a page whose code is the form's, or cannot be read."""
    seen = read_code(gray, code.box, warp)
    if seen in ("", code.text):
        return replace(found, coded=bool(seen))
    why = f"the page's code says {quoted(seen)}, the form's {quoted(code.text)}"
    return Registration(Status.MISREGISTERED, found.residual, found.inliers, why)


def _by_print(small: Gray, form: Form, printed: Print) -> Registration:
    """Try each way to lay the form, and keep that in which most of the print is in its place."""
    best = _failed(_NOTHING[form.registration.by])
    for matrix in _ways(small, form, printed):
        warp = Warp(matrix, printed.size)
        if not _is_sane(warp):
            continue
        tried = _laid(small, form, printed, warp)
        if (tried.inliers or 0.0) > (best.inliers or 0.0):
            best = tried
        if tried.status is Status.REGISTERED:
            break  # print that does not look the same upside down is only in one way in its place
    return best


_NOTHING = {
    "corners": "the marks were not found",
    "patches": "the patches of the reference were not found",
    "features": "the print of the reference was not found",
    "none": "the page cannot be laid on the form",
}


def _ways(small: Gray, form: Form, printed: Print) -> Iterator[Matrix]:
    by = form.registration
    if by.by == "none":
        height, width = small.shape
        for turn in range(4):
            yield _whole(printed.size, (width, height), turn)
        return
    if by.by == "corners":
        if by.aruco is None:
            yield from arrangements(small, form.marks)
        else:
            which, there = markers(small, by.aruco)
            if len(which) >= FEWEST_MARKERS:
                yield _homography(_corners(form, which), there)
    for kind in Keypoints:
        matrix = printed.homography(small, kind)
        if matrix is not None:
            yield matrix
    # Print that repeats itself has few keypoints that look like no other. What the page's edges
    # say is checked by the print, as all else is.
    page = Box(0, 0, *printed.size).corners
    for corners in outlines(small):
        yield _homography(page, corners)


def _whole(size: tuple[float, float], image: tuple[int, int], turn: int) -> Matrix:
    """Return the map of the whole form to the whole image, turned by quarters clockwise."""
    width, height = image
    corners = Box(0, 0, *size).corners
    there = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    return _homography(corners, np.roll(there, -turn, axis=0))


def _homography(here: Points, there: Points) -> Matrix:
    matrix, _ = cv2.findHomography(here, there, 0)
    return np.asarray(matrix if matrix is not None else np.zeros((3, 3)), np.float64)


def _laid(small: Gray, form: Form, printed: Print, warp: Warp) -> Registration:
    """Bend a warp until the print lies in its place, as far as it does; measure that."""
    page = Box(0, 0, *printed.size)
    limits = form.registration
    for reach, most in ROUNDS:
        found = printed.find(warp.cut(small, page, printed.scale), reach)
        if found.seen.sum() < FEWEST_SEEN:
            break
        bend = _bend(printed.places, found, warp, most)
        if bend is None:
            break
        warp = replace(warp, bend=bend)
    flat = warp.cut(small, page, printed.scale)
    found = printed.find(flat, 1.5)
    near = found.near(limits.residual)
    inliers = float(near.mean())
    residual = None
    if found.seen.any():
        residual = float(np.median(np.hypot(*found.moves[found.seen].T)))
    if inliers < limits.least_inliers:
        why = (
            f"{inliers:.0%} of the form's print is in its place; "
            f"at least {limits.least_inliers:.0%} is needed"
        )
        return Registration(Status.MISREGISTERED, residual, inliers, why)
    if residual is not None and residual > limits.residual:
        why = f"the print is {residual:.2f} mm off; at most {limits.residual:g} mm are allowed"
        return Registration(Status.MISREGISTERED, residual, inliers, why)
    close = NEAR_MM if printed.known is None else NEAR_PATCHES_MM
    doubtful = {
        each.name
        for each in form.fields
        if not _has_neighbors(each.box, printed.places, near, close)
        or not _is_in_place(each, printed, flat, limits.residual)
    }
    return Registration(
        Status.REGISTERED, residual, inliers, warp=warp, doubtful=frozenset(doubtful)
    )


def _bend(places: Points, found: Found, warp: Warp, most: int) -> Points | None:
    """Fit the polynomial that brings the patches to where they were found, outliers aside."""
    seen = found.seen
    here = places[seen]
    wanted = found.moves[seen] + warp.shift(here + found.moves[seen])
    count = next(
        each
        for each in (10, 6, 3, 1)
        if each <= most and (each == 1 or each * PER_TERM <= len(here))
    )
    columns = terms(here, warp.size, count)
    ridge = 1e-3 * len(here) * np.eye(count)
    weights = np.ones(len(here))
    fitted = np.zeros((count, 2))
    # The start is the patches' median, so that a third that is wrong does not drag it along.
    rest = np.hypot(*(wanted - np.median(wanted, axis=0)).T)
    for _ in range(15):
        weights = 1 / (1 + (rest / max(SOFT_MM, float(np.median(rest)))) ** 2) ** 2
        weighted = columns * weights[:, None]
        fitted = np.linalg.solve(columns.T @ weighted + ridge, weighted.T @ wanted)
        rest = np.hypot(*(wanted - columns @ fitted).T)
    return np.asarray(fitted) if np.isfinite(fitted).all() else None


def _has_neighbors(box: Box, places: Points, near: npt.NDArray[np.bool_], close: float) -> bool:
    """Whether the print nearest to a box, as far as it is close, in mm, is in its place."""
    away = np.hypot(
        np.maximum(np.maximum(box.left - places[:, 0], places[:, 0] - box.right), 0),
        np.maximum(np.maximum(box.top - places[:, 1], places[:, 1] - box.bottom), 0),
    )
    closest = np.argsort(away, kind="stable")[:NEIGHBORS]
    closest = closest[away[closest] <= close]
    return int(near[closest].sum()) >= NEIGHBORS_FOUND


def _is_in_place(field: FormField, printed: Print, flat: Gray, limit: float) -> bool:
    """Whether both ends of a box's own print are where they should be, give or take its search.

    A polynomial that follows a few wrong patches would turn the box, or squeeze it. A comb that
    lies a cell farther on has dividers where they should be, but nothing at one edge.
    """
    box = field.box.grown(END_MARGIN_MM)
    wide = min(box.width / 2, END_MM)
    ends = [
        printed.offset(replace(box, left=left, width=wide), flat, field.search + FURTHER_MM)
        for left in (box.left, box.right - wide)
    ]
    if not all(each.known for each in ends):
        return False
    edges = [
        printed.offset(replace(box, left=left, width=2 * END_MARGIN_MM), flat, field.search)
        for left in (box.left, box.right - 2 * END_MARGIN_MM)
    ]
    if not all(each.known for each in edges):
        return False
    moves = [np.array(each.move) for each in ends if each.printed]
    if any(np.hypot(*each) > max(field.search, limit) for each in moves):
        return False
    return len(moves) < 2 or float(np.hypot(*(moves[0] - moves[1]))) <= TURNED_MM


def _without_print(small: Gray, form: Form) -> Registration:
    """Register by ArUco markers, or as the page lies; there is no print to check it by."""
    if form.registration.by == "none":
        return _as_it_lies(small, form)
    return _by_markers(small, form)


def _as_it_lies(small: Gray, form: Form) -> Registration:
    """Take the whole page for the whole form, if both have about the same shape."""
    height, width = small.shape
    seen, expected = width / height, form.width / form.height
    if not 0.95 < seen / expected < 1.05:
        return _failed(
            f"the page is {seen:.2f} times as wide as high, the form {expected:.2f} times"
        )
    size = (form.width, form.height)
    warp = Warp(_whole(size, (width, height), 0), size)
    return Registration(Status.REGISTERED, None, None, warp=warp)


def _by_markers(small: Gray, form: Form) -> Registration:
    """Lay the form by its ArUco markers."""
    limits = form.registration
    which, there = markers(small, limits.aruco or ())
    share = len(which) / len(form.marks)
    if len(which) < FEWEST_MARKERS:
        why = (
            f"{len(which)} of {len(form.marks)} markers were found; "
            f"at least {FEWEST_MARKERS} are needed"
        )
        return Registration(Status.MISREGISTERED, None, share, why)
    here = _corners(form, which)
    warp = Warp(_homography(here, there), (form.width, form.height))
    if not _is_sane(warp):
        return _failed("the markers do not lie as on the form")
    scale = warp.pixels_per_mm(Box(0, 0, form.width, form.height))
    residual = float(np.hypot(*(warp.source(here) - there).T).max()) / scale
    if residual > limits.residual:
        why = f"the markers are {residual:.2f} mm off; at most {limits.residual:g} mm are allowed"
        return Registration(Status.MISREGISTERED, residual, share, why)
    return Registration(Status.REGISTERED, residual, share, warp=warp)


def _corners(form: Form, which: list[int]) -> Points:
    return np.concatenate([form.marks[each].corners for each in which])


def _is_sane(warp: Warp) -> bool:
    """Whether a form lies before the camera, unmirrored, about as wide for its height as it is."""
    corners = Box(0, 0, *warp.size).corners
    depths = np.column_stack([corners, np.ones(4)]) @ warp.matrix[2]
    if not (np.isfinite(warp.matrix).all() and (depths > 0).all()):
        return False
    there = warp.source(corners)
    edges = np.roll(there, -1, axis=0) - there
    turns = (
        edges[:, 0] * np.roll(edges, -1, axis=0)[:, 1]
        - edges[:, 1] * np.roll(edges, -1, axis=0)[:, 0]
    )
    lengths = np.hypot(*edges.T) / np.array([warp.size[0], warp.size[1]] * 2)
    return bool((turns > 0).all() and lengths.min() > 0 and lengths.max() < 2 * lengths.min())


def _is_beyond(warp: Warp, box: Box, image: tuple[int, int]) -> bool:
    slack = BEYOND_MM * warp.pixels_per_mm(box)
    places = warp.source(box.corners)
    return bool((places < -slack).any() or (places > np.array(image) + slack).any())


def _failed(why: str) -> Registration:
    return Registration(Status.MISREGISTERED, None, None, why)
