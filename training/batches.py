"""What a step trains on: single windows and whole strips, a function of the seed and the step."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.augment import CENTRED, Image, blank, distort, flank, noise, shift, uncentred
from training.config import Config
from training.dataset import DigitSet
from training.model import NONE, RECEPTIVE_FIELD, STRIDE
from training.strips import position_labels, training_strip

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
Labels = npt.NDArray[np.int64]


class Batches(Dataset[Batch]):
    """The run's batches by step; each is made from the seed and its number alone."""

    def __init__(self, digits: DigitSet, config: Config, steps: Sequence[int]) -> None:
        self.digits = digits
        self.config = config
        self.steps = steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Batch:
        """Return windows, their labels, strips, and the labels of all their positions."""
        rng = np.random.default_rng([self.config.seed, self.steps[index]])
        windows, window_labels = make_windows(self.digits, rng, self.config)
        strips, strip_labels = make_strips(self.digits, rng, self.config)
        return (
            torch.from_numpy(windows[:, None]),
            torch.from_numpy(window_labels),
            torch.from_numpy(strips[:, None]),
            torch.from_numpy(strip_labels),
        )


def make_windows(
    digits: DigitSet, rng: np.random.Generator, config: Config
) -> tuple[Image, Labels]:
    """Return (windows, 32, 32) augmented windows and their labels."""
    images = np.empty((config.windows, RECEPTIVE_FIELD, RECEPTIVE_FIELD), np.uint8)
    labels = np.empty(config.windows, np.int64)

    def any_digit() -> tuple[Image, int]:
        pick = int(rng.integers(len(digits)))
        return distort(digits.images[pick], rng, config), int(digits.labels[pick])

    for index in range(config.windows):
        if rng.random() < config.none_share:
            kind = rng.random()
            if kind < 0.1:
                image = blank(rng)
            elif kind < 0.3:
                image = noise(rng)
            else:
                image = uncentred(rng, [any_digit()[0] for _ in range(rng.integers(1, 3))])
            label = NONE
        elif rng.random() < config.plain:
            pick = int(rng.integers(len(digits)))
            image, label = digits.images[pick], int(digits.labels[pick])
        else:
            image, label = any_digit()
            if rng.random() < config.flanked_share:
                neighbours = [any_digit()[0] for _ in range(rng.integers(1, 3))]
                image = flank(image, rng, neighbours, (config.gap_min, config.gap_max))
            image = shift(image, rng, min(config.shift, CENTRED), config.lift)
        images[index], labels[index] = image, label
    return images, labels


def make_strips(digits: DigitSet, rng: np.random.Generator, config: Config) -> tuple[Image, Labels]:
    """Return (strips, 32, width) strips and (strips, positions) labels."""
    positions = (config.strip_width - RECEPTIVE_FIELD) // STRIDE + 1
    strips = [training_strip(digits, rng, config) for _ in range(config.strips)]
    return (
        np.stack([strip.pixels for strip in strips]),
        np.stack([position_labels(strip, positions) for strip in strips]),
    )
