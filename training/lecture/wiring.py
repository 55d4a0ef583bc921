"""Layers that know how many connections and how many free weights they have.

A *link* (the papers' connection) joins a unit to one of its inputs, its bias included, and is
counted at the edges too, where the input is a constant. A *free weight* may stand on many links:
that is what sharing means.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAPER = -1.0  # what lies beyond the edges: the 1989 nets' background level

Table = Sequence[Sequence[int]]  # for each map, the input maps that it sees


class Wired(nn.Module):
    """A layer that counts itself."""

    links: int
    free_weights: int


def count(network: nn.Module) -> tuple[int, int]:
    """Return a network's links and free weights."""
    layers = [module for module in network.modules() if isinstance(module, Wired)]
    return sum(layer.links for layer in layers), sum(layer.free_weights for layer in layers)


class Squash(nn.Module):
    """The sigmoid of LeCun 1989: 1.7159·tanh(2x/3), which is ±1 at ±1."""

    def forward(self, sums: Tensor) -> Tensor:
        """Squash each sum."""
        return 1.7159 * torch.tanh(sums * (2 / 3))


class Dense(Wired):
    """Every unit sees every input: y = Wx + b."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(units, inputs))
        self.bias = nn.Parameter(torch.zeros(units))
        self.links = self.free_weights = units * (inputs + 1)

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, …) to (batch, units)."""
        return F.linear(below.flatten(1), self.weight, self.bias)


class _Maps(Wired):
    """Maps of units, each of which sees a square of the maps below."""

    def __init__(self, side: int, kernel: int, stride: int, padded: bool) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.side = -(-side // stride) if padded else (side - kernel) // stride + 1
        missing = (self.side - 1) * stride + kernel - side if padded else 0
        self.before, self.after = missing // 2, missing - missing // 2

    def _padded(self, below: Tensor) -> Tensor:
        if self.before + self.after == 0:
            return below
        return F.pad(below, (self.before, self.after) * 2, value=PAPER)


class Local(_Maps):
    """Local, unshared: y(u) = Σ w(u, i)·x(i) + b(u) over the square that unit u sees."""

    def __init__(self, side: int, kernel: int, inputs: int = 1, stride: int = 2) -> None:
        super().__init__(side, kernel, stride, padded=True)
        seen = inputs * kernel * kernel
        self.weight = nn.Parameter(torch.zeros(self.side**2, seen))
        self.bias = nn.Parameter(torch.zeros(self.side**2))
        self.links = self.free_weights = self.side**2 * (seen + 1)

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, inputs, side, side) to (batch, 1, side/stride, side/stride)."""
        squares = F.unfold(self._padded(below), self.kernel, stride=self.stride)
        sums = torch.einsum("bkl,lk->bl", squares, self.weight) + self.bias
        return sums.reshape(-1, 1, self.side, self.side)


class Shared(_Maps):
    """A convolution: the units of a map share their weights, y = w * x + b.

    Args:
        side: of the maps below.
        kernel: side of the square that a unit sees.
        inputs: maps below.
        maps: how many.
        stride: from one unit's square to the next one's.
        padded: whether units at the edges see paper beyond them; else there are fewer units.
        unit_bias: whether each unit has a bias of its own, as in 1989, or each map.
        table: for each map, the maps below that it sees; None is all of them.
    """

    mask: Tensor

    def __init__(
        self,
        side: int,
        kernel: int,
        inputs: int,
        maps: int,
        *,
        stride: int = 1,
        padded: bool = False,
        unit_bias: bool = False,
        table: Table | None = None,
    ) -> None:
        super().__init__(side, kernel, stride, padded)
        table = [range(inputs)] * maps if table is None else table
        mask = torch.zeros(maps, inputs, 1, 1)
        for row, seen in zip(mask, table, strict=True):
            row[list(seen)] = 1
        self.register_buffer("mask", mask, persistent=False)
        self.full = bool(mask.all())
        self.weight = nn.Parameter(torch.zeros(maps, inputs, kernel, kernel))
        # What a map sees decides how its weights are drawn.
        self.weight.fan_in = int(mask.sum()) * kernel**2 // maps  # type: ignore[attr-defined]
        biases = (maps, self.side, self.side) if unit_bias else (maps, 1, 1)
        self.bias = nn.Parameter(torch.zeros(biases))
        kernels = int(mask.sum()) * kernel**2
        self.links = self.side**2 * (kernels + maps)
        self.free_weights = kernels + self.bias.numel()

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, inputs, side, side) to (batch, maps, …, …)."""
        weight = self.weight if self.full else self.weight * self.mask.to(self.weight.dtype)
        return F.conv2d(self._padded(below), weight, stride=self.stride) + self.bias


class Averaged(Wired):
    """Pooling of 1990: y = w·mean + b over squares of 2×2, one w and one b a map."""

    def __init__(self, side: int, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))
        self.links = maps * (side // 2) ** 2 * 5
        self.free_weights = 2 * maps

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, maps, side, side) to (batch, maps, side/2, side/2)."""
        mean = F.avg_pool2d(below, 2)
        return mean * self.weight[:, None, None] + self.bias[:, None, None]
