"""The road not taken: find the characters first, cut them out, then ask the network about each.

Two cutters as textbooks have them. They are here to be compared with, in chapter 7.
"""

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize import INK
from training.lecture.shipped import probabilities
from training.networks import NONE, RECEPTIVE_FIELD, LeNet5
from training.pages.augment import ink_columns

Page = npt.NDArray[np.uint8]  # (32, width), ink bright on 0
Span = tuple[int, int]  # of columns: the first, and the one past the last

LEAST_AREA = 8  # pixels of ink below which a component is a speck
# Of its height, from which a piece is taken for two digits; of 1.15, 1.3, 1.45, 1.6 and 1.8 the one
# by which most strings of training digits were read.
WIDE = 1.45


def components(page: Page) -> list[tuple[Span, Page]]:
    """Return the connected pieces of ink, left to right, each alone on its page.

    Pieces that stand above each other are one digit: a five's roof belongs to the five.
    """
    count, names, stats, _ = cv2.connectedComponentsWithStats(
        (page >= INK).astype(np.uint8), connectivity=8
    )
    found: list[tuple[int, int, list[int]]] = []
    order = sorted(range(1, count), key=lambda name: int(stats[name, cv2.CC_STAT_LEFT]))
    for name in order:
        if stats[name, cv2.CC_STAT_AREA] < LEAST_AREA:
            continue
        left = int(stats[name, cv2.CC_STAT_LEFT])
        right = left + int(stats[name, cv2.CC_STAT_WIDTH])
        if found:
            first, last, members = found[-1]
            overlap = min(last, right) - left
            if overlap > 0.5 * min(last - first, right - left):
                found[-1] = (first, max(last, right), [*members, name])
                continue
        found.append((left, right, [name]))
    # Faint ink round a piece belongs to it.
    kernel = np.ones((3, 3), np.uint8)
    return [
        (
            (left, right),
            np.where(cv2.dilate(_mask(names, members), kernel) > 0, page, np.uint8(0)),
        )
        for left, right, members in found
    ]


def _mask(names: cv2.typing.MatLike, members: list[int]) -> npt.NDArray[np.uint8]:
    return np.isin(names, members).astype(np.uint8)


def thinnest(page: Page, span: Span, height: int) -> list[Span]:
    """Cut a span that is too wide for one digit of a height where its column has the least ink."""
    left, right = span
    if right - left <= max(WIDE * height, 4):
        return [span]
    ink = page[:, left:right].astype(np.int64).sum(0)
    margin = (right - left) // 4
    cut = left + margin + int(ink[margin : right - left - margin].argmin())
    return [*thinnest(page, (left, cut), height), *thinnest(page, (cut, right), height)]


def characters(page: Page, cut_wide: bool) -> list[Page]:
    """Return windows, each with one piece in its middle, as a segmenting reader makes them."""
    windows = []
    for span, alone in components(page):
        height = int((alone >= INK).any(1).sum())
        for left, right in thinnest(alone, span, height) if cut_wide else [span]:
            part = np.zeros_like(alone)
            part[:, left:right] = alone[:, left:right]
            windows.append(centered(part))
    return windows


def centered(page: Page) -> Page:
    """Return a window with the page's ink in its middle; what is too wide is cut off."""
    side = RECEPTIVE_FIELD
    first, last = ink_columns(page)
    left = (first + last) // 2 - side // 2
    padded = np.pad(page, ((0, 0), (side, side)))
    return padded[:, side + left : 2 * side + left]


def read(net: LeNet5, page: Page, cut_wide: bool) -> str:
    """Read a page by cutting it into characters; each piece is one of the ten digits."""
    windows = characters(page, cut_wide)
    if not windows:
        return ""
    chances = probabilities(net, np.stack(windows))[:, 0, 0, :NONE]
    return "".join(str(label) for label in chances.argmax(1))
