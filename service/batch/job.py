"""What a run is to do, and what follows from it: how workers read, and what the rows depend on."""

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from google.protobuf import text_format

from service.batch.engines.worker import Plan, Services
from service.batch.inputs.documents import DPI
from service.batch.state.journal import Setting
from service.errors import ModelError, ServerError, SettingsError
from service.pb import recognizer_pb2 as pb
from service.recognition.model import SHIPPED_MODEL
from service.workers.cpu_quota import usable_cpus

FORMAT = 1  # of the journal and the parts
SENDERS = 2  # processes that send to services
IN_FLIGHT = 16  # calls of each
ASKING_SECONDS = 30.0  # for what a service reads with


@dataclass(frozen=True)
class Order:
    """What a run is to do."""

    output: Path
    asked: pb.RecognizeRequest  # of every item; it has no image
    model: Path | None = None  # to read with; None is the shipped one
    workers: int | None = None  # processes; None is as many as are of use
    services: Services | None = None  # that read instead
    ray: bool = False  # whether Ray reads instead
    ray_address: str | None = None  # of a cluster; None starts a local one
    parts: str | None = None  # where Ray's nodes keep what they read; None is beside the output
    refresh: bool = False  # whether to read anew what changed
    quarantine: Path | None = None
    report: Path | None = None
    dpi: int = DPI  # of a PDF's pages
    seconds: float = 300.0  # that one image may take

    @property
    def scores(self) -> bool:
        """Whether the rows keep the score maps."""
        return self.asked.include_scores

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return self.workers or (SENDERS if self.services else usable_cpus())


def check(order: Order) -> None:
    """Insist that what is asked for goes together.

    Raises:
        SettingsError: it does not.
    """
    if order.ray and order.services:
        raise SettingsError("--engine ray reads by itself; leave out --address")
    if not order.ray and (order.ray_address or order.parts):
        raise SettingsError("--ray-address and --parts are for --engine ray")
    if order.services and order.model:
        raise SettingsError("services read with their own model; leave out --model")
    if "://" in str(order.output) or ":/" in str(order.output):
        raise SettingsError(f"the output {order.output} is a URL; expected a local file")


def plan_of(order: Order) -> Plan:
    """Return how workers read, once it is known which model will.

    Raises:
        ModelError, ServerError, SettingsError: none will, or services have different ones.
    """
    digest, software = (
        of_services(order.services, order.seconds)
        if order.services
        else (of_file(order.model or SHIPPED_MODEL), version("digitstrip"))
    )
    return Plan(
        digest=digest,
        version=software,
        model=order.model,
        services=order.services,
        asked=order.asked.SerializeToString(deterministic=True),
        dpi=order.dpi,
        seconds=order.seconds,
        at_once=IN_FLIGHT if order.services else 1,
    )


def of_file(model: Path) -> str:
    """Return a model file's digest."""
    try:
        return hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the model {model}: {error.strerror}") from error


def of_services(services: Services, seconds: float) -> tuple[str, str]:
    """Return the digest and the software version that all services tell."""
    told = {}
    for address in services.addresses:
        alone = replace(services, addresses=(address,))
        with closing(alone.client(min(seconds, ASKING_SECONDS))) as client:
            model = client.get_model()
            told[address] = (model.digest, model.version)
    if len(set(told.values())) > 1:
        seen = ", ".join(f"{each} {d[:12]} ({v})" for each, (d, v) in told.items())
        raise ServerError(f"the services read with different models or versions: {seen}")
    return told[services.addresses[0]]


def settings_of(order: Order, plan: Plan) -> dict[str, Setting]:
    """Return what the rows depend on besides the inputs."""
    return {
        "format": FORMAT,
        "model": plan.digest,
        "version": plan.version,
        "asked": text_format.MessageToString(order.asked, as_one_line=True),
        "dpi": plan.dpi,
    }
