"""The journal of a review: all that was confirmed, on disk before the page says so.

It lies beside the table and is only ever appended to. A line is a checksum, of all lines until
then, and a JSON object; a torn last line, of a process that was killed, was never confirmed to
anybody and is cut off. A line that is damaged or missing is an error, since what people did is not
to be guessed; only what is missing at the end is not noticed.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from service.append_only_file import AppendOnlyFile
from service.durable_files import beside, new_partial, sync_folder, writing
from service.errors import SettingsError
from service.file_watcher import read_regular
from service.json_object import JsonObject, parse_json
from service.review.settings import Settings

FORMAT = 2
KIND = "digitstrip review"
SUFFIX = ".review"  # of the journal, beside the table


@dataclass(frozen=True)
class Event:
    """One thing that a person did."""

    id: str  # chosen by the page, so that what it sends twice is written once
    who: str
    what: str  # an `Action` of `decisions`
    row: int | None = None  # its number in the table; None for a carpet
    at: str = ""  # UTC, ISO 8601
    text: str = ""  # the digits confirmed
    was: str = ""  # the machine's
    written: str = ""  # the text, with what a pattern inserts
    override: bool = False  # confirmed although the constraint does not allow it
    blind: bool = False  # keyed without a reading to look at
    why: str = ""  # the row is in the queue
    ms: int = 0  # from when it was shown until it was confirmed
    strokes: int = 0  # keys and clicks
    model: str = ""  # digest of the one that read the row
    undoes: str = ""  # the id of an earlier event
    # Of a carpet: digits, as (row, position), that a person looked at, and those marked as odd.
    digits: tuple[tuple[int, int], ...] = field(default=())
    odd: tuple[tuple[int, int], ...] = field(default=())

    def to_json(self) -> JsonObject:
        """Return what differs from the defaults, by name."""
        blank = Event("", "", "")
        return {
            name: value for name, value in asdict(self).items() if value != getattr(blank, name)
        }

    @classmethod
    def from_json(cls, named: JsonObject) -> Self:
        """Return the event that `to_json` gave.

        Raises:
            TypeError: it is none.
        """
        for name in ("digits", "odd"):
            if name in named:
                named[name] = tuple((int(row), int(place)) for row, place in named[name])
        return cls(**named)


@dataclass(frozen=True)
class Head:
    """What is reviewed, and how: the first line, or a later one where the sample has grown."""

    table: str  # SHA-256 of the table
    settings: Settings


class Journal:
    """A review's journal, open for writing by one process.

    Args:
        path: of the file; made if there is none.
        head: of a new one.

    Raises:
        SettingsError: it is of another table or was begun with other settings, another server has
            it open, it is damaged, or it is somebody else's file.
        UnwritableOutput: it cannot be made or written.
    """

    def __init__(self, path: Path, head: Head) -> None:
        self.path, self.head = path, head
        self._lock = Lock()
        if not path.exists():
            _begin(path, head)
        self._file = AppendOnlyFile(
            path,
            f"another `digitstrip review` has {path} open; several people work on one server, "
            "see --listen",
        )
        try:
            lines, size = _whole_lines(path)
            begun, self.events = _parsed(path, lines)
            if replace(begun, settings=begun.settings.grown_to(head.settings)) != head:
                raise SettingsError(_differs(path, begun, head))
            self._file.cut(size)
            self._checksum = checksum_of(lines[-1])
            if begun != head:
                self._write([{"settings": head.settings.to_json()}])
        except BaseException:
            self._file.close()
            raise
        self._ids = {event.id for event in self.events}

    @property
    def settings(self) -> Settings:
        """What the review was begun with."""
        return self.head.settings

    def append(self, events: Iterable[Event]) -> list[Event]:
        """Write events to the disk, but for those that are there; return the new ones.

        Raises:
            UnwritableOutput: the disk is full, say; the journal is as it was.
        """
        with self._lock:
            new = {event.id: event for event in events if event.id not in self._ids}
            if new:
                self._write(event.to_json() for event in new.values())
                self.events.extend(new.values())
                self._ids |= new.keys()
            return list(new.values())

    def close(self) -> None:
        """Close the file, which releases its lock.

        Raises:
            UnwritableOutput: a file system reports only now what it could not write.
        """
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, objects: Iterable[JsonObject]) -> None:
        checksum, content = self._checksum, b""
        for each in objects:
            line = _line(each, checksum)
            checksum, content = checksum_of(line), content + line
        self._file.append(content)
        self._checksum = checksum


def read_journal(path: Path) -> tuple[Head, list[Event]] | None:
    """Return what a journal holds, while a server may be writing it; None if there is none.

    Raises:
        SettingsError: it is damaged, or no journal.
    """
    return _parsed(path, _whole_lines(path)[0]) if path.exists() else None


def _begin(path: Path, head: Head) -> None:
    """Make a journal, which is there whole or not at all."""
    with writing(path):
        partial = new_partial(beside(path, f".{os.getpid()}"))
        with partial.open("wb") as file:
            file.write(_line(_head_to_json(head), 0))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another server was faster, and has its lock
            path.hardlink_to(partial)
        partial.unlink()
        sync_folder(path)


def _whole_lines(path: Path) -> tuple[list[bytes], int]:
    """Return a file's whole lines, and how many bytes they have; a torn last one is left out."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from error
    # A power cut may leave zeros where nothing was written yet.
    size = content.rstrip(b"\0").rfind(b"\n") + 1
    return content[:size].splitlines(), size


