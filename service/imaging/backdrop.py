"""Transparent images: set on white or on black, whichever shows the ink."""

import numpy as np
from PIL import Image

from service.imaging.channels import LUMINANCE

WHITE, BLACK = 255, 0
FLAT = 32  # levels among the opaque pixels, below which they are all ink, or all paper
LIGHT = 160  # the level from which ink is not seen well on white
DARK = 64  # the level up to which paper is black
PAGE = 0.8  # share of the pixels that are opaque, from which paper is among them


def flatten(image: Image.Image, level: int) -> Image.Image:
    """Return an image as RGB, on a backdrop of some gray level."""
    if image.mode != "RGBA":  # converting would copy
        image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, (level, level, level, 255))
    paper.alpha_composite(image)
    return paper.convert("RGB")


def choose(image: Image.Image) -> int:
    """Choose white or black, for a transparent image.

    Where the opaque pixels are of one level, the drawing is in the transparency, and the backdrop
    must differ from them: white ink wants a black one. Where they are not, ink and paper are both
    opaque, and the backdrop goes on with whatever there is most of.
    """
    pixels = np.asarray(image.convert("RGBA")).reshape(-1, 4)
    alpha = pixels[:, 3]
    opaque = pixels[alpha >= max(int(alpha.max()) // 2, 1)]
    if not len(opaque) or len(opaque) == len(pixels):
        return WHITE
    levels = opaque[:, :3] @ LUMINANCE
    low, usual, high = np.quantile(levels, (0.02, 0.5, 0.98))
    if high - low >= FLAT and len(opaque) >= PAGE * len(pixels):
        return BLACK if usual <= DARK else WHITE
    return BLACK if usual >= LIGHT else WHITE
