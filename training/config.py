"""Every knob of a training run, each with its unit."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Config:
    """The knobs that decide what a run computes; equal configs give equal weights."""

    seed: int = 1
    epochs: int = 50  # passes over the training digits
    windows: int = 256  # single windows in a batch
    strips: int = 16  # whole strips in a batch
    strip_width: int = 256  # pixels
    validation_strips: int = 300  # strips of the fixed validation set

    learning_rate: float = 2e-3  # peak, reached after the warm-up, then a cosine down to 0
    warmup: float = 0.05  # share of all steps
    weight_decay: float = 0.01
    dropout: float = 0.3  # of the 500 hidden units
    average: float = 0.999  # decay per step of the weights' running average

    none_share: float = 0.15  # of single windows that have no digit in their centre
    flanked_share: float = 0.4  # of digit windows that get neighbours at their sides

    plain: float = 0.2  # share of digits that are not distorted
    shift: float = 2.0  # pixels, each way; horizontally no more than half a stride
    lift: float = 3.0  # pixels, each way, up and down
    scale: float = 0.15  # factor 1 ± this
    stretch: float = 0.25  # factor 1 ± this, of the width alone
    slant: float = 0.25  # tangent of the shear, each way
    rotation: float = 10.0  # degrees, each way
    stroke: float = 0.6  # strength of thickening or thinning, 0 to 1
    elastic: float = 1.0  # pixels, standard deviation of the elastic field
    sharpness: float = 1.5  # contrast of edges, factor 1 to 1 + this
    gap_min: float = -4.0  # pixels between the ink of neighbours; negative overlaps
    gap_max: float = 8.0  # pixels

    def to_dict(self) -> dict[str, Any]:
        """Return the knobs as JSON-ready values."""
        return asdict(self)