def _parsed(path: Path, lines: list[bytes]) -> tuple[Head, list[Event]]:
    objects = _objects(path, lines)
    try:
        first = next(objects, {})
        if first.get("kind") != KIND or first.get("format") != FORMAT:
            raise ValueError
        head = Head(first["table"], Settings.from_json(first["settings"]))
    except (SettingsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path} is not a journal of `digitstrip review`, or its first line is damaged; it is "
            "left as it is: move it away to begin again"
        ) from error
    events = []
    try:
        for each in objects:
            if "settings" in each:
                head = Head(head.table, Settings.from_json(each["settings"]))
            else:
                events.append(Event.from_json(each))
        return head, events
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{path} is of another version: {error}") from error


def _objects(path: Path, lines: Iterable[bytes]) -> Iterator[JsonObject]:
    before = 0
    for number, line in enumerate(lines, 1):
        checksum, _, text = line.partition(b" ")
        before = zlib.crc32(text, before)
        if checksum != b"%08x" % before:
            raise SettingsError(
                f"line {number} of {path} is damaged, or lines before it are missing; the file is "
                "left as it is: mend it from a copy, or cut it off before that line to do without "
                "what it and all later ones say"
            )
        yield parse_json(text)


def _line(named: JsonObject, before: int) -> bytes:
    """Return an object as a line after one of that checksum."""
    text = json.dumps(named).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text, before), text)


def checksum_of(line: bytes) -> int:
    """Return a line's checksum."""
    return int(line.partition(b" ")[0], 16)


def _head_to_json(head: Head) -> JsonObject:
    return {
        "kind": KIND,
        "format": FORMAT,
        "table": head.table,
        "settings": head.settings.to_json(),
    }


def _shown(setting: Any) -> Any:  # noqa: ANN401 - of any type
    return f"{len(setting):,} rows" if isinstance(setting, dict) else setting


def _differs(path: Path, begun: Head, now: Head) -> str:
    if begun.table != now.table:
        return (
            f"{path} is of another table: the readings have changed since the review was begun; "
            "move it away to begin again"
        )
    before, after = begun.settings.to_json(), now.settings.to_json()
    changed = ", ".join(
        f"--{name} was {_shown(before[name])} and is {_shown(after[name])}"
        for name in before
        if before[name] != after[name]
    )
    return f"{path} was begun with other options: {changed}; leave them out to go on"
