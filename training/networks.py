"""The networks behind one interface: labels, pixel scaling, geometry, and which are which."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

LABELS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "none")
NONE = LABELS.index("none")
PIXEL_MAX = 255.0


class Network(nn.Module):
    """A fully convolutional network: windows of 32×32 pixels to labels, 4 pixels apart.

    An input of any size from 32×32 up gives the answer of every window at once: the space
    displacement neural network of Matan et al. 1991.
    """

    name: ClassVar[str]

    def forward(self, pixels: Tensor, inside: Tensor | None = None) -> Tensor:
        """Score every window.

        Args:
            pixels: (batch, 1, height, width), uint8 or float, 0 (paper) to 255 (ink).
            inside: (positions,) 0 for windows that lie across two strips laid end to end, 1 for
                all others, so that no strip sees its neighbor; None if there are no such windows.

        Returns:
            (batch, rows, positions, labels) float32 log-probabilities.
        """
        raise NotImplementedError

    def folded(self) -> "Network":
        """Return the network as it ships: normalizations folded into the layers before them."""
        return self

    @classmethod
    def of(cls, state: Mapping[str, Tensor], dropout: float = 0.0) -> Self:
        """Return the network that weights belong to.

        Raises:
            RuntimeError: they are of another network.
        """
        network = cls(dropout)
        network.load_state_dict(state)
        return network


class LeNet5(Network):
    """LeNet-5 as a fully convolutional network over windows of 32×32 pixels.

    The two fully connected layers of LeCun et al. 1998 (section II.B; widths as in LeCun's
    2020 lecture: 20, 50 and 500) are convolutions.
    """

    name = "lenet5"

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 20, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(50, 500, 5),  # "fc1": sees the 5×5 positions that a window leaves
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(500, len(LABELS), 1),  # "fc2"
        )

    def forward(self, pixels: Tensor, inside: Tensor | None = None) -> Tensor:
        """Score every window; each is scored alone, so `inside` changes nothing."""
        scores = self.layers(pixels.float() / PIXEL_MAX)
        return torch.log_softmax(scores.permute(0, 2, 3, 1), dim=-1)


class ContextNet(Network):
    """The second reader: small kernels over the same windows, and a look at the positions around.

    3×3 convolutions with batch normalization (Simonyan and Zisserman 2015; Ioffe and Szegedy
    2015) see the same 32 pixels as LeNet-5. Three residual blocks of a depthwise and two
    pointwise convolutions (Chollet 2017) then let a position see `REACH` positions to each side.
    Positions outside the strip are 0, so the network stays convolutional at any width.

    Args:
        dropout: of the last hidden units.
        normalized: whether it has batch normalization, as it is trained from scratch; without,
            every convolution has a bias instead, as it ships.
    """

    name = "context"

    def __init__(self, dropout: float = 0.0, normalized: bool = True) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> list[nn.Module]:
            return [*_normalized(nn.Conv2d(inputs, outputs, 3), normalized), nn.ReLU()]

        self.trunk = nn.Sequential(
            *convolution(1, 16),
            *convolution(16, 24),
            nn.MaxPool2d(2),
            *convolution(24, 64),
            *convolution(64, 64),
            nn.MaxPool2d(2),
            *convolution(64, 128),
            *convolution(128, 256),
        )
        self.context = nn.ModuleList(_context_block(256, normalized) for _ in range(BLOCKS))
        self.head = nn.Sequential(
            *_normalized(nn.Conv2d(256, 256, 1), normalized),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(256, len(LABELS), 1),
        )

    def forward(self, pixels: Tensor, inside: Tensor | None = None) -> Tensor:
        """Score every window, with what the windows around it show."""
        features = self.trunk(pixels.float() / PIXEL_MAX)  # (batch, 256, rows, positions)
        for block in self.context:
            seen = features if inside is None else features * inside
            features = features + block(seen)
        return torch.log_softmax(self.head(features).permute(0, 2, 3, 1), dim=-1)

    @classmethod
    def of(cls, state: Mapping[str, Tensor], dropout: float = 0.0) -> Self:
        """Return the network that weights, as trained or folded, belong to."""
        network = cls(dropout, normalized="trunk.1.weight" in state)
        network.load_state_dict(state)
        return network

    def folded(self) -> "ContextNet":
        """Return the same function without batch normalization: of the running statistics."""
        other = ContextNet(normalized=False).eval()
        other.to(next(self.parameters()).device)
        for ours, theirs in zip(_chains(self), _chains(other), strict=True):
            for index, layer in enumerate(ours):
                if not isinstance(layer, nn.Conv2d):
                    continue
                norm = ours[index + 1] if index + 1 < len(ours) else None
                fused = layer
                if isinstance(norm, nn.BatchNorm2d):
                    fused = fuse_conv_bn_eval(layer.eval(), norm.eval())
                theirs[index].load_state_dict(fused.state_dict())
        return other


BLOCKS, TAPS = 3, 5  # residual blocks over positions, and the positions that each one sees
REACH = BLOCKS * (TAPS // 2)  # positions that count beside a window's own, to each side


def _normalized(layer: nn.Conv2d, normalized: bool) -> list[nn.Module]:
    """Return a convolution and its normalization; the latter makes a bias pointless."""
    if not normalized:
        return [layer, nn.Identity()]
    layer.bias = None
    return [layer, nn.BatchNorm2d(layer.out_channels)]


def _context_block(channels: int, normalized: bool) -> nn.Sequential:
    taps = nn.Conv2d(channels, channels, (1, TAPS), padding=(0, TAPS // 2), groups=channels)
    return nn.Sequential(
        *_normalized(taps, normalized),
        *_normalized(nn.Conv2d(channels, channels, 1), normalized),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1),
    )


def _chains(network: ContextNet) -> list[nn.Sequential]:
    return [network.trunk, *network.context, network.head]


NETWORKS: Mapping[str, type[LeNet5] | type[ContextNet]] = {
    LeNet5.name: LeNet5,
    ContextNet.name: ContextNet,
}


def geometry(layers: Iterable[nn.Module]) -> tuple[int, int]:
    """Fold a chain of layers into the receptive field and the stride of one output, in pixels."""
    receptive_field, stride = 1, 1
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            receptive_field += (_side(layer.kernel_size) - 1) * stride
            stride *= _side(layer.stride)
    return receptive_field, stride


def _side(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]


RECEPTIVE_FIELD, STRIDE = geometry(LeNet5().layers)
