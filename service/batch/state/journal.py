"""The journal of a run: every row in the order of the rows, safe on disk before the output is made.

It lies beside the output and is all that a run leaves behind when it is killed. Each record is
checked by a sum, so that a torn one at the end is noticed and cut off; the next run goes on there.
"""

import fcntl
import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from service.batch.engines.worker import Page, Place, Status
from service.batch.inputs.items import Item
from service.errors import SettingsError, UnwritableOutput

REFRESH = "--refresh reads anew what changed"
SYNC_SECONDS = 1.0  # what is lost at most when the power goes
MARK = 16  # bytes
# number, page, last of its item, status, confidence, mark, bytes of row, of scores
HEAD = struct.Struct(f"<QI?Bd{MARK}sII")
SUM = struct.Struct("<I")  # CRC-32 of head, row and scores

Setting = str | int | float | bool | None


class Record(NamedTuple):
    """A page of the journal."""

    number: int  # of its item
    last: bool  # of the item's pages
    mark: bytes  # of the item as its listing told it
    page: Page
    start: int  # where it lies
    end: int


class Journal:
    """Rows that were read, on disk.

    Args:
        path: of the file; made if there is none.
        settings: what the rows depend on.
        refresh: start over, instead of refusing, where the settings differ.

    Raises:
        SettingsError: it was begun with other settings, or another run is at it.
        UnwritableOutput: the file cannot be made.
    """

    def __init__(self, path: Path, settings: Mapping[str, Setting], refresh: bool = False) -> None:
        self.path = path
        self.refresh = refresh
        self._synced = time.monotonic()
        with written(path):
            self._file: BinaryIO = path.open("a+b")
        try:
            self._lock()
            self._begin = self._take_up(dict(settings))
        except BaseException:
            self._file.close()
            raise

    def records(self) -> Iterator[Record]:
        """Yield the whole records from the start, up to the first that is none."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            start = self._begin
            while (record := _read(file, start)) is not None:
                yield record
                start = record.end

    def remaining(self, items: Iterable[Item]) -> Iterator[Place]:
        """Yield what is still to be read of a run's items, the torn end cut off before.

        Raises:
            SettingsError: an input is not what it was, and this is no refreshing.
        """
        numbered = enumerate(items)
        done = self._last_of_each()
        kept = self._begin
        first = None
        for number, item in numbered:
            record = next(done, None)
            if record is None:
                first = Place(number, 0, item)
                break
            if record.mark != mark(item):
                self._refuse(f"{item.source} is not what it was when it was read; {REFRESH}")
                first = Place(number, 0, item)
                break
            kept = record.end
            if not record.last:
                first = Place(number, record.page.page + 1, item)
                break
        else:
            if (more := next(done, None)) is not None:
                row = json.loads(more.page.row)
                self._refuse(f"{row['source']} was read, but is no input any more; {REFRESH}")
        with written(self.path):
            self._file.truncate(kept)
        if first is not None:
            yield first
            for number, item in numbered:
                yield Place(number, 0, item)

    def append(self, place: Place, page: Page, last: bool) -> None:
        """Write a page down.

        Raises:
            UnwritableOutput: the disk is full, say.
        """
        head = HEAD.pack(
            place.number,
            page.page,
            last,
            page.status,
            page.confidence,
            mark(place.item),
            len(page.row),
            len(page.scores),
        )
        total = zlib.crc32(page.row + page.scores, zlib.crc32(head))
        with written(self.path):
            self._file.write(b"".join((head, page.row, page.scores, SUM.pack(total))))
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self.sync()

    def sync(self) -> None:
        """Have all that was written on the disk."""
        with written(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def remove(self) -> None:
        """Take the file away: the output has all of it."""
        with written(self.path):
            self.path.unlink()

    def close(self) -> None:
        """Write all down, and let others at the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with written(self.path):
            self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(f"another run is writing {self.path}") from error

    def _take_up(self, settings: dict[str, Setting]) -> int:
        """Compare the settings, or write them down; return where the records begin."""
        self._file.seek(0)
        line = self._file.readline()
        if line.endswith(b"\n"):
            begun = json.loads(line)
            if begun == settings:
                return len(line)
            self._refuse(differences(begun, settings))
        line = json.dumps(settings).encode("ascii") + b"\n"
        with written(self.path):
            self._file.truncate(0)
            self._file.write(line)
            self.sync()
            sync_folder(self.path)
        return len(line)

    def _refuse(self, why: str) -> None:
        if not self.refresh:
            raise SettingsError(f"{self.path} was begun otherwise: {why}")

    def _last_of_each(self) -> Iterator[Record]:
        """Yield the last record of each item."""
        before: Record | None = None
        for record in self.records():
            if before is not None and before.number != record.number:
                yield before
            before = record
        if before is not None:
            yield before


def mark(item: Item) -> bytes:
    """Return what stands for an item as its listing tells it."""
    told = f"{item.source}\0{item.identity}\0{item.page}\0{item.id}\0{item.trouble}"
    return hashlib.blake2b(
        told.encode("utf-8", "surrogateescape") + item.constraint, digest_size=MARK
    ).digest()


def differences(begun: Mapping[str, Setting], settings: Mapping[str, Setting]) -> str:
    """Return in words which settings differ, and what can be done."""
    told = ", ".join(
        f"{key} was {json.dumps(begun.get(key))} and is {json.dumps(settings.get(key))}"
        for key in {**settings, **begun}
        if begun.get(key) != settings.get(key)
    )
    return f"{told}; {REFRESH}"


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Say in a sentence that a file cannot be written.

    Raises:
        UnwritableOutput: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


def sync_folder(path: Path) -> None:
    """Have a file's name on the disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: BinaryIO, start: int) -> Record | None:
    """Return the record that lies here, or None if there is no whole one."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    number, page, last, status, confidence, mark_, row_size, scores_size = HEAD.unpack(head)
    rest = file.read(row_size + scores_size + SUM.size)
    if len(rest) < row_size + scores_size + SUM.size:
        return None
    if SUM.unpack(rest[-SUM.size :])[0] != zlib.crc32(rest[: -SUM.size], zlib.crc32(head)):
        return None
    told = Page(page, Status(status), confidence, rest[:row_size], rest[row_size : -SUM.size])
    return Record(number, last, mark_, told, start, start + len(head) + len(rest))
