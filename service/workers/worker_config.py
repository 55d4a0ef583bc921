"""The configuration of a worker process: what the server sends it first."""

from dataclasses import asdict, dataclass, field

from service.imaging.limits import Limits
from service.recognition.model import CPU, ModelFiles
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


def to_frame(config: WorkerConfig, files: ModelFiles) -> tuple[Head, bytes]:
    """Return a worker's first frame; its body has the models, one after the other."""
    models = files.first + (files.second or b"")
    sizes = {"first": len(files.first), "second": files.second is not None}
    return asdict(config) | sizes, models


def from_frame(head: Head, body: bytes) -> tuple[WorkerConfig, ModelFiles]:
    """Return the configuration and the models that a first frame contains."""
    head = dict(head)
    first, second = head.pop("first"), head.pop("second")
    files = ModelFiles(body[:first], body[first:] if second else None)
    return WorkerConfig(**head | {"limits": Limits(**head["limits"])}), files
