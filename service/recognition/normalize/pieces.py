"""A wide page in pieces, so that steps on it take little memory."""

from collections.abc import Iterator

from service.imaging.page import Gray

PIECE = 16_384  # columns that are looked at once, where more would take too much memory


def pieces(page: Gray, reach: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut a page's columns into pieces that can be filtered one by one.

    Args:
        page: (height, width).
        reach: columns to either side that a filter looks at.

    Yields:
        The page's columns that are seen, a piece and what is in reach of it; which of those are the
        piece; and the piece as columns of the page.
    """
    width = page.shape[1]
    for left in range(0, width, PIECE):
        right = min(left + PIECE, width)
        first, last = max(left - reach, 0), min(right + reach, width)
        yield slice(first, last), slice(left - first, right - first), slice(left, right)
