"""Gray levels of deep data: 16 and 32 bits, and floating point, by the range that they use.

A 16-bit file may hold the 12 bits of a camera, a float file anything. Where the values use no more
than half of their type's range, that part is stretched to all of 0 to 255, unless it is so little
more than the noise that a blank page would become one of specks.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.imaging.page import Gray, bands

Values = npt.NDArray[np.float64]
Extremes = tuple[float, float]  # the lowest and the highest value

SAMPLED = 2**18  # values that are looked at
OUTLIERS = 1e-4  # share of the values, at each end, that do not count: hot pixels, dust
NOISE = 16  # standard deviations of the noise, from which a range is more than noise; that of
# 2**18 values of noise alone is 7.5
MAX_GAIN = 1024
LEAST_CUT = 15  # of 255: what 12 bits in 16 come to; less is darkness
WHITES = (1.0, 255.0, 4095.0, 65_535.0, 2.0**31 - 1, 2.0**32 - 1)  # of types and conventions


def to_gray(
    image: Image.Image, white: float | None, unsigned: bool = False, clear: int | None = None
) -> tuple[Gray, float]:
    """Return the gray levels of an image of one deep channel, and by how much they were stretched.

    Args:
        image: of Pillow's mode I, F or one that begins with I;16.
        white: the highest value of the file's type; None if it has none that means white.
        unsigned: whether 32 bits that Pillow takes for signed are not.
        clear: the value that stands for a transparent pixel, which becomes white.
    """
    kind = np.uint32 if unsigned else None
    low, high = extremes(image, kind)
    if white is None:
        white = next((each for each in WHITES if high <= each), high)
    spread = high - low
    is_part = spread <= white / 2 or low < 0 or high > white
    if is_part and spread > max(NOISE * noise(image, kind), white / MAX_GAIN):
        black, scale = low, spread
    else:
        black, scale = 0.0, white
    table = _table(black, scale, clear) if image.mode.startswith("I;16") else None
    gray = np.empty((image.height, image.width), np.uint8)
    for top, bottom in bands(image.width, image.height):  # eight bytes a pixel are many
        part = image.crop((0, top, image.width, bottom))
        if table is not None:
            gray[top:bottom] = table[np.asarray(part)]
            continue
        band = values_of(part, kind)
        with np.errstate(all="ignore"):  # values may be infinite, or nearly
            levels = np.clip((band - black) * 255 / scale, 0, 255)
        levels[np.isnan(band) | (band == clear)] = 255
        gray[top:bottom] = levels
    return gray, white / scale


def _table(black: float, scale: float, clear: int | None) -> Gray:
    """Return the gray level of each value of 16 bits."""
    every = np.arange(2**16)
    levels = np.clip((every - round(black)) * 255 // round(scale), 0, 255).astype(np.uint8)
    if clear is not None and 0 <= clear < len(levels):
        levels[clear] = 255
    return levels


def stretching(image: Image.Image) -> tuple[list[int] | None, float]:
    """Return how to stretch 16 bits a channel that were cut to 8, by the bits that are used.

    Of all channels alike, so that colors stay what they are.

    Returns:
        The table for `Image.point`, or None where nothing is stretched; and by how much.
    """
    highest = max(high for _, high in np.atleast_2d(image.getextrema()))
    white = max(2 ** int(highest).bit_length() - 1, LEAST_CUT)
    if 2 * white > 255:
        return None, 1.0
    levels = [min(level * 255 // white, 255) for level in range(256)]
    return levels * len(image.getbands()), 255 / white


def values_of(image: Image.Image, kind: type[np.uint32] | None = None) -> Values:
    """Return an image's values."""
    values = np.asarray(image)
    return np.asarray(values if kind is None else values.view(kind), np.float64)


def extremes(image: Image.Image, kind: type[np.uint32] | None = None) -> Extremes:
    """Return the least and the greatest value of all but outliers."""
    share = min(math.sqrt(SAMPLED / (image.width * image.height)), 1.0)
    size = (max(round(image.width * share), 1), max(round(image.height * share), 1))
    values = values_of(image.resize(size, Image.Resampling.NEAREST), kind)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    low, high = np.quantile(values, (OUTLIERS, 1 - OUTLIERS), method="nearest")
    return float(low), float(high)


def noise(image: Image.Image, kind: type[np.uint32] | None = None) -> float:
    """Estimate the noise's standard deviation, from neighbors in the middle of the image."""
    side = 512
    left, top = max((image.width - side) // 2, 0), max((image.height - side) // 2, 0)
    middle = image.crop((left, top, min(left + side, image.width), min(top + side, image.height)))
    steps = np.diff(values_of(middle, kind), axis=1)
    steps = np.abs(steps[np.isfinite(steps)])
    # 1.4826 times the median is the standard deviation, of a difference of two.
    return 1.4826 * float(np.median(steps)) / math.sqrt(2) if steps.size else 0.0
