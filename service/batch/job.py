"""The job of a run, its plan, and the settings that its rows depend on."""

import hashlib
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from google.protobuf import text_format

from service.batch.plan import Plan, Services
from service.errors import ServerError, SettingsError
from service.imaging.limits import Limits
from service.inputs.documents import DPI
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
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
    texts: tuple[str, ...] = ("text", "id")  # columns of those


class FormJob(NamedTuple):
    """The form that all pages of a run are, or the forms of which each is one."""

    form: pb.Form
    names: tuple[str, ...]  # of its fields
    wide: bool = False  # whether a row is a page, not a field
    others: tuple[pb.Form, ...] = ()  # that a page may be as well


@dataclass(frozen=True)
class Job:
    """The job of a run: inputs, output, and how to read."""

    output: Path
    request: pb.RecognizeRequest  # for every item; it has no image
    model: Path | None = None  # to read with; None is the shipped one
    second_reader: str | None = None  # beside it: a file, `none`, or None for the default
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
    limits: Limits = field(default_factory=Limits)  # services have their own for pixels
    csv: CsvFormat | None = None  # of a .csv; None is the default one
    form: FormJob | None = None  # that every page is; None: every page is one line of digits

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
    if job.services and (job.model or job.second_reader):
        raise SettingsError(
            "services read with their own model; leave out --model and --second-reader"
        )
    if job.form is not None:
        strips = {"--engine ray": job.ray, "--report": job.report, "--scores": job.scores}
        if named := [name for name, given in strips.items() if given]:
            raise SettingsError(
                f"{named[0]} is for images of one line; leave it out, or leave out --form"
            )
        if job.form.others and (job.form.wide or job.services):
            raise SettingsError(
                "--wide has columns for the fields of one form; leave it out, or give one --form"
                if job.form.wide
                else "services read pages of one form; give one --form, or leave out --address"
            )
    if "://" in str(job.output) or ":/" in str(job.output):
        raise SettingsError(f"the output {job.output} is a URL; expected a local file")


def plan_of(job: Job) -> Plan:
    """Return the plan of a run, once it is known which model reads.

    Raises:
        ModelError, ServerError, SettingsError: none reads, or services have different ones.
    """
    digest, second_digest, software, calibrated = (
        model_of_services(job.services, job.seconds) if job.services else model_of_files(job)
    )
    return Plan(
        digest=digest,
        second_digest=second_digest,
        version=software,
        calibrated=calibrated,
        model=job.model,
        second_reader=job.second_reader,
        services=job.services,
        request=job.request.SerializeToString(deterministic=True),
        form=b"" if job.form is None else job.form.form.SerializeToString(deterministic=True),
        other_forms=tuple(
            each.SerializeToString(deterministic=True)
            for each in (job.form.others if job.form else ())
        ),
        dpi=job.dpi,
        seconds=job.seconds,
        limits=job.limits,
        concurrency=CALLS_IN_FLIGHT if job.services else 1,
    )


def model_of_files(job: Job) -> tuple[str, str, str, bool]:
    """Return the digests of both models, the software version, and whether they are calibrated.

    Raises:
        ModelError: a file is missing, damaged, or not Digitstrip's.
    """
    files = ModelFiles.read(job.model, job.second_reader)
    # The shipped model is, alone and in its pair: it need not be loaded here, too.
    calibrated = job.model is None or bool(Recognizer.load(files).calibration.source)
    return (*files.digests, version("digitstrip"), calibrated)


def model_of_services(services: Services, seconds: float) -> tuple[str, str, str, bool]:
    """Return what all services report: digests of both models, version, whether calibrated.

    Raises:
        ServerError: they differ, or one does not answer.
    """
    seen = {}
    for address in services.addresses:
        alone = replace(services, addresses=(address,))
        with closing(alone.client(min(seconds, MODEL_TIMEOUT_S))) as client:
            model = client.get_model()
            seen[address] = (
                model.digest,
                model.second_reader.digest,
                model.version,
                bool(model.calibration.source),
            )
    if len(set(seen.values())) > 1:
        listed = ", ".join(
            f"{each} {first[:12]} with second reader {second[:12] or 'none'} ({software})"
            for each, (first, second, software, _) in seen.items()
        )
        raise ServerError(f"the services read with different models or versions: {listed}")
    return seen[services.addresses[0]]


def settings_of(job: Job, plan: Plan) -> dict[str, Setting]:
    """Return what the rows depend on besides the inputs."""
    settings: dict[str, Setting] = {
        "format": FORMAT,
        "model": plan.digest,
        "second_reader": plan.second_digest,
        "version": plan.version,
        "request": text_format.MessageToString(job.request, as_one_line=True),
        "dpi": plan.dpi,
        "limits": " ".join(map(str, astuple(plan.limits))),
    }
    if plan.form:
        settings["form"] = hashlib.sha256(b"".join([plan.form, *plan.other_forms])).hexdigest()
    return settings
