"""What a run is to do, and what follows from it: its plan, and the settings its rows depend on."""

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from google.protobuf import text_format

from service.batch.inputs.documents import DPI
from service.batch.plan import Plan, Services
from service.errors import ModelError, ServerError, SettingsError
from service.pb import recognizer_pb2 as pb
from service.recognition.model import SHIPPED_MODEL
from service.workers.cpu_quota import usable_cpus

FORMAT = 2  # of the journal and the shards
CLIENT_PROCESSES = 2  # that call services
CALLS_IN_FLIGHT = 16  # of each
MODEL_TIMEOUT_S = 30.0  # for a service to describe its model

Setting = str | int | float | bool | None


class CsvFormat(NamedTuple):
    """How a CSV is written."""

    columns: tuple[str, ...]
    spreadsheet: bool = False  # whether texts and ids stay texts when it is opened in one


@dataclass(frozen=True)
class Job:
    """What a run is to do."""

    output: Path
    request: pb.RecognizeRequest  # for every item; it has no image
    model: Path | None = None  # to read with; None is the shipped one
    workers: int | None = None  # processes; None is as many as are useful
    services: Services | None = None  # that read instead
    ray: bool = False  # whether Ray reads instead
    ray_address: str | None = None  # of a cluster; None starts a local one
    shards: str | None = None  # where Ray's nodes keep their rows; None is beside the output
    refresh: bool = False  # whether to read again what changed
    quarantine: Path | None = None
    report: Path | None = None
    dpi: int = DPI  # of a PDF's pages
    seconds: float = 300.0  # timeout of one image
    csv: CsvFormat | None = None  # of a .csv; None is the default one

    @property
    def scores(self) -> bool:
        """Whether the rows keep the score maps."""
        return self.request.include_scores

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or (CLIENT_PROCESSES if self.services else usable_cpus())


def check(job: Job) -> None:
    """Check that the options go together.

    Raises:
        SettingsError: they do not.
    """
    if job.ray and job.services:
        raise SettingsError("--engine ray reads by itself; leave out --address")
    if not job.ray and (job.ray_address or job.shards):
        raise SettingsError("--ray-address and --shards are for --engine ray")
    if job.services and job.model:
        raise SettingsError("services read with their own model; leave out --model")
    if "://" in str(job.output) or ":/" in str(job.output):
        raise SettingsError(f"the output {job.output} is a URL; expected a local file")


def plan_of(job: Job) -> Plan:
    """Return the plan of a run, once it is known which model reads.

    Raises:
        ModelError, ServerError, SettingsError: none reads, or services have different ones.
    """
    digest, software = (
        model_of_services(job.services, job.seconds)
        if job.services
        else (digest_of(job.model or SHIPPED_MODEL), version("digitstrip"))
    )
    return Plan(
        digest=digest,
        version=software,
        model=job.model,
        services=job.services,
        request=job.request.SerializeToString(deterministic=True),
        dpi=job.dpi,
        seconds=job.seconds,
        concurrency=CALLS_IN_FLIGHT if job.services else 1,
    )


def digest_of(model: Path) -> str:
    """Return the SHA-256 digest of a model file, in hexadecimal.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        return hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the model {model}: {error.strerror}") from error


def model_of_services(services: Services, seconds: float) -> tuple[str, str]:
    """Return the model digest and the software version that all services report.

    Raises:
        ServerError: they differ, or one does not answer.
    """
    seen = {}
    for address in services.addresses:
        alone = replace(services, addresses=(address,))
        with closing(alone.client(min(seconds, MODEL_TIMEOUT_S))) as client:
            model = client.get_model()
            seen[address] = (model.digest, model.version)
    if len(set(seen.values())) > 1:
        listed = ", ".join(f"{each} {d[:12]} ({v})" for each, (d, v) in seen.items())
        raise ServerError(f"the services read with different models or versions: {listed}")
    return seen[services.addresses[0]]


def settings_of(job: Job, plan: Plan) -> dict[str, Setting]:
    """Return what the rows depend on besides the inputs."""
    return {
        "format": FORMAT,
        "model": plan.digest,
        "version": plan.version,
        "request": text_format.MessageToString(job.request, as_one_line=True),
        "dpi": plan.dpi,
    }
