"""Small pictures of pages for a report, drawn in workers: they decode untrusted bytes."""

from typing import NamedTuple

import cv2

from service.imaging.page import Gray

WIDE, HIGH = 720, 480  # pixels that a picture has at most


class Picture(NamedTuple):
    """A page, reduced to be looked at."""

    width: int  # of the page, in pixels
    height: int
    png: bytes


def draw(gray: Gray) -> Picture:
    """Return the picture of a page of shape (height, width)."""
    height, width = gray.shape
    size = min(WIDE / width, HIGH / height, 1.0)
    shape = max(round(width * size), 1), max(round(height * size), 1)
    small = cv2.resize(gray, shape, interpolation=cv2.INTER_AREA)
    _, png = cv2.imencode(".png", small)
    return Picture(width, height, png.tobytes())
