"""How a reader process reads: what the server tells it first."""

from dataclasses import asdict, dataclass, field

from service.imaging.limits import Limits
from service.recognition.model import CPU
from service.workers.framing import Head


@dataclass(frozen=True)
class Setup:
    """How a reader reads."""

    limits: Limits = field(default_factory=Limits)
    most_pixels: int = Limits.max_pixels  # of a page that is read here; larger ones are sent back
    threads: int = 1  # of one pass of the network
    providers: tuple[str, ...] = CPU
    tile_positions: int = 1024
    nice: int = 0  # how far others' work comes first


def to_head(setup: Setup) -> Head:
    """Return the head of a reader's first frame."""
    return asdict(setup)


def from_head(head: Head) -> Setup:
    """Return the set-up that a first frame tells."""
    return Setup(**head | {"limits": Limits(**head["limits"])})
