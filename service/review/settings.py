"""What a review was begun with; the journal keeps it, so that every later start does the same."""

from dataclasses import asdict, dataclass, field, replace
from typing import Self

from service.inputs.documents import DPI
from service.json_object import JsonObject


@dataclass(frozen=True)
class Settings:
    """How a table is reviewed."""

    keys: int = 1  # people who key each row
    blind: bool = False  # whether the first key is given without the machine's reading
    sample: int = 0  # accepted rows, drawn at random, that are reviewed too
    seed: int = 0  # decides which, and where they stand among the others
    constraint: str = ""  # on every row, in protobuf's text format
    dpi: int = DPI  # dots an inch that a PDF's pages were read at
    planted: dict[str, str] = field(default_factory=dict)  # known texts, by their rows' numbers

    def grown_to(self, other: "Settings") -> "Settings":
        """Return these settings with the sample of others, if it is larger and holds theirs.

        A larger sample of the same seed has all rows of the smaller one.
        """
        if other.sample <= self.sample or (self.sample and other.seed != self.seed):
            return self
        return replace(self, sample=other.sample, seed=other.seed)

    def to_json(self) -> JsonObject:
        """Return the settings by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, named: JsonObject) -> Self:
        """Return the settings that `to_json` gave.

        Raises:
            TypeError: they are others.
        """
        return cls(**named)
