"""What is printed on a form: patches of its reference, and where a page has them.

A page is registered where its print is. So every way to find a page is checked, and bent into
place, by the same patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from service.errors import BadForm
from service.forms.places import Box, Matrix, Points, Warp
from service.imaging.page import Gray

PATCH_MM = 6.0  # side of a patch
APART_MM = 5.0  # centers of two, at least
MOST_PATCHES = 160
THIN_MM = 1.2  # thickness of print that is subtracted, at most
LEAST_DARK = 25  # gray levels that it is darker than the paper around it
FEWEST_PATCHES = 12  # that can tell a form from another
MOST_WRITTEN = 0.27  # share of a patch that lies in fields
LEAST_CORRELATION = 0.55  # of a patch with what a page has there
BESIDE_MM = 0.8  # beyond a box's print that is compared with it
LEAST_LIKENESS = 0.25  # of a box with print, written over
AS_GOOD = 0.03  # correlation by which another place must be better than the expected one
LEAST_CONTRAST = 6.0  # standard deviation of a patch, gray levels
OWN_RIVAL = 0.85  # correlation of a patch with the print around it, from which it is ambiguous
REACH_MM = 4.0  # by which print is looked for around its place
SMOOTH = 1.2  # pixels: noise and the print's edges must not decide
KEYPOINTS = 2000
RATIO = 0.8  # of the distances to a keypoint's nearest and second nearest (Lowe 2004)
RANSAC_MM = 2.0  # a page that is curled lies so far from any plane

Descriptors = Any  # of keypoints: uint8 of ORB, float32 of SIFT; None if there are none
Bools = npt.NDArray[np.bool_]


class Keypoints(Enum):
    """Kinds of keypoints, the quicker first; the second finds what the first does not."""

    ORB = "orb"
    SIFT = "sift"


def work_scale(size: tuple[float, float]) -> float:
    """Return the pixels a mm at which pages of a size are registered."""
    return min(max(1400 / max(size), 4.0), 8.0)


@dataclass(frozen=True)
class Found:
    """Where a page has the patches of a form."""

    moves: Points  # (patches, 2) mm from each patch's place
    seen: Bools  # (patches,) whether the page has it at all

    def near(self, limit: float) -> Bools:
        """Return which patches are within a limit, mm, of their places."""
        return np.asarray(self.seen & (np.hypot(*self.moves.T) <= limit))


@dataclass(frozen=True)
class Offset:
    """By how much the print of a part of a form is off."""

    move: tuple[float, float] = (0.0, 0.0)  # mm
    known: bool = True  # False if the page has nothing like it
    printed: bool = True  # False if there is none to look for


@dataclass(frozen=True, eq=False)
class Print:
    """The print of a form, at the scale of registration."""

    gray: Gray  # (height, width) of the whole form
    scale: float  # pixels a mm
    size: tuple[float, float]  # mm
    places: Points  # (patches, 2) mm, their centers
    known: Gray | None = None  # (height, width) 255 where every page has this print; None: all over

    @classmethod
    def of(
        cls,
        reference: Gray,
        size: tuple[float, float],
        boxes: Sequence[Box],
        within: Sequence[Box] = (),
    ) -> "Print":
        """Choose patches of a reference that lie outside the fields, where pen ink covers them.

        Args:
            reference: (height, width), the blank form.
            size: of the form, mm.
            boxes: of the fields, mm.
            within: mm, where every page has the same print; without, all over.
        """
        scale = work_scale(size)
        ratio = reference.shape[1] / size[0], reference.shape[0] / size[1]
        gray = Warp(np.diag([*ratio, 1.0]), size).cut(reference, Box(0, 0, *size), scale)
        half = round(PATCH_MM * scale / 2)
        covered = cv2.blur(_drawn(boxes, gray.shape, scale), (2 * half + 1, 2 * half + 1))
        mask = np.zeros(gray.shape, np.uint8)
        mask[half + 1 : -half - 1, half + 1 : -half - 1] = 255
        mask[covered > MOST_WRITTEN * 255] = 0
        known = _drawn(within, gray.shape, scale) if within else None
        if known is not None:
            mask &= known
        smooth = np.asarray(cv2.GaussianBlur(gray, (0, 0), SMOOTH), np.uint8)
        corners = cv2.goodFeaturesToTrack(
            smooth, 4 * MOST_PATCHES, 0.02, APART_MM * scale, mask=mask, blockSize=9
        )
        points = np.zeros((0, 2)) if corners is None else corners.reshape(-1, 2)
        whole = cls(smooth, scale, size, (np.rint(points) + 0.5) / scale, known)
        return replace(whole, places=whole.places[whole._distinct()][:MOST_PATCHES])

    def check(self) -> None:
        """Check that there is enough print, and that it does not look the same upside down.

        Raises:
            BadForm: it cannot register a page.
        """
        if len(self.places) < FEWEST_PATCHES:
            where, mend = (
                "outside the fields",
                "Print titles, labels or marks, or register by ArUco markers without a reference",
            )
            if self.known is not None:
                where, mend = "in its patches", "Take larger ones, or more"
            raise BadForm(
                f"reference: {len(self.places)} places of its print, {where}, are unlike what is "
                f"around them; at least {FEWEST_PATCHES} are needed. {mend}",
                "form.reference",
            )
        turned = np.ascontiguousarray(self.gray[::-1, ::-1])
        if self.find(turned).near(0.5).mean() > 0.3:
            raise BadForm(
                "reference: it looks the same upside down; print a title or a mark on one side",
                "form.reference",
            )

    def find(self, page: Gray, reach: float = REACH_MM) -> Found:
        """Find the patches on a page that lies as the form does, in its scale.

        Args:
            page: (height, width), as large as the form's own picture.
            reach: mm by which a patch may be off.
        """
        page = np.asarray(cv2.GaussianBlur(page, (0, 0), SMOOTH), np.uint8)
        moves, best = np.zeros_like(self.places), np.zeros(len(self.places))
        for index, place in enumerate(self.places):
            around, offset = self._window(page, place, reach)
            scores = self._scores(around, self._patch(place))
            row, column = np.unravel_index(int(scores.argmax()), scores.shape)
            best[index] = scores[row, column]
            peak = np.array(
                [column + _peak(scores[row], int(column)), row + _peak(scores[:, column], int(row))]
            )
            moves[index] = (peak - offset) / self.scale
        return Found(moves, best >= LEAST_CORRELATION)

    def offset(self, box: Box, page: Gray, reach: float) -> Offset:
        """Return by how much the print of a box is off on a page that lies as the form does.

        Args:
            box: mm.
            page: (height, width), as large as the form's own picture.
            reach: mm by which it may be off.
        """
        far = round(reach * self.scale)
        height, width = self.gray.shape
        left, top = (max(round(each * self.scale), 0) for each in (box.left, box.top))
        right = min(round(box.right * self.scale), width)
        bottom = min(round(box.bottom * self.scale), height)
        wanted = self.gray[top:bottom, left:right]
        if not wanted.size or wanted.std() < LEAST_CONTRAST:
            return Offset(printed=False)
        padded = cv2.copyMakeBorder(page, far, far, far, far, cv2.BORDER_REPLICATE)
        around = np.asarray(padded[top : bottom + 2 * far, left : right + 2 * far], np.uint8)
        # Only print and the paper beside it count: what is written in a box outweighs its rules.
        beside = np.ones((2 * max(round(BESIDE_MM * self.scale), 1) + 1,) * 2, np.uint8)
        counted = np.asarray(cv2.dilate(thin_print(wanted, self.scale), beside), np.uint8)
        scores = self._scores(
            np.asarray(cv2.GaussianBlur(around, (0, 0), SMOOTH), np.uint8), wanted, counted
        )
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        if scores[row, column] < LEAST_LIKENESS:
            return Offset(known=False)
        if scores[far, far] >= scores[row, column] - AS_GOOD:  # along a rule, all places are alike
            return Offset()
        return Offset((float(column - far) / self.scale, float(row - far) / self.scale))

    def homography(self, page: Gray, kind: Keypoints) -> Matrix | None:
        """Find the form in a page by its keypoints, however it is turned.

        Args:
            page: (height, width), in about the scale of the form's picture.
            kind: of keypoints.

        Returns:
            (3, 3) from mm to the page's pixels; None if too few keypoints agree.
        """
        points, descriptors = _keypoints(page, kind)
        own_points, own = self._own_keypoints[kind]
        if descriptors is None or own is None or min(len(descriptors), len(own)) < 8:
            return None
        norm = cv2.NORM_HAMMING if kind is Keypoints.ORB else cv2.NORM_L2
        pairs = cv2.BFMatcher(norm).knnMatch(own, descriptors, k=2)
        good = [pair[0] for pair in pairs if pair[0].distance < RATIO * pair[1].distance]
        if len(good) < 8:
            return None
        here = np.array([own_points[each.queryIdx] for each in good]) / self.scale
        there = np.array([points[each.trainIdx] for each in good])
        threshold = RANSAC_MM * _spread(there) / max(_spread(here), 1e-6)
        matrix, chosen = cv2.findHomography(
            here, there, cv2.USAC_MAGSAC, threshold, maxIters=5000, confidence=0.9999
        )
        if matrix is None or chosen.sum() < 8:
            return None
        return np.asarray(matrix, np.float64)

    @cached_property
    def _own_keypoints(self) -> dict[Keypoints, tuple[Points, Descriptors]]:
        return {kind: _keypoints(self.gray, kind, self.known) for kind in Keypoints}

    def _patch(self, place: npt.NDArray[np.float64]) -> Gray:
        x, y = np.floor(place * self.scale).astype(int)
        half = round(PATCH_MM * self.scale / 2)
        return self.gray[y - half : y + half + 1, x - half : x + half + 1]

    def _window(
        self, page: Gray, place: npt.NDArray[np.float64], reach: float
    ) -> tuple[Gray, npt.NDArray[np.int64]]:
        """Return what a page has around a place, and where in it the patch would begin."""
        far = round((PATCH_MM / 2 + reach) * self.scale)
        half = round(PATCH_MM * self.scale / 2)
        x, y = np.floor(place * self.scale).astype(int)
        left, top = max(x - far, 0), max(y - far, 0)
        return page[top : y + far + 1, left : x + far + 1], np.array(
            [x - half - left, y - half - top]
        )

    def _scores(
        self, around: Gray, patch: Gray, counted: Gray | None = None
    ) -> npt.NDArray[np.float32]:
        scores = cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED, mask=counted)
        # Where there is nothing at all, the correlation is none, or any number.
        return np.clip(np.nan_to_num(scores, nan=0, posinf=0, neginf=0), -1, 1)

    def _distinct(self) -> Bools:
        """Return which patches have contrast, and look like nothing else within reach."""
        distinct = np.zeros(len(self.places), bool)
        clear = round(1.0 * self.scale)  # a patch looks like itself, a little off
        for index, place in enumerate(self.places):
            patch = self._patch(place)
            if patch.std() < LEAST_CONTRAST:
                continue
            around, (x, y) = self._window(self.gray, place, REACH_MM)
            scores = self._scores(around, patch)
            scores[max(y - clear, 0) : y + clear + 1, max(x - clear, 0) : x + clear + 1] = 0
            distinct[index] = scores.max(initial=0) < OWN_RIVAL
        return distinct


def thin_print(blank: Gray, scale: float) -> Gray:
    """Return the thin dark print of a part of the reference: rules, dividers, letters."""
    return np.asarray(darkness(blank, scale) > LEAST_DARK, np.uint8)


def darkness(gray: Gray, scale: float) -> Gray:
    """Return by how many levels darker thin strokes are than the paper around them."""
    side = round(THIN_MM * scale) * 2 | 1
    return np.asarray(
        cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((side, side), np.uint8)), np.uint8
    )


def _drawn(boxes: Sequence[Box], shape: tuple[int, ...], scale: float) -> Gray:
    """Return a picture of boxes, 255 on 0."""
    drawn = np.zeros(shape, np.uint8)
    for box in boxes:
        left, top, right, bottom = (
            max(round(each * scale), 0) for each in (box.left, box.top, box.right, box.bottom)
        )
        drawn[top:bottom, left:right] = 255
    return drawn


def _keypoints(
    gray: Gray, kind: Keypoints, within: Gray | None = None
) -> tuple[Points, Descriptors]:
    orb = kind is Keypoints.ORB
    finder = cv2.ORB.create(KEYPOINTS) if orb else cv2.SIFT.create(KEYPOINTS)
    if within is None:
        within = np.full(gray.shape, 255, np.uint8)
    found, descriptors = finder.detectAndCompute(gray, within)
    return np.array([each.pt for each in found]).reshape(-1, 2) + 0.5, descriptors


def _peak(scores: npt.NDArray[np.float32], at: int) -> float:
    """Return by how much a parabola through three scores peaks off the middle one."""
    if not 0 < at < len(scores) - 1:
        return 0.0
    before, here, after = (float(each) for each in scores[at - 1 : at + 2])
    below = before - 2 * here + after
    return 0.5 * (before - after) / below if below < 0 else 0.0


def _spread(points: Points) -> float:
    return float(np.sqrt(points.var(axis=0).sum()))
