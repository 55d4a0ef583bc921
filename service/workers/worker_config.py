"""The configuration of a worker process: what the server sends it first."""

from dataclasses import asdict, dataclass, field

from service.imaging.limits import Limits
from service.recognition.model import CPU
from service.workers.framing import Head


@dataclass(frozen=True)
class WorkerConfig:
    """The configuration of a worker process."""

    limits: Limits = field(default_factory=Limits)
    max_pixels: int = Limits.max_pixels  # of a page for this worker; larger ones are sent back
    threads: int = 1  # of one pass of the network
    providers: tuple[str, ...] = CPU
    tile_positions: int = 1024
    nice: int = 0  # added to the process's niceness


def to_head(config: WorkerConfig) -> Head:
    """Return the head of a worker's first frame."""
    return asdict(config)


def from_head(head: Head) -> WorkerConfig:
    """Return the configuration that a first frame contains."""
    return WorkerConfig(**head | {"limits": Limits(**head["limits"])})
