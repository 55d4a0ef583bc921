"""Where the ink is."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from service.imaging.page import Gray
from service.recognition.normalize.pieces import PIECE, pieces
from service.recognition.normalize.polarity import Polarity, brightened

LEAST_CONTRAST = 12  # gray levels between ink and paper, below which no ink is made out
TRACE = 2.0  # gray levels of smoothed ink, from which a page without ink is not blank, either
ABOVE_NOISE = 8.0  # standard deviations of smoothed noise, the same
STROKES = 0.005  # of a page's area, that traces cover at least
# Of traces that hang together over a good part of the height, as noise does not: the same, their
# height as a share of the page's, and in widths over which the noise is smoothed, at least.
ABOVE_IN_SHAPE, SHAPE, SHAPE_SIDES = 4.0, 0.25, 3

Mask = npt.NDArray[np.bool_]  # (height, width)
Labels = npt.NDArray[np.integer]  # (height, width) numbers of components
Stats = npt.NDArray[np.int32]  # (components, 5) in columns named `cv2.CC_STAT_`


def find_ink(ink: Gray) -> Mask:
    """Return where the ink is, by Otsu's threshold; nowhere on a page without contrast."""
    threshold = round(cv2.threshold(ink, 0, 255, cv2.THRESH_OTSU)[0])
    counts = cv2.calcHist([ink], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    sums = counts * np.arange(256)
    paper, inked = slice(0, threshold + 1), slice(threshold + 1, 256)
    if not counts[inked].any() or not counts[paper].any():
        return np.zeros(ink.shape, np.bool_)
    contrast = sums[inked].sum() / counts[inked].sum() - sums[paper].sum() / counts[paper].sum()
    return ink > threshold if contrast >= LEAST_CONTRAST else np.zeros(ink.shape, np.bool_)


def find_blots(page: Gray, polarity: Polarity, mask: Mask) -> Mask:
    """Return what is as dark as the ink, but wider than any stroke, and was taken for paper.

    Args:
        page: (height, width) uint8.
        polarity: of its ink.
        mask: of that.
    """
    blots = np.zeros(mask.shape, np.bool_)  # where nothing is written, it takes no memory
    if not mask.any():
        return blots
    paper, ink = (_median_level(page, polarity, mask, inked) for inked in (False, True))
    kernel = np.ones((3, 3), np.uint8)
    for seen, kept, piece in pieces(page, 2):
        dark = brightened(page[:, seen], polarity) >= (paper + 2 * ink) / 3
        dark[mask[:, seen]] = False
        opened = cv2.morphologyEx(dark.view(np.uint8), cv2.MORPH_OPEN, kernel)[:, kept]
        if cv2.countNonZero(opened):
            blots[:, piece] = opened
    return blots


def has_traces(ink: Gray) -> bool:
    """Whether a page on which no ink is made out has traces of some: it is not blank, then.

    Smoothed over the width of a stroke, noise averages out, and what has a shape remains.

    Args:
        ink: (height, width) uint8, gray levels above the local background.
    """
    return any(_has_traces(ink[:, left : left + PIECE]) for left in range(0, ink.shape[1], PIECE))


def components(mask: Mask) -> Iterator[tuple[int, Labels, Stats]]:
    """Find connected ink, piece by piece: the map of components takes up to four bytes a pixel.

    Yields:
        A piece's first column; its map, (height, columns), 0 where there is no ink; and OpenCV's
        statistics of each component, (components, 5), in columns of the page.
    """
    for left in range(0, mask.shape[1], PIECE):
        labels, stats = connected(mask[:, left : left + PIECE].view(np.uint8))
        stats[:, cv2.CC_STAT_LEFT] += left
        yield left, labels, stats[1:]


def boxes(mask: Mask) -> Stats:
    """Return OpenCV's statistics of each component of a page's ink, (components, 5)."""
    return np.concatenate([stats for _, _, stats in components(mask)])


def connected(ink: cv2.typing.MatLike) -> tuple[Labels, Stats]:
    """Find connected ink: its map, 0 where there is none, and the statistics, the paper's first.

    Args:
        ink: (height, width) uint8, not 0 where ink is.
    """
    # Two of them are a pixel apart, so their numbers fit in 16 bits, which takes half the time.
    few = ((ink.shape[0] + 1) // 2) * ((ink.shape[1] + 1) // 2) < 2**16
    kind = cv2.CV_16U if few else cv2.CV_32S
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=kind)
    return np.asarray(labels, np.uint16 if few else np.int32), np.asarray(stats, np.int32)


def stroke_width(ink: Mask | Gray) -> float:
    """Estimate how wide strokes are, by what an erosion takes from both their sides, pixels.

    Args:
        ink: (height, width) not 0 where ink is.
    """
    pixels = ink.view(np.uint8)
    area = cv2.countNonZero(pixels)
    inner, kernel = 0, np.ones((3, 3), np.uint8)
    for seen, kept, _ in pieces(pixels, 1) if area else ():
        inner += cv2.countNonZero(cv2.erode(pixels[:, seen], kernel)[:, kept])
    return 2 / max(1 - inner / max(area, 1), 0.05)


def median_level(levels: Gray, where: Mask) -> int:
    """Return the median gray level of some pixels; 0 of none."""
    return _median(cv2.calcHist([levels], [0], where.view(np.uint8), [256], [0, 256]).ravel())


def _median_level(page: Gray, polarity: Polarity, mask: Mask, inked: bool) -> int:
    """Return the median level of a brightened page, where ink is or where none is; 0 of nowhere."""
    counts = np.zeros(256)
    for _, _, piece in pieces(page, 0):
        levels, ink = brightened(page[:, piece], polarity), mask[:, piece]
        where = (ink if inked else ~ink).view(np.uint8)
        counts += cv2.calcHist([levels], [0], where, [256], [0, 256]).ravel()
    return _median(counts.astype(np.float32))


def _median(counts: cv2.typing.MatLike) -> int:
    """Return the median level of pixels that are counted by level."""
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _has_traces(ink: Gray) -> bool:
    side = max(ink.shape[0] // 24, 3) | 1
    above = ink.astype(np.float32) - np.median(ink)
    # Paper surrounds the page: mirrored, the same noise would count twice along the edges.
    smooth = cv2.blur(above, (side, side), borderType=cv2.BORDER_CONSTANT)
    low, median, high = np.quantile(smooth, [0.16, 0.5, 1 - STROKES]).tolist()
    noise = max(1.4826 * float(np.median(np.abs(above - smooth))) / side, median - low)
    if high - median >= max(TRACE, ABOVE_NOISE * noise):
        return True
    shapes = smooth >= median + max(TRACE, ABOVE_IN_SHAPE * noise)
    _, stats = connected(shapes.view(np.uint8))
    tall = int(stats[1:, cv2.CC_STAT_HEIGHT].max(initial=0))
    return bool(tall >= max(SHAPE * len(ink), SHAPE_SIDES * side))
