"""The kinds of layer, one small module each: normalize, project, rectify, pool."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 7  # side of a neighborhood, pixels
SPREAD = 1.6  # of the Gaussian that weighs it


class Whitening(nn.Module):
    """Whitening: y = (Σ + εI)^(-1/2)·(x - μ), with μ and Σ of the digits it was fitted to.

    Afterwards the pixels have mean 0 and, where the digits vary by more than ε, variance 1 and no
    correlation. The root is the symmetric one, so that y still looks like an image.
    """

    mean: Tensor
    root: Tensor

    def __init__(self, images: Tensor, epsilon: float = 0.05) -> None:
        """Fit to (digits, 1, side, side) images."""
        super().__init__()
        flat = images.flatten(1).double()
        mean = flat.mean(0)
        values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
        root = vectors @ torch.diag((values.clamp(min=0) + epsilon).rsqrt()) @ vectors.T
        self.register_buffer("mean", mean.to(images.dtype))
        self.register_buffer("root", root.to(images.dtype))

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, 1, side, side) to the same shape."""
        return ((below.flatten(1) - self.mean) @ self.root).reshape(below.shape)


class _Neighborhood(nn.Module):
    """A Gaussian-weighted mean over a square and over all maps; edges are reflected."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
        bell = torch.exp(-0.5 * (places / SPREAD) ** 2)
        square = torch.outer(bell, bell)
        self.register_buffer("weights", (square / square.sum())[None, None])

    def mean(self, below: Tensor) -> Tensor:
        """Return Σ w·x round every pixel, (batch, 1, height, width)."""
        maps = below.mean(1, keepdim=True)
        padded = F.pad(maps, (WINDOW // 2,) * 4, mode="reflect")
        return F.conv2d(padded, self.weights.to(below.dtype))


class Subtractive(_Neighborhood):
    """Average removal, a high-pass: y = x - Σ w·x over the neighborhood (Jarrett et al. 2009)."""

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, maps, height, width) to the same shape."""
        return below - self.mean(below)


class Divisive(_Neighborhood):
    """Local contrast: y = v / max(c, s), v the average removed, s = √(Σ w·v²), c the mean of s.

    What is as contrasted as its image is left; what is fainter than that is not blown up.
    """

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, maps, height, width) to the same shape."""
        removed = below - self.mean(below)
        # The root has no slope at 0; even paper gets none.
        deviation = (self.mean(removed.square()) + 1e-12).sqrt()
        usual = deviation.mean((2, 3), keepdim=True)
        return removed / torch.maximum(deviation, usual)


class FilterBank(nn.Module):
    """Projections onto filters: y(k) = w(k)·x + b(k), x the square round a unit.

    A 5×5 square has 25 dimensions. More filters than that are an *overcomplete* projection: x can
    be had back from y, and nearby filters can share out what they find sparsely.
    """

    def __init__(self, inputs: int, filters: int, kernel: int = 5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(filters, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(filters))

    @property
    def overcompleteness(self) -> float:
        """Filters for each dimension of what a unit sees."""
        return len(self.weight) / self.weight[0].numel()

    def forward(self, below: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, filters, height-4, width-4)."""
        return F.conv2d(below, self.weight, self.bias)

    def rank(self) -> int:
        """Return how many dimensions of the square the filters keep."""
        return int(torch.linalg.matrix_rank(self.weight.detach().flatten(1)))

    def restore(self, projected: Tensor) -> Tensor:
        """Return squares from what the filters say of them: (…, filters) to (…, inputs·k·k)."""
        back = torch.linalg.pinv(self.weight.detach().flatten(1))
        restored: Tensor = (projected - self.bias.detach()) @ back.T
        return restored


class ReLU(nn.Module):
    """Rectification: y = max(x, 0). What it lets through is sparse: about half is exactly 0."""

    def forward(self, below: Tensor) -> Tensor:
        """Rectify."""
        return below.clamp(min=0)


def sparsity(values: Tensor) -> tuple[float, float]:
    """Return the share of zeros, and Hoyer's measure (2004): 0 if all are alike, 1 if one is not 0.

    Hoyer's is (√n - Σ|x|/√Σx²)/(√n - 1) for each row, averaged.
    """
    rows = values.flatten(1)
    root = math.sqrt(rows.shape[1])
    norm = rows.square().sum(1).sqrt().clamp(min=1e-12)
    hoyer = (root - rows.abs().sum(1) / norm) / (root - 1)
    return float((rows == 0).double().mean()), float(hoyer.mean())


def squares(below: Tensor, side: int = 2) -> Tensor:
    """Cut maps into squares: (batch, maps, height, width) to (…, height/side, width/side, side²)."""
    cut = below.unfold(2, side, side).unfold(3, side, side)
    return cut.flatten(-2)


class MaxPool(nn.Module):
    """Pooling by maximum: y = max x over 2×2."""

    def forward(self, below: Tensor) -> Tensor:
        """Halve both sides."""
        return squares(below).amax(-1)


class AveragePool(nn.Module):
    """Pooling by average: y = mean x over 2×2."""

    def forward(self, below: Tensor) -> Tensor:
        """Halve both sides."""
        return squares(below).mean(-1)


class LpPool(nn.Module):
    """Pooling by L_p: y = (Σ|x|^p)^(1/p) over 2×2; p → ∞ gives the greatest |x|, p = 1 the sum.

    The slide prints ‖|x|^p‖; the norm sign is the root of the sum, so this is what is meant.
    """

    def __init__(self, p: float = 2) -> None:
        super().__init__()
        self.p = p

    def forward(self, below: Tensor) -> Tensor:
        """Halve both sides."""
        sizes = squares(below).abs()
        # Scaled by the greatest, no power overflows; 1e-12 keeps the root's slope finite at 0.
        greatest = sizes.amax(-1, keepdim=True).detach().clamp(min=1e-12)
        sums = ((sizes / greatest) ** self.p).sum(-1) + 1e-12
        return greatest[..., 0] * sums ** (1 / self.p)


class LogProbPool(nn.Module):
    """Pooling by log-prob: y = (1/b)·log mean e^(bx) over 2×2; b → ∞ the maximum, b → 0 the mean.

    The slide prints it without the logarithm, which would grow as e^(bx) and have neither limit.
    """

    def __init__(self, b: float = 2) -> None:
        super().__init__()
        self.b = b

    def forward(self, below: Tensor) -> Tensor:
        """Halve both sides."""
        cut = squares(below)
        sums = torch.logsumexp(self.b * cut, -1) - math.log(cut.shape[-1])
        return sums / self.b
