"""An opened image's gray levels: of any mode, depth and transparency, one byte a pixel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from service.imaging import backdrop, channels, depth
from service.imaging.page import Channel, Gray, bands

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
WHITE_IS_ZERO, UNSIGNED = 0, 1  # values of PHOTOMETRIC, of SAMPLE_FORMAT


@dataclass(frozen=True)
class GrayLevels:
    """Facts about a file's gray levels that decoding loses."""

    bits: int  # of a channel, where they are more than 8; else 8
    white: float | None = None  # the highest value of one deep channel, if its type has one
    inverted: bool = False  # white is 0; Pillow turns that round at 8 bits, not beyond
    unsigned: bool = False  # 32 bits without a sign

    @classmethod
    def of(cls, image: ImageFile.ImageFile) -> Self:
        """Return the facts of an image before it is loaded: loading drops its raw mode."""
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
        inverted = is_deep and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
        unsigned = tags.get(SAMPLE_FORMAT, (UNSIGNED,)) == (UNSIGNED,)
        if image.mode.startswith("I;16"):
            bits = 12 if tags.get(BITS) == (12,) else 16
            return cls(bits, 2.0**bits - 1, inverted)
        if is_deep:
            return cls(32, None, inverted, image.mode == "I" and bool(tags) and unsigned)
        packing = str(image.tile[0].args) if image.tile else ""
        return cls(16 if ";16" in packing else 8)


def to_gray(
    image: Image.Image, levels: GrayLevels, turn: Callable[[Gray], Gray]
) -> tuple[Gray, Channel, float]:
    """Return an image's gray levels, the channel they are, and how much they were stretched.

    Converted band by band: whole copies of a large page in color are what takes most memory.

    Args:
        image: loaded, not yet turned upright.
        levels: what its file says of them.
        turn: makes its pixels upright.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray, gain = depth.to_gray(
            image, levels.white, levels.unsigned, image.info.get("transparency")
        )
        if levels.inverted:
            np.subtract(255, gray, out=gray)
        return gray, Channel.LUMINANCE, gain
    stretch, gain = depth.stretching(image) if levels.bits > 8 else (None, 1.0)
    few = channels.thinned(image)
    level = None
    if image.has_transparency_data:
        level = backdrop.choose(few.point(stretch) if stretch else few)

    def opaque(part: Image.Image) -> Image.Image:
        if stretch is not None:
            part = part.point(stretch)
        return part if level is None else backdrop.flatten(part, level)

    mix = None
    if level is not None or image.mode not in ("1", "L"):
        mix = channels.choose(turn(np.asarray(_rgb(opaque(few)))))
    gray = np.empty((image.height, image.width), np.uint8)
    for top, bottom in bands(image.width, image.height):
        whole = bottom - top == image.height
        part = opaque(image if whole else image.crop((0, top, image.width, bottom)))
        part = part.convert("L") if mix is None else channels.mixed(_rgb(part), mix)
        gray[top:bottom] = np.asarray(part)
    return gray, Channel.LUMINANCE if mix is None else mix.channel, gain


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")
