"""Reading tasks: what a worker process does, whichever engine runs it.

A task is a few items. The bytes of the next ones are read while one is recognized.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from service.api.images import to_image
from service.batch.inputs.documents import DPI, Content, Document, most_bytes
from service.batch.inputs.items import REMOTE, Item
from service.batch.outputs.rows import error_row, reading_row, to_json
from service.errors import (
    DigitstripError,
    InputError,
    MissingExtra,
    ModelChanged,
    ReadingTooLong,
    WorkerDied,
)
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb

if TYPE_CHECKING:
    from service.client.client import Client

PAGES = 16  # of a document, read in one go
TRIES = 12  # of a call to services that are not there: most of a minute
AHEAD = 2  # items whose bytes are read ahead
AHEAD_REMOTE = 8  # the same, where an answer takes its time


@dataclass(frozen=True)
class Services:
    """Running services, and how they are reached; small, and fit to be sent to workers."""

    addresses: tuple[str, ...]
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str | None = None
    token_file: Path | None = None
    plaintext_token: bool = False

    def client(self, seconds: float) -> "Client":
        """Return a client that shares its calls among them, each of which may take some seconds.

        A call is tried again for as long where the services are overloaded or start again.
        """
        from service.client.channel import Route, Tls, Token
        from service.client.client import Client
        from service.client.retry import Backoff

        trust = Tls(self.tls_ca, self.tls_certificate, self.tls_key, self.tls_server_name)
        token = Token(file=self.token_file) if self.token_file else None
        route = Route(self.addresses, trust if self.tls else None, token, self.plaintext_token)
        return Client(route, seconds, backoff=Backoff(tries=TRIES), watch_health=False)


@dataclass(frozen=True)
class Plan:
    """How a run reads, as every worker is told."""

    digest: str  # of the model
    version: str  # of the software that reads
    model: Path | None = None  # to read with here
    services: Services | None = None  # that read instead
    asked: bytes = b""  # a serialized pb.RecognizeRequest without an image: what is asked of all
    dpi: int = DPI
    seconds: float = 300.0  # that one item may take
    at_once: int = 1  # items in the hands of one worker
    limits: Limits = field(default_factory=Limits)


class Place(NamedTuple):
    """An item's place in the order of the run, and the first of its pages to read."""

    number: int
    page: int
    item: Item


class Status(IntEnum):
    """What became of a page, at a glance."""

    READ = 0  # no decision was asked for
    ACCEPT = 1
    REVIEW = 2
    FAILED = 3


class Page(NamedTuple):
    """What became of a page: its row as JSON, and its scores."""

    page: int
    status: Status
    confidence: float  # 0 if it was not read
    row: bytes
    scores: bytes  # a serialized pb.ScoreMap, or empty


class Answer(NamedTuple):
    """What became of an item's pages, or of the first of them."""

    place: Place
    pages: list[Page]
    following: range  # pages that are still to be read


class Reads(Protocol):
    """Something that reads a page."""

    def read(self, content: Content, page: int, asked: pb.RecognizeRequest) -> pb.RecognizeResponse:
        """Return what a page says; DigitstripError if it cannot be read."""


class Recognizer:
    """Reads in this process.

    Args:
        plan: says with which model.
    """

    def __init__(self, plan: Plan) -> None:
        from service.api.service import RecognitionService
        from service.recognition.model import SHIPPED_MODEL
        from service.workers.worker_config import Setup
        from service.workers.worker_main import prepare

        model = (plan.model or SHIPPED_MODEL).read_bytes()
        recognizer = prepare(Setup(limits=plan.limits), model)
        self.service = RecognitionService(recognizer, plan.limits)

    def read(self, content: Content, page: int, asked: pb.RecognizeRequest) -> pb.RecognizeResponse:
        """Return what a page says."""
        request = pb.RecognizeRequest(image=to_image(content, page))
        request.MergeFrom(asked)
        return self.service.recognize(request).response


class Sender:
    """Has running services read.

    Args:
        plan: says how long to wait.
        services: that read.
    """

    def __init__(self, plan: Plan, services: Services) -> None:
        self.client = services.client(plan.seconds)
        self.digest = plan.digest

    def read(self, content: Content, page: int, asked: pb.RecognizeRequest) -> pb.RecognizeResponse:
        """Return what a page says."""
        response = self.client.recognize(
            content,
            page,
            scores=asked.include_scores,
            constraint=asked.constraint,
            alternatives=asked.alternatives,
            accepted_error_rate=asked.accepted_error_rate
            if asked.HasField("accepted_error_rate")
            else None,
        )
        if response.model_digest != self.digest:
            raise ModelChanged(
                f"a service now reads with model {response.model_digest[:12]}; the run began "
                f"with {self.digest[:12]}"
            )
        return response


