"""The journal of a run: every row in the order of the items, on disk before the output is made.

It lies beside the output and is all that a run leaves behind when it is killed. Each record has a
checksum, so that a torn one at the end is noticed and cut off; the next run resumes there. Where
rows failed for a reason that may pass, the next run makes a second pass: the journal becomes the
earlier one, what is sound in it is copied to the new one, and the rest is read again.
"""

import json
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from service.append_only_file import AppendOnlyFile
from service.batch.job import Setting
from service.batch.pages import PageResult, PageStatus, Record
from service.batch.plan import Place
from service.batch.state.marks import MARK, REFRESH, differences, mark
from service.durable_files import beside, sync_folder, writing
from service.errors import DigitstripError, SettingsError, UnwritableOutput
from service.imaging.files import open_regular
from service.inputs.items import Item
from service.json_object import parse_json

MAGIC = b"digitstrip batch journal\n"  # the first line; the second one is the settings, as JSON
MOST_SETTINGS = 2**22  # bytes of the second line
EARLIER = ".earlier"  # suffix of the journal of the pass before
SYNC_SECONDS = 1.0  # of work that a power cut costs at most
# number, page, last of its item, status, confidence, mark, bytes of row, of scores
HEAD = struct.Struct(f"<QI?Bd{MARK}sII")
CHECKSUM = struct.Struct("<I")  # CRC-32 of head, row and scores


class Journal:
    """Rows that were read, on disk.

    Args:
        path: of the file; made if there is none.
        settings: what the rows depend on.
        refresh: start over, instead of refusing, where the settings differ.

    Raises:
        SettingsError: it was begun with other settings, another run is writing it, it is damaged,
            or it is somebody else's file.
        UnwritableOutput: the file cannot be made.
    """

    def __init__(self, path: Path, settings: Mapping[str, Setting], refresh: bool = False) -> None:
        self.path = path
        self.earlier = beside(path, EARLIER)
        self.settings = dict(settings)
        self.refresh = refresh
        self._synced = time.monotonic()
        self._appended = -1  # number of the last item whose pages are in it
        self._items: int | None = None  # of the run, once all were listed
        self._copying: Iterator[Record] = iter(())
        self._next: Record | None = None
        self._open()

    def _open(self) -> None:
        self._file = AppendOnlyFile(self.path, f"another run is writing {self.path}")
        try:
            self._begin = self._take_up()
        except BaseException:
            self._file.close()
            raise

    def records(self) -> Iterator[Record]:
        """Yield the intact records from the start, up to the first that is not."""
        return records_of(self.path)

    def remaining(self, items: Iterable[Item]) -> Iterator[Place]:
        """Yield what is still to be read of a run's items; a torn end is cut off before.

        Raises:
            SettingsError: an input has changed, and this is no refreshing.
        """
        if not self.earlier.exists() and has_retries(self.records()):
            self._begin_pass()
        numbered: Iterator[tuple[int, Item]] = enumerate(items)
        first = self._first_missing(numbered)
        number = -1 if first is None else first.number
        if first is not None and first.page:
            yield first
        elif first is not None:  # the earlier pass may have it
            numbered = chain([(first.number, first.item)], numbered)
        earlier = _Items(records_of(self.earlier) if self.earlier.exists() else ())
        for number, item in numbered:
            before = earlier.find(number)
            if before is not None and before.is_whole and not before.has_retries:
                if before.mark == mark(item):
                    continue
                self._refuse(f"{item.source} has changed since it was read; {REFRESH}")
            yield Place(number, 0, item)
        self._items = max(number, self._appended) + 1
        if (more := earlier.find_after(self._items - 1)) is not None:
            self._refuse(f"{more.source} was read, but is no input any more; {REFRESH}")

    def append(self, place: Place, page: PageResult, last: bool) -> None:
        """Write a page down, after what the earlier pass has of the items before it.

        Raises:
            UnwritableOutput: the disk is full, say.
        """
        self._copy_up_to(place.number)
        self._write(Record(place.number, last, mark(place.item), page))
        self._appended = place.number

    def complete(self) -> None:
        """Bring the rows of the earlier pass to their end, and everything to the disk."""
        if self._items is not None:
            self._copy_up_to(self._items)
        self.sync()
        with writing(self.earlier):
            self.earlier.unlink(missing_ok=True)

    def sync(self) -> None:
        """Flush everything that was written to the disk."""
        self._file.sync()
        self._synced = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the output has all of it."""
        with writing(self.path):
            self.path.unlink()

    def close(self) -> None:
        """Close the file, which releases its lock.

        Raises:
            UnwritableOutput: a file system reports only now what it could not write.
        """
        self._file.close()

    def abandon(self) -> None:
        """Release the lock, after an error that is to be raised."""
        with suppress(UnwritableOutput):
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

    def _take_up(self) -> int:
        """Compare the settings, or write them down; return where the records begin."""
        with open_regular(self.path) as file:
            start = file.read(len(MAGIC))
            line = file.readline(MOST_SETTINGS)
        if start != MAGIC:
            if not MAGIC.startswith(start):  # empty or torn, it is ours
                raise SettingsError(
                    f"{self.path} is not a journal of `digitstrip batch`, or its first line is "
                    "damaged; it is left as it is: move it away to begin again"
                )
            return self._start_over()
        try:
            begun = parse_json(line)
            if not (isinstance(begun, dict) and line.endswith(b"\n")):
                raise ValueError
        except ValueError:
            if not self._settings_line().startswith(line):  # torn when the run was killed
                self._refuse("the line with its settings is damaged; --refresh begins again")
            return self._start_over()
        if begun == self.settings:
            return len(MAGIC) + len(line)
        self._refuse(f"the settings have changed: {differences(begun, self.settings)}")
        return self._start_over()

    def _start_over(self) -> int:
        line = MAGIC + self._settings_line()
        self._file.cut(0)
        self._file.append(line)
        with writing(self.path):
            sync_folder(self.path)
        if self.refresh and self.earlier.exists():
            _check_magic(self.earlier)
            with writing(self.earlier):
                self.earlier.unlink()
        return len(line)

    def _settings_line(self) -> bytes:
        return json.dumps(self.settings).encode("ascii") + b"\n"

    def _begin_pass(self) -> None:
        """Make this the earlier journal, and begin a new one."""
        self.sync()
        with writing(self.path):
            self.path.replace(self.earlier)
        old = self._file
        try:
            self._open()
        finally:
            old.close()

    def _first_missing(self, numbered: Iterator[tuple[int, Item]]) -> Place | None:
        """Compare the journal with the items; cut off what is torn, return where it ends."""
        done = _Items(self.records())
        kept = self._begin
        first = None
        for number, item in numbered:
            before = done.find(number)
            if before is None:
                first = Place(number, 0, item)
                break
            if before.mark != mark(item):
                if not before.has_retries:
                    self._refuse(f"{item.source} has changed since it was read; {REFRESH}")
                first = Place(number, 0, item)
                break
            kept, self._appended = before.end, number
            if not before.is_whole:
                first = Place(number, before.pages, item)
                break
        else:
            if (more := done.find_after(self._appended)) is not None:
                self._refuse(f"{more.source} was read, but is no input any more; {REFRESH}")
        self._file.cut(kept)
        if self.earlier.exists():
            self._copying = records_of(self.earlier)
            self._next = next(self._copying, None)
        return first

    def _copy_up_to(self, number: int) -> None:
        """Copy the earlier pass's records of the items since the last one, which are sound."""
        while self._next is not None and self._next.number < number:
            if self._next.number > self._appended:
                self._write(self._next)
            self._next = next(self._copying, None)

    def _write(self, record: Record) -> None:
        page = record.page
        head = HEAD.pack(
            record.number,
            page.page,
            record.last,
            page.status,
            page.confidence,
            record.mark,
            len(page.row),
            len(page.scores),
        )
        checksum = zlib.crc32(page.row + page.scores, zlib.crc32(head))
        content = b"".join((head, page.row, page.scores, CHECKSUM.pack(checksum)))
        self._file.append(content, sync=False)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def _refuse(self, why: str) -> None:
        if not self.refresh:
            raise SettingsError(f"cannot resume {self.path}: {why}")


