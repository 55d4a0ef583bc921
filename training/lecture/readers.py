"""Three ways to read a strip with one network: slide over it, or cut it first, in two ways."""

import numpy as np
import numpy.typing as npt

from service.recognition.decoding.decoder import decode_views
from service.recognition.model import Scorer
from training.lecture import cutting, shipped
from training.lecture.chapter import Setting
from training.networks import RECEPTIVE_FIELD, LeNet5
from training.pages.augment import ink_columns

GAPS = (
    8,
    6,
    4,
    2,
    1,
    0,
    -1,
    -2,
    -3,
    -4,
    -5,
)  # pixels between two digits' ink; below 0 they overlap
READERS = {
    "slide": "one pass, then the decoder",
    "pieces": "cut at gaps",
    "cut": "cut at gaps, wide pieces cut where ink is thinnest",
}
DIGITS = 4  # of a string that is read

Strip = npt.NDArray[np.uint8]


def pair(setting: Setting) -> Strip:
    """Return 32×64 pixels with two digits."""
    rng = np.random.default_rng([setting.seed, 7, 1])
    return shipped.lay(shipped.choose(setting.test, "27", rng), [4, 28], 64)


def string(digits: list[Strip], gap: int) -> Strip:
    """Set digits in a line with a gap between each one's ink and the next one's."""
    lefts, edge = [], RECEPTIVE_FIELD // 2
    for digit in digits:
        first, last = ink_columns(digit)
        lefts.append(edge - first)
        edge += last - first + gap
    return shipped.lay(digits, lefts, edge - gap + RECEPTIVE_FIELD // 2)


def read(reader: str, scorer: Scorer, net: LeNet5, page: Strip) -> str:
    """Read a strip by sliding, or by cutting; both ask the same network."""
    if reader == "slide":
        return decode_views([scorer.score(page)[0]], scorer.metadata).text
    return cutting.read(net, page, cut_wide=reader == "cut")