class Worker:
    """Reads tasks.

    Args:
        plan: how.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.asked: pb.RecognizeRequest = pb.RecognizeRequest.FromString(plan.asked)
        self.reads: Reads = Sender(plan, plan.services) if plan.services else Recognizer(plan)
        self.threads = ThreadPoolExecutor(max(plan.at_once, AHEAD_REMOTE), "ahead")

    def read(self, task: Sequence[Place]) -> list[Answer]:
        """Read a few items; what cannot be read is an answer too.

        Raises:
            ServerUnavailable, Unauthenticated, SettingsError: no item could be read.
        """
        if self.plan.at_once > 1:
            return list(self.threads.map(lambda place: self._answer(place, None), task))
        return [self._answer(place, content) for place, content in self._ahead(task)]

    def _ahead(self, task: Sequence[Place]) -> Iterator[tuple[Place, "Future[Loaded]"]]:
        remote = any(REMOTE in place.item.path for place in task)
        depth = AHEAD_REMOTE if remote else AHEAD
        waiting: deque[tuple[Place, Future[Loaded]]] = deque()
        for place in task:
            waiting.append((place, self.threads.submit(load, place.item, self.plan.limits)))
            if len(waiting) > depth:
                yield waiting.popleft()
        yield from waiting

    def _answer(self, place: Place, loading: "Future[Loaded] | None") -> Answer:
        """Read an item's pages, or the first of them."""
        _, first, item = place
        pages: list[Page] = []
        sha256: str | None = None
        try:
            loaded = loading.result() if loading else load(item, self.plan.limits)
            sha256 = loaded.sha256
            document = Document(loaded.encoded, self.plan.limits, self.plan.dpi)
        except DigitstripError as error:
            return Answer(place, [self._failed(item, item.page or 0, sha256, error)], range(0))
        asked = self._asked(item)
        if item.page is not None:
            wanted = range(item.page, item.page + 1)
        else:
            wanted = range(first, min(first + PAGES, document.pages))
        for page in wanted:
            pages.append(self._page(item, page, sha256, document, asked))
        following = range(0) if item.page is not None else range(wanted.stop, document.pages)
        return Answer(place, pages, following)

    def _page(
        self, item: Item, page: int, sha256: str, document: Document, asked: pb.RecognizeRequest
    ) -> Page:
        try:
            content, index = document.page(page)
            response = self.reads.read(content, index, asked)
        except DigitstripError as error:
            return self._failed(item, page, sha256, error)
        except Exception as error:  # a fault of ours on one page must not lose the others
            kind = type(error).__name__
            return self._failed(item, page, sha256, DigitstripError(f"failed with {kind}: {error}"))
        row = reading_row(item, page, sha256, response, self.plan.version)
        scores = response.scores.SerializeToString() if asked.include_scores else b""
        status = Status[row["decision"] or "READ"]
        return Page(page, status, response.confidence, to_json(row), scores)

    def _failed(self, item: Item, page: int, sha256: str | None, error: DigitstripError) -> Page:
        if not is_of_the_item(error):
            raise error
        return failed_page(item, page, sha256, error, self.plan)

    def _asked(self, item: Item) -> pb.RecognizeRequest:
        """Return what is asked of an item: its own constraint's fields outweigh the run's."""
        if not item.constraint:
            return self.asked
        asked, own = pb.RecognizeRequest(), pb.Constraint.FromString(item.constraint)
        asked.CopyFrom(self.asked)
        for each, _ in own.ListFields():
            asked.constraint.ClearField(each.name)
        asked.constraint.MergeFrom(own)
        return asked


class Loaded(NamedTuple):
    """An item's bytes."""

    encoded: bytes
    sha256: str


def load(item: Item, limits: Limits) -> Loaded:
    """Read an item's bytes."""
    encoded = item.read(most_bytes(item.source, limits))
    return Loaded(encoded, hashlib.sha256(encoded).hexdigest())


def failed_page(
    item: Item, page: int, sha256: str | None, error: DigitstripError, plan: Plan
) -> Page:
    """Return what became of a page that could not be read."""
    row = error_row(item, page, sha256, error, plan.digest, plan.version)
    return Page(page, Status.FAILED, 0.0, to_json(row), b"")


def is_of_the_item(error: DigitstripError) -> bool:
    """Whether an error sets one item aside; others would be the same for every item."""
    own = (InputError, MissingExtra, WorkerDied, ReadingTooLong)
    return isinstance(error, own) or error.reason in ("INTERNAL", "SERVER_FAILED")
