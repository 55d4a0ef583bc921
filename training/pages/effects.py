"""A picture of every effect of made pages: a page without it, and below one with it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from service.imaging.page import Gray
from training.config import StripConfig
from training.data.digits import DigitSet
from training.pages.page import random_page

TEXT = "1002754491"  # every shape that an effect changes, and neighbors that are equal
CHOSEN = ("small", "outer_ones", "blank", "lone")  # effects on what is written
BESIDE = {"raised_zeros": ("small_zeros",)}  # effects that others are needed for
LEVELS = 32  # of gray in a picture, to keep its file small
BETWEEN = 4  # rows between the pages


def pictures(digits: DigitSet, seed: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield each effect's name and picture.

    Args:
        digits: whose strokes are traced, of all ten classes.
        seed: decides everything random.
    """
    for effect in StripConfig.switches():
        pair = [page(digits, seed, effect, on) for on in (False, True)]
        shape = (sum(map(len, pair)) + BETWEEN, max(each.shape[1] for each in pair))
        both = np.full(shape, 255, np.uint8)
        for top, each in zip((0, len(pair[0]) + BETWEEN), pair, strict=True):
            both[top : top + len(each), : each.shape[1]] = each
        yield effect, Image.fromarray(both).quantize(LEVELS, dither=Image.Dither.NONE)


def page(digits: DigitSet, seed: int, effect: str, on: bool) -> Gray:
    """Return a page, (height, width) uint8, with an effect or without, and no others."""
    others = BESIDE.get(effect, ())
    config = replace(
        StripConfig.only(effect, *others) if on else StripConfig.only(*others),
        height=(30, 30),
        pen=(0.09, 0.09),
        slants=(0.1, 0.4),
        gaps=(0.15, 0.4),
        margins=(0.3, 0.4),
    )
    text = None if effect in CHOSEN else TEXT
    return random_page(digits, np.random.default_rng(seed), config, text).gray
