"""What a model file promises: its labels and the geometry of its windows."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import ModelError

VERSION = 1  # of this contract; raised when a service could no longer read an older model
NONE = "none"  # the label of a window with no digit in its centre


@dataclass(frozen=True)
class ModelContract:
    """The facts that travel inside `model.onnx`; its field names are the metadata keys."""

    version: int
    labels: tuple[str, ...]
    receptive_field: int  # pixels: the side of one window
    stride: int  # pixels from one window to the next
    training: str  # JSON: data, config and figures

    @property
    def none(self) -> int:
        """The index of the label `none`."""
        return self.labels.index(NONE)

    def positions(self, width: int) -> int:
        """Return how many windows a strip of that many pixels has."""
        return (max(width, self.receptive_field) - self.receptive_field) // self.stride + 1

    def centre(self, position: float) -> float:
        """Return the strip's column, in pixels, that a position's window is centred on."""
        return position * self.stride + self.receptive_field / 2

    def to_metadata(self) -> dict[str, str]:
        """Return the contract as ONNX metadata, which holds strings only."""
        return {
            "version": str(self.version),
            "labels": ",".join(self.labels),
            "receptive_field": str(self.receptive_field),
            "stride": str(self.stride),
            "training": self.training,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "ModelContract":
        """Read the contract from ONNX metadata.

        Raises:
            ModelError: a key is missing, or a value is not what this service understands.
        """
        missing = [key for key in cls.__dataclass_fields__ if key not in metadata]
        if missing:
            raise ModelError(
                f"not a Digitstrip model: its metadata lacks {', '.join(missing)}; "
                f"it has {', '.join(sorted(metadata)) or 'none'}"
            )
        if metadata["version"] != str(VERSION):
            raise ModelError(
                f"the model has contract version {metadata['version']!r}; "
                f"this service reads version {VERSION}"
            )
        try:
            contract = cls(
                version=VERSION,
                labels=tuple(metadata["labels"].split(",")),
                receptive_field=int(metadata["receptive_field"]),
                stride=int(metadata["stride"]),
                training=metadata["training"],
            )
        except ValueError as error:
            raise ModelError(f"the model's metadata is damaged: {error}") from error
        if NONE not in contract.labels or contract.receptive_field < 1 or contract.stride < 1:
            raise ModelError(
                f"the model's metadata has labels {contract.labels}, receptive field "
                f"{contract.receptive_field} and stride {contract.stride}; expected a label "
                f"{NONE!r} and positive sizes"
            )
        return contract
