"""Stage one: single windows, and whole strips whose every position is labeled."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from training.config import Config, StageRecord
from training.data.digits import DigitSet, digest
from training.networks import NONE, RECEPTIVE_FIELD, STRIDE, LeNet5
from training.pages.augment import CENTERED, Image, blank, distort, flank, noise, shift, uncentered
from training.pages.strips import IGNORED, position_labels, training_strip
from training.stages.stage import Batch, Judgment, Optimization

Labels = npt.NDArray[np.int64]

SCORED = 128  # held-out windows or strips scored at once


class WindowStage:
    """Learns which digit is centered in a window, or that none is."""

    name = "windows"
    network = LeNet5.name
    keeps_last = False

    def __init__(self, config: Config, training: DigitSet, held_out: DigitSet, source: str) -> None:
        self.config = config
        self.source = source
        self.training = training
        self.held_out = held_out
        self.seed = config.seed
        self.epochs = config.epochs
        self.optimization = Optimization.of(config)

    @property
    def steps(self) -> int:
        """As many as show every digit once."""
        return max(len(self.training) // self.config.windows, 1)

    def describe(self) -> StageRecord:
        """Return the config, the digits' source and their digest."""
        return {
            "data": self.source,
            "config": self.config.to_dict(),
            "training_digits": len(self.training),
            "held_out_digits": len(self.held_out),
            "data_digest": digest(self.training),
        }

    def batches(self, steps: Sequence[int]) -> Dataset[Batch]:
        """Return (windows, labels, strips, labels of all their positions) by step."""
        return WindowBatches(self.training, self.config, steps)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the negative log-likelihood: the mean over windows plus that over positions."""
        windows, window_labels, strips, strip_labels = batch
        of_strips = network(strips)[:, 0].float().flatten(0, 1)  # (strips × positions, labels)
        return window_loss(network, windows, window_labels) + F.nll_loss(
            of_strips, strip_labels.flatten(), ignore_index=IGNORED
        )

    @cached_property
    def judged(self) -> "HeldOutWindows":
        """The fixed data that an epoch is judged by."""
        return HeldOutWindows(self.held_out, self.config)

    def judge(self, network: nn.Module, device: torch.device) -> Judgment:
        """Return the figures on held-out digits; of strings, on the made strips' positions."""
        return self.judged(network, device)


def window_loss(network: nn.Module, windows: Tensor, labels: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of single windows' labels.

    Args:
        network: that scores them.
        windows: (windows, 1, RECEPTIVE_FIELD, RECEPTIVE_FIELD), 0 (paper) to 255 (ink).
        labels: (windows,) int64, of `training.networks.LABELS`.
    """
    return F.nll_loss(network(windows)[:, 0, 0].float(), labels)


class HeldOutWindows:
    """Held-out digits as windows, and strips made of them, the same ones at every call."""

    def __init__(self, digits: DigitSet, config: Config) -> None:
        rng = np.random.default_rng([config.seed, 0, 1])
        fixed = Config(**{**config.to_dict(), "strips": config.validation_strips})
        strips, strip_labels = make_strips(digits, rng, fixed)
        self.windows = torch.from_numpy(digits.images[:, None])
        self.window_labels = torch.from_numpy(digits.labels.astype(np.int64))
        self.strips = torch.from_numpy(strips[:, None])
        self.strip_labels = torch.from_numpy(strip_labels)

    @torch.inference_mode()
    def __call__(self, network: nn.Module, device: torch.device) -> Judgment:
        """Return the mean losses' sum, the digits' error and the error on `none` positions."""
        network.eval()
        of_windows = _scores(network, self.windows, device)[:, 0, 0]
        of_strips = _scores(network, self.strips, device)[:, 0]
        loss = F.nll_loss(of_windows, self.window_labels) + F.nll_loss(
            of_strips.flatten(0, 1), self.strip_labels.flatten()
        )
        predicted = of_strips.argmax(-1)
        wrong = (predicted != self.strip_labels) & (self.strip_labels != IGNORED)
        nothing = self.strip_labels == NONE
        return Judgment(
            loss=loss.item(),
            digit_error=(of_windows.argmax(1) != self.window_labels).double().mean().item(),
            none_error=wrong[nothing].double().mean().item(),
            string_error=wrong.any(1).double().mean().item(),
        )


def _scores(network: nn.Module, pixels: Tensor, device: torch.device) -> Tensor:
    return torch.cat([network(part.to(device)).cpu() for part in pixels.split(SCORED)])


class WindowBatches(Dataset[Batch]):
    """The stage's batches by step; each is made from the seed and its number alone."""

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
                image = uncentered(rng, [any_digit()[0] for _ in range(rng.integers(1, 3))])
            label = NONE
        elif rng.random() < config.plain:
            pick = int(rng.integers(len(digits)))
            image, label = digits.images[pick], int(digits.labels[pick])
        else:
            image, label = any_digit()
            if rng.random() < config.flanked_share:
                neighbors = [any_digit()[0] for _ in range(rng.integers(1, 3))]
                image = flank(image, rng, neighbors, (config.gap_min, config.gap_max))
            image = shift(image, rng, min(config.shift, CENTERED), config.lift)
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
