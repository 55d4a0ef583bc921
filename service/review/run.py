"""A review from its command: opened, served until it is stopped, and exported."""

import asyncio
import hashlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf import text_format

from service.durable_files import beside
from service.errors import SettingsError
from service.extras import needs
from service.http.policy import host_name, is_loopback
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb
from service.review.constraints import Constraints, run_of
from service.review.crops import Crops
from service.review.decisions import Decisions
from service.review.export import Reviewed, export, labels_of
from service.review.journal import SUFFIX, Head, Journal, read_journal
from service.review.labels import Folder, write_folder
from service.review.people import People
from service.review.queue import Queue, queue_of
from service.review.session import Session, decisions_of
from service.review.settings import Settings
from service.review.sources import Sources
from service.review.summary import Summary, summary_of, write_html
from service.review.table import read_rows

HASHED = 2**20  # bytes at a time
DRAIN_SECONDS = 3.0  # for requests in progress when the server is stopped

Said = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What is to be reviewed, and how."""

    table: Path
    # Those that were given, by the names of `Settings`; the others are as begun.
    settings: JsonObject
    journal: Path | None = None  # None is beside the table
    roots: tuple[str, ...] = ()  # folders and URLs of scans, besides the table's folder and this

    @property
    def path(self) -> Path:
        """The path of the journal."""
        return self.journal or beside(self.table, SUFFIX)

    def head(self, begun: Head | None) -> Head:
        """Return the head of the journal: as it was begun, but for what was given."""
        settings = begun.settings if begun else Settings(dpi=run_of(self.table).dpi)
        return Head(digest_of(self.table), replace(settings, **self.settings))

    def sources(self, settings: Settings) -> Sources:
        """Return the scans of the table."""
        roots = (str(Path.cwd()), str(self.table.parent.resolve()), *self.roots)
        return Sources(self.table.parent, settings.dpi, roots=tuple(dict.fromkeys(roots)))

    def queue(self, settings: Settings) -> tuple[Queue, Constraints]:
        """Read the table.

        Raises:
            SettingsError: it cannot be read, or has no row with a reading.
            BadConstraint: of a row.
        """
        given = text_format.Parse(settings.constraint, pb.Constraint())
        constraints = Constraints(given, run_of(self.table).constraint)
        queue = queue_of(read_rows(self.table), constraints, settings)
        if not queue.rows:
            raise SettingsError(f"{self.table} has no row with a reading")
        return queue, constraints


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        SettingsError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(HASHED):
                digest.update(piece)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


@contextmanager
def opened(job: Job) -> Iterator[Session]:
    """Open a review for people to work on.

    Raises:
        SettingsError: the table or the journal cannot be used.
        UnwritableOutput: the journal cannot be written.
    """
    begun = read_journal(job.path)
    head = job.head(begun and begun[0])
    queue, constraints = job.queue(head.settings)
    with Journal(job.path, head) as journal:
        yield Session(
            job.table.name, queue, constraints, Crops(job.sources(head.settings)), journal
        )


@dataclass(frozen=True)
class Result:
    """A review as its journal has it."""

    job: Job
    queue: Queue
    decisions: Decisions

    @classmethod
    def of(cls, job: Job) -> "Result":
        """Read a review, whether or not somebody works on it.

        Raises:
            SettingsError: none was begun, or the table or the journal cannot be used.
        """
        found = read_journal(job.path)
        if found is None:
            raise SettingsError(f"there is no {job.path}; nothing was reviewed yet")
        begun, events = found
        if begun.table != digest_of(job.table):
            raise SettingsError(f"{job.path} is of another table than {job.table} is now")
        queue, _ = job.queue(begun.settings)
        return cls(job, queue, decisions_of(queue, begun.settings, events))

    def export(self, output: Path) -> None:
        """Write the table with the review's columns."""
        odd = (number for number, _ in self.decisions.odd)
        entries = {entry.row.number: entry for entry in self.queue.with_odd(odd)}
        export(self.job.table, output, Reviewed(entries, self.decisions))

    def write_labels(self, folder: Path) -> Folder:
        """Write the folder of labeled scans."""
        return write_folder(
            labels_of(self.queue, self.decisions), self.job.sources(self.decisions.settings), folder
        )

    def summary(self) -> Summary:
        """Return the figures."""
        odd = (number for number, _ in self.decisions.odd)
        entries = self.queue.with_odd(odd)
        return summary_of(self.job.table.name, entries, self.queue.accepted, self.decisions)

    def write_summary(self, path: Path) -> None:
        """Write the figures as a page."""
        write_html(self.summary(), path)


def check_listen(listen: str, people: People) -> None:
    """Check that only this machine is served without tokens.

    Raises:
        SettingsError: others could review without a name.
    """
    if people.alone is not None and not is_loopback(host_name(listen)):
        raise SettingsError(
            f"{listen} can be reached from other machines; name who may review, with --people"
        )


def serve(session: Session, people: People, listen: str, hosts: tuple[str, ...], say: Said) -> None:
    """Serve a review until SIGINT or SIGTERM.

    Args:
        session: what is reviewed.
        people: who may.
        listen: host:port.
        hosts: names that the server has besides its addresses.
        say: receives the address once the page can be opened.

    Raises:
        MissingExtra: the libraries for HTTP are not installed.
        SettingsError: the address cannot be listened on.
    """
    check_listen(listen, people)
    with needs("web", "a review needs Starlette and uvicorn"):
        from service.http.policy import Policy
        from service.http.server import HttpServer
        from service.review.app import review_app

    async def until_stopped() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, stopped.set)
        server = HttpServer(review_app(session, people, Policy(hosts)), listen)
        port = await server.start()
        say(f"http://{listen.rpartition(':')[0]}:{port}/")
        await stopped.wait()
        await server.stop(DRAIN_SECONDS)

    asyncio.run(until_stopped())
