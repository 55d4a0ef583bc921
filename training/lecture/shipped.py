"""The network that the service ships, opened up: its weights in torch, its maps layer by layer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from service.recognition.model import SHIPPED_MODEL
from training.data.digits import DigitSet
from training.export import load_model
from training.networks import PIXEL_MAX, RECEPTIVE_FIELD, LeNet5

# Where a layer's maps are taken: after its ReLU or pooling; name → index in `LeNet5.layers`.
TAPS = {"conv 1": 1, "pool 1": 2, "conv 2": 4, "pool 2": 5, "fc 1": 7, "scores": 9}


def layers(net: LeNet5 | None = None) -> list[nn.Module]:
    """Return the layers of LeNet-5, in order; of a new one, if none is given."""
    return list((net or LeNet5()).layers.children())


def network() -> LeNet5:
    """Return the shipped network, ready to score."""
    net, _ = load_model(SHIPPED_MODEL)
    assert isinstance(net, LeNet5)
    return net


@torch.inference_mode()
def maps(net: LeNet5, pixels: npt.NDArray[np.generic]) -> dict[str, Tensor]:
    """Return what every layer says of (batch, height, width) pixels, 0 to 255."""
    below = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))[:, None] / PIXEL_MAX
    found = {}
    names = {index: name for name, index in TAPS.items()}
    for index, layer in enumerate(layers(net)):
        below = layer(below)
        if index in names:
            found[names[index]] = below
    return found


@torch.inference_mode()
def probabilities(net: nn.Module, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return (batch, rows, positions, labels) of (batch, height, width) pixels."""
    scores = net(torch.from_numpy(np.ascontiguousarray(pixels, np.float32))[:, None])
    return np.asarray(scores.exp().numpy(), np.float32)


def lay(
    digits: Sequence[npt.NDArray[np.uint8]],
    lefts: Sequence[int],
    width: int,
    height: int = RECEPTIVE_FIELD,
    tops: Sequence[int] | None = None,
) -> npt.NDArray[np.uint8]:
    """Lay windows of digits onto an empty page; where they overlap, the darker ink counts.

    Args:
        digits: (32, 32) windows.
        lefts: each one's left edge on the page; parts beyond the edges are cut off.
        width: of the page.
        height: of the page.
        tops: each one's upper edge; 0 without.
    """
    side = RECEPTIVE_FIELD
    page = np.zeros((height + 2 * side, width + 2 * side), np.uint8)
    for digit, left, top in zip(digits, lefts, tops or [0] * len(lefts), strict=True):
        if -side <= left <= width and -side <= top <= height:
            spot = page[side + top : 2 * side + top, side + left : 2 * side + left]
            np.maximum(spot, digit, out=spot)
    return page[side : side + height, side : side + width]


def choose(digits: DigitSet, labels: str, rng: np.random.Generator) -> list[npt.NDArray[np.uint8]]:
    """Return a random digit's window for each character."""
    return [
        digits.images[rng.choice(np.flatnonzero(digits.labels == int(label)))] for label in labels
    ]
