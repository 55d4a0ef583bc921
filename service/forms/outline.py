"""The outline of a page: bright paper before something darker, as photos and open lids show it."""

from collections.abc import Iterator

import cv2
import numpy as np

from service.forms.places import Points
from service.imaging.page import Gray

LEAST_PAPER = 0.25  # share of the image that the page has
STRAIGHT = 0.01  # of the outline's length by which a side of it may be curled


def outlines(gray: Gray) -> Iterator[Points]:
    """Yield the page's corners (4, 2), clockwise, beginning at each of them; or nothing.

    A corner may be torn off: corners are where the four longest sides would meet.

    Args:
        gray: (height, width) of the image.
    """
    corners = _corners(gray)
    if corners is not None:
        for turn in range(4):
            yield np.roll(corners, -turn, axis=0)


def _corners(gray: Gray) -> Points | None:
    smooth = cv2.GaussianBlur(gray, (0, 0), max(min(gray.shape) / 300, 1.0))
    _, paper = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    # Print and writing are part of the page.
    side = max(min(gray.shape) // 40, 3)
    paper = cv2.morphologyEx(paper, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    found, _ = cv2.findContours(paper, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not found:
        return None
    hull = cv2.convexHull(max(found, key=cv2.contourArea))
    if cv2.contourArea(hull) < LEAST_PAPER * gray.size:
        return None
    sides = cv2.approxPolyDP(hull, STRAIGHT * cv2.arcLength(hull, True), True).reshape(-1, 2)
    if len(sides) < 4:
        return None
    begin = sides.astype(np.float64) + 0.5
    end = np.roll(begin, -1, axis=0)
    longest = np.sort(np.argsort(-np.hypot(*(end - begin).T), kind="stable")[:4])
    lines = np.cross(_homogeneous(begin[longest]), _homogeneous(end[longest]))
    meet = np.cross(np.roll(lines, 1, axis=0), lines)
    if (np.abs(meet[:, 2]) < 1e-9).any():
        return None
    corners = meet[:, :2] / meet[:, 2:]
    x, y = corners.T
    area = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    return np.asarray(corners if area > 0 else corners[::-1])


def _homogeneous(points: Points) -> Points:
    return np.column_stack([points, np.ones(len(points))])
