"""Training as small as the lecture's nets: seeded weights, a plain loop, errors, intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its 95% interval (Student's t)."""

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return it JSON-ready."""
        return asdict(self)


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of one value a seed, with its interval; of one seed it is infinite."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    reach = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return Interval(mean, mean - float(reach), mean + float(reach))


def proportion(shares: Sequence[float], of: int) -> Interval:
    """Return the mean of shares, each of so many digits, with Wilson's 95% interval (1927)."""
    total = of * len(shares)
    counted = round(sum(shares) * of)
    low, high = stats.binomtest(counted, total).proportion_ci(method="wilson")
    return Interval(counted / total, float(low), float(high))


def randomness(*path: int) -> torch.Generator:
    """Return a generator of its own for a path of numbers, the seed first."""
    state = np.random.SeedSequence(path).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


@torch.no_grad()
def initialize(network: nn.Module, rng: torch.Generator, reach: float | None = None) -> None:
    """Draw all weights evenly from ±√(3/n), n being a unit's inputs; biases are 0.

    Args:
        network: whose weights are redrawn.
        rng: decides them.
        reach: if given, weights are drawn from ±reach/n, as in 1989 (there it was 2.4).
    """
    for parameter in network.parameters():
        if parameter.dim() < 2 or not parameter.requires_grad:
            continue
        # A unit's weights are the last dimensions: (out, in), (out, in, k, k), (out, units, in·k·k).
        inputs = getattr(parameter, "fan_in", None) or parameter[0].numel()
        bound = math.sqrt(3 / inputs) if reach is None else reach / inputs
        parameter.uniform_(-bound, bound, generator=rng)
    for module in network.modules():
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            bias.zero_()


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of 1989: half the mean squared distance to +1 at the label, -1 elsewhere.

    Args:
        outputs: (digits, labels), one unit a label.
        labels: (digits,) int64.
    """
    wanted = 2 * F.one_hot(labels, outputs.shape[1]).to(outputs.dtype) - 1
    return 0.5 * (outputs - wanted).square().mean()


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    rng: torch.Generator,
    *,
    passes: int,
    batch: int,
    optimizer: torch.optim.Optimizer,
    loss: Loss = F.cross_entropy,
    after_pass: Callable[[int], None] | None = None,
) -> None:
    """Train a network in place.

    Args:
        network: (batch, …) images to (batch, labels) scores.
        images: (digits, …) float.
        labels: (digits,) int64.
        rng: decides the order.
        passes: over all digits.
        batch: digits a step.
        optimizer: of the network's weights; its rate falls to 0 as a cosine if it is Adam.
        loss: of scores and labels.
        after_pass: called with the number of complete passes.
    """
    steps = passes * math.ceil(len(images) / batch)
    falling = isinstance(optimizer, torch.optim.Adam)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if falling else None
    for done in range(1, passes + 1):
        network.train()
        for chosen in torch.randperm(len(images), generator=rng).split(batch):
            optimizer.zero_grad()
            loss(network(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            if schedule:
                schedule.step()
        if after_pass:
            after_pass(done)


@torch.inference_mode()
def outputs(network: nn.Module, images: Tensor, batch: int = 500) -> Tensor:
    """Return what a network says of every image."""
    network.eval()
    return torch.cat([network(part) for part in images.split(batch)])


def error(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of digits whose greatest score is not their label's."""
    return float((outputs(network, images).argmax(1) != labels).float().mean())


def tensors(
    images: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]
) -> tuple[Tensor, Tensor]:
    """Return (digits, 1, side, side) float32 images and int64 labels, as training takes them."""
    pixels = torch.from_numpy(np.ascontiguousarray(images, np.float32))[:, None]
    return pixels, torch.from_numpy(labels.astype(np.int64))
