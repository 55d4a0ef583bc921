"""Facts that travel inside a model file: labels, window geometry, what its scores mean."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from service.errors import ModelError, quoted
from service.recognition.decoding.automaton import DIGITS

VERSION = 1  # of the metadata; raised when a service could no longer read an older model
NONE = "none"  # the label of a window with no digit in its center


# The weight of a path for each digit that it sets at the position next to another's, without
# `none` between: PLAIN_CTC for models trained with that loss; 0 forbids it. A model trained on
# windows alone gives one digit two names, side by side, more often than it sees two. On 1,000
# strips of validation digits, exact strings: 1: 83%, 0.1: 88%, 0.01: 87%, 0: 86%; this is the
# strictest within one standard error of the best.
TOUCHING = 0.01
PLAIN_CTC = 1.0


def log_odds(probability: float) -> float:
    """Return the natural logarithm of p / (1 - p), for 0 and 1 too."""
    probability = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(probability) - math.log1p(-probability)


@dataclass(frozen=True)
class Threshold:
    """The least confidence at which so few of the accepted readings are wrong."""

    error_rate: float  # 0 to 1
    confidence: float  # 0 to 1


@dataclass(frozen=True)
class Calibration:
    """What makes a confidence of 0.9 mean nine of ten right, on strips like those it was fitted on.

    The log-odds of a string's probability are scaled and shifted: Platt 1999, with the
    probability's own log-odds as the score.
    """

    scale: float = 1.0
    offset: float = 0.0
    thresholds: tuple[Threshold, ...] = ()  # by falling error rate
    source: str = ""  # what it was fitted on

    def confidence(self, probability: float) -> float:
        """Return the calibrated confidence, 0 to 1, of a string's probability."""
        if self.scale == 1 and self.offset == 0:
            return probability
        return 1 / (1 + math.exp(-(self.scale * log_odds(probability) + self.offset)))

    def threshold(self, error_rate: float) -> float:
        """Return the least confidence to accept for an error rate; above 1 if there is none."""
        enough = [each.confidence for each in self.thresholds if each.error_rate <= error_rate]
        return min(enough, default=math.inf)

    def to_json(self) -> str:
        """Return the calibration as JSON."""
        thresholds = [[each.error_rate, each.confidence] for each in self.thresholds]
        return json.dumps({**vars(self), "thresholds": thresholds})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a calibration from JSON.

        Raises:
            ValueError: it is none.
        """
        told = json.loads(text)
        try:
            return cls(
                scale=float(told["scale"]),
                offset=float(told["offset"]),
                thresholds=tuple(Threshold(float(e), float(c)) for e, c in told["thresholds"]),
                source=str(told["source"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"calibration {text!r}: {error!r}") from error


@dataclass(frozen=True)
class ModelMetadata:
    """The facts that travel inside `model.onnx`; its field names are the metadata keys."""

    version: int
    labels: tuple[str, ...]
    receptive_field: int  # pixels: the side of one window
    stride: int  # pixels from one window to the next
    training: str  # JSON: data, config and figures
    # Models made before these were: trained on windows alone, not calibrated.
    touching: float = TOUCHING  # 0 to 1
    calibration: Calibration = Calibration()

    @property
    def none(self) -> int:
        """The index of the label `none`."""
        return self.labels.index(NONE)

    def positions(self, width: int) -> int:
        """Return how many windows a strip of that many pixels has."""
        return (max(width, self.receptive_field) - self.receptive_field) // self.stride + 1

    def center(self, position: float) -> float:
        """Return the strip's column, in pixels, that a position's window is centered on."""
        return position * self.stride + self.receptive_field / 2

    def to_metadata(self) -> dict[str, str]:
        """Return the facts as ONNX metadata properties, which are strings only."""
        return {
            "version": str(self.version),
            "labels": ",".join(self.labels),
            "receptive_field": str(self.receptive_field),
            "stride": str(self.stride),
            "training": self.training,
            "touching": str(self.touching),
            "calibration": self.calibration.to_json(),
        }

    @classmethod
    def from_metadata(cls, properties: Mapping[str, str]) -> "ModelMetadata":
        """Read the facts from ONNX metadata properties.

        Raises:
            ModelError: a key is missing, or a value is not what this service understands.
        """
        required = [field.name for field in fields(cls)[:-2]]
        missing = [key for key in required if key not in properties]
        if missing:
            raise ModelError(
                f"not a Digitstrip model: its metadata lacks {', '.join(missing)}; "
                f"it has {', '.join(sorted(properties)) or 'none'}"
            )
        if properties["version"] != str(VERSION):
            raise ModelError(
                f"the model has metadata version {properties['version']!r}; "
                f"this service reads version {VERSION}"
            )
        try:
            metadata = cls(
                version=VERSION,
                labels=tuple(properties["labels"].split(",")),
                receptive_field=int(properties["receptive_field"]),
                stride=int(properties["stride"]),
                training=properties["training"],
                touching=float(properties.get("touching", TOUCHING)),
                calibration=Calibration.from_json(
                    properties.get("calibration", Calibration().to_json())
                ),
            )
        except ValueError as error:
            raise ModelError(f"the model's metadata is damaged: {error}") from error
        metadata.check()
        return metadata

    def check(self) -> None:
        """Check that the decoder can honor every fact.

        Raises:
            ModelError: says which it cannot.
        """
        if sorted(self.labels) != sorted((*DIGITS, NONE)):  # it would drop others, and renormalize
            raise ModelError(
                f"the model's labels are {quoted(','.join(self.labels))}; expected the ten digits "
                f"and {NONE!r}, each once, in any order"
            )
        if self.receptive_field < 1 or self.stride < 1:
            raise ModelError(
                f"the model's receptive field is {self.receptive_field} and its stride "
                f"{self.stride}; expected positive sizes"
            )
        if not 0 <= self.touching <= 1:
            raise ModelError(f"the model's touching is {self.touching}; expected 0 to 1")
