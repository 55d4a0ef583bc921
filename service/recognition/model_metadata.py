"""Facts that travel inside a model file: labels, window geometry, what its scores mean."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Self

from service.errors import ModelError, quoted
from service.json_object import parse_json
from service.recognition.calibration import Calibration
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


@dataclass(frozen=True)
class Pairing:
    """How a model is read beside a second one, and what their confidences mean together."""

    second: str  # SHA-256 of the second reader's file, in hexadecimal
    # Probability of the first reading from which the second is not consulted. With 1, it looks at
    # every line once: on held-out strips 42% can be accepted at 1% error, with 0.99 34%.
    sure: float = 1.0
    weight: float = 0.5  # of the second reader's probabilities in the vote, 0 to 1
    calibration: Calibration = field(default_factory=Calibration)

    def to_json(self) -> str:
        """Return the pairing as JSON."""
        calibration = json.loads(self.calibration.to_json())
        return json.dumps({**vars(self), "calibration": calibration})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a pairing from JSON.

        Raises:
            ValueError: it is none.
        """
        found = parse_json(text)
        try:
            pairing = cls(
                second=str(found["second"]),
                sure=float(found["sure"]),
                weight=float(found["weight"]),
                calibration=Calibration.from_json(json.dumps(found["calibration"])),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"pairing {text!r}: {error!r}") from error
        if not (0 <= pairing.sure <= 1 and 0 <= pairing.weight <= 1):
            raise ValueError(f"pairing {text!r}: expected sure and weight from 0 to 1")
        return pairing


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
    calibration: Calibration = field(default_factory=Calibration)
    pairing: Pairing | None = None  # with a second reader

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
            **({"pairing": self.pairing.to_json()} if self.pairing else {}),
        }

    @classmethod
    def from_metadata(cls, properties: Mapping[str, str]) -> "ModelMetadata":
        """Read the facts from ONNX metadata properties.

        Raises:
            ModelError: a key is missing, or a value is not what this service understands.
        """
        required = [
            each.name for each in fields(cls) if each.default is each.default_factory is MISSING
        ]
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
                pairing=Pairing.from_json(properties["pairing"])
                if "pairing" in properties
                else None,
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