def has_retries(records: Iterable[Record]) -> bool:
    """Whether a row failed for a reason that may pass."""
    return any(record.page.status is PageStatus.RETRY for record in records)


def records_of(path: Path) -> Iterator[Record]:
    """Yield a journal's intact records from the start, up to the first that is not.

    Raises:
        SettingsError: the file is no journal.
    """
    _check_magic(path)
    with open_regular(path) as file:
        file.seek(len(MAGIC))
        start = len(MAGIC) + len(file.readline(MOST_SETTINGS))
        while (record := _read(file, start)) is not None:
            yield record
            start = record.end


def _check_magic(path: Path) -> None:
    try:
        with open_regular(path) as file:
            if file.read(len(MAGIC)) == MAGIC:
                return
    except (OSError, DigitstripError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    raise SettingsError(f"{path} is not a journal of `digitstrip batch`; it is left as it is")


class _ItemRecords(NamedTuple):
    """What a journal has of one item."""

    number: int
    pages: int
    mark: bytes
    row: bytes  # of its last page
    is_whole: bool
    has_retries: bool
    end: int

    @property
    def source(self) -> str:
        """The item's name."""
        return str(json.loads(self.row)["source"])


class _Items:
    """A journal's items, found in ascending order."""

    def __init__(self, records: Iterable[Record]) -> None:
        grouped = groupby(records, key=lambda record: record.number)
        self._each = (_item_of(number, group) for number, group in grouped)
        self._next = next(self._each, None)

    def find(self, number: int) -> _ItemRecords | None:
        """Return the item of a number, or None if the journal does not have it."""
        found = self.find_after(number - 1)
        return found if found is not None and found.number == number else None

    def find_after(self, number: int) -> _ItemRecords | None:
        """Return the first item with a larger number, or None."""
        while self._next is not None and self._next.number <= number:
            self._next = next(self._each, None)
        return self._next


def _item_of(number: int, records: Iterator[Record]) -> _ItemRecords:
    last = next(records)
    retries = last.page.status is PageStatus.RETRY
    for last in records:
        retries |= last.page.status is PageStatus.RETRY
    return _ItemRecords(
        number, last.page.page + 1, last.mark, last.page.row, last.last, retries, last.end
    )


def _read(file: BinaryIO, start: int) -> Record | None:
    """Return the record that begins here, or None if there is no intact one."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    number, page, last, status, confidence, mark_, row_size, scores_size = HEAD.unpack(head)
    if start + len(head) + row_size + scores_size > os.fstat(file.fileno()).st_size:
        return None  # sizes that are damaged may be of gigabytes
    rest = file.read(row_size + scores_size + CHECKSUM.size)
    if len(rest) < row_size + scores_size + CHECKSUM.size:
        return None
    checksum = zlib.crc32(rest[: -CHECKSUM.size], zlib.crc32(head))
    if CHECKSUM.unpack(rest[-CHECKSUM.size :])[0] != checksum:
        return None
    row, scores = rest[:row_size], rest[row_size : -CHECKSUM.size]
    result = PageResult(page, PageStatus(status), confidence, row, scores)
    return Record(number, last, mark_, result, start, start + len(head) + len(rest))
