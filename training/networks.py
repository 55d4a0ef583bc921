"""LeNet-5 without a dense layer: labels, pixel scaling, geometry and the network itself."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

LABELS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "none")
NONE = LABELS.index("none")
PIXEL_MAX = 255.0


class LeNet5(nn.Module):
    """LeNet-5 as a fully convolutional network over windows of 32×32 pixels.

    The two fully connected layers of LeCun et al. 1998 (section II.B; widths as in LeCun's
    2020 lecture: 20, 50 and 500) are convolutions, so an input of any size from 32×32 up
    gives the answer of every window at once: the space displacement neural network of
    Matan et al. 1991.
    """

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

    def forward(self, pixels: Tensor) -> Tensor:
        """Score every window.

        Args:
            pixels: (batch, 1, height, width), uint8 or float, 0 (paper) to 255 (ink).

        Returns:
            (batch, rows, positions, labels) float32 log-probabilities.
        """
        scores = self.layers(pixels.float() / PIXEL_MAX)
        return torch.log_softmax(scores.permute(0, 2, 3, 1), dim=-1)


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
