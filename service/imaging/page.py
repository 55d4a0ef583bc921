"""A decoded page: what decoding gives and recognition takes. Needs NumPy alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

BAND = 2**20  # pixels converted at a time

Gray = npt.NDArray[np.uint8]  # (height, width), 0 black to 255 white


class Channel(Enum):
    """What of a page's color became its gray levels."""

    LUMINANCE = "luminance"
    RED = "red"
    GREEN = "green"
    BLUE = "blue"
    DROP_OUT = "drop-out"  # a combination in which the color of a printed form is paper


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the row after the last of parts of a page, so that each is small."""
    rows = max(BAND // width, 1)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


@dataclass(frozen=True, eq=False)
class Page:
    """A decoded page, and how its gray levels came from the file."""

    gray: Gray  # (height, width), upright, the file's own pixels
    aspect: float = 1.0  # of a pixel on paper: its width over its height
    channel: Channel = Channel.LUMINANCE
    gain: float = 1.0  # how much the contrast was raised: deep data that use little of their range
