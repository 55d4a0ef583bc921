"""What a training run needs to know of the stage that it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.config import Config, SequenceConfig, StageRecord

Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Judgment:
    """Held-out figures of one epoch; errors are shares."""

    loss: float
    digit_error: float  # of centered digits
    none_error: float  # of positions that look at nothing
    string_error: float  # of whole strings, read along the best path


@dataclass(frozen=True)
class Optimization:
    """How weights are moved."""

    learning_rate: float  # peak, reached after the warm-up, then a cosine down to the floor
    warmup: float  # share of all steps
    weight_decay: float
    dropout: float  # of the last hidden units
    average: float  # decay per step of the weights' running average
    bfloat16: bool  # whether convolutions multiply in 16 bits
    # Share of the weights gone on from, in the mean of those and the new ones: what was learned
    # before is forgotten less (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    kept: float = 0.0
    floor: float = 0.0  # the learning rate's end, as a share of its peak

    @classmethod
    def of(cls, config: Config | SequenceConfig) -> "Optimization":
        """Return a config's knobs of these names."""
        knobs = config.to_dict()
        return cls(**{each.name: knobs[each.name] for each in fields(cls) if each.name in knobs})


class Stage(Protocol):
    """Batches, a loss, and figures to choose by; equal descriptions give equal weights."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def network(self) -> str:
        """The name of the network that learns, of `training.networks.NETWORKS`."""

    @property
    def epochs(self) -> int:
        """How often the figures are taken."""

    @property
    def steps(self) -> int:
        """Batches in an epoch."""

    @property
    def seed(self) -> int:
        """Decides everything random."""

    @property
    def keeps_last(self) -> bool:
        """Whether the last epoch's weights are kept, rather than those of the least loss."""

    @property
    def optimization(self) -> Optimization:
        """How weights are moved."""

    def describe(self) -> StageRecord:
        """Return, JSON-ready, all that decides the weights: config, and digests of the data."""

    def batches(self, steps: Sequence[int]) -> Dataset[Batch]:
        """Return the batches of some steps, made when they are asked for.

        A batch is a function of the seed and its step alone, so a run that resumes, or has another
        number of workers, sees the same ones.

        Args:
            steps: their numbers, from 0 over the whole run.
        """

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return a batch's loss, a float32 scalar to be minimized.

        Args:
            network: in training mode.
            batch: one of `batches`, on the network's device.
        """

    def judge(self, network: nn.Module, device: torch.device) -> Judgment:
        """Return the figures on held-out digits and lines, by which the best epoch is chosen.

        Args:
            network: with the epoch's weights, averaged.
            device: that it is on.
        """
