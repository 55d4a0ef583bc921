"""Manifests: lists of what to read, with ids, pages and what is known of each string."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TextIO

from service.api.options import to_check_digit, to_length
from service.csv_cells import Cells, delimiter_of, unguarded
from service.errors import (
    BadOption,
    InputError,
    SettingsError,
    UnreadableSource,
    quoted,
)
from service.extras import needs
from service.imaging.files import open_regular
from service.inputs.items import Item
from service.inputs.listing import entry_of
from service.inputs.names import names_of
from service.inputs.open_files import REMOTE
from service.pb import recognizer_pb2 as pb

LISTS = {".txt", ".csv", ".parquet"}
PATHS = ("path", "file", "source")  # the column that names the image, whichever there is
CONSTRAINTS = ("length", "pattern", "allowed", "check")
FIELDS = ("id", "page", *CONSTRAINTS)
KNOWN = f"path (or file, or source), {', '.join(FIELDS)}"
NEAR = 0.8  # of difflib's similarity, from which a column's name is taken for a slip of the pen
SEPARATOR = "|"  # of allowed strings in one cell
MAX_LINE = 2**22  # characters of a CSV's line


def read_manifest(path: Path) -> Iterator[Item]:
    """Yield the items that a manifest lists; its paths start from the folder it lies in.

    A line of a `.txt` is a path or URL. A `.csv`, whose cells commas, semicolons or tabs part, or a
    `.parquet` has a column of paths, and may have an id, a page, and constraints; capitals and
    spaces in their names do not matter, and other columns are left alone. A malformed row is an
    item with its reason.

    Raises:
        SettingsError: the file cannot be read, is no table, has no column of paths, two of one
            name, or one whose name is nearly a constraint's, which would be lost.
    """
    try:
        if path.suffix.lower() == ".txt":
            # A file's name may be bytes that are no UTF-8.
            with _open_text(path, newline=None, errors="surrogateescape") as file:
                yield from read_list(file, path.parent)
        elif path.suffix.lower() == ".parquet":
            for row in _parquet(path):
                yield to_item(row, path.parent)
        else:
            yield from _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, InputError) as error:
        raise SettingsError(f"cannot read the manifest {path}: {error}") from error


def read_list(lines: Iterable[str], folder: Path) -> Iterator[Item]:
    """Yield the items of a plain list, one a line; blank lines are skipped."""
    for line in lines:
        if name := line.rstrip("\r\n"):
            yield found(name, folder)


def _open_text(path: Path, newline: str | None, errors: str = "strict") -> TextIO:
    return io.TextIOWrapper(open_regular(path), "utf-8-sig", errors, newline)


def _csv(path: Path) -> Iterator[Item]:
    with _open_text(path, newline="") as file:
        first = file.readline(MAX_LINE)
        file.seek(0)
        reader = csv.DictReader(_lines(file), delimiter=delimiter_of(first), strict=True)
        reader.fieldnames = column_names(reader.fieldnames or [], path)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:  # of this row; the next line begins another one
                why = f"line {reader.reader.line_num} of the manifest is malformed: {error}"
                yield Item(
                    f"{path}:{reader.reader.line_num}", reason=UnreadableSource.reason, trouble=why
                )
                continue
            if row is None:
                return
            yield to_item({key: unguarded(cell) for key, cell in row.items()}, path.parent)


def _lines(file: TextIO) -> Iterator[str]:
    """Yield lines in bounded memory; one that is too long becomes one that `csv` refuses."""
    while line := file.readline(MAX_LINE):
        whole = line
        while len(line) == MAX_LINE and not line.endswith("\n"):
            whole = "x" * (csv.field_size_limit() + 1) + "\n"
            line = file.readline(MAX_LINE)
        yield whole


def _parquet(path: Path) -> Iterator[Cells]:
    with needs("batch", "a Parquet manifest needs pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet
    try:
        with parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            known = dict(zip(names, column_names(names, path), strict=True))
            columns = [name for name in names if known[name] in (*PATHS, *FIELDS)]
            for batch in table.iter_batches(1024, columns=columns):
                for row in batch.to_pylist():
                    yield {known[name]: cell for name, cell in row.items()}
    except pa.ArrowException as error:
        raise SettingsError(f"cannot read the manifest {path}: {error}") from error


def column_names(columns: Sequence[str], path: Path) -> list[str]:
    """Return a table's column names as they are known: in lower case, without spaces around them.

    Raises:
        SettingsError: none is of paths, two are the same, or one is nearly a known one.
    """
    known = (*PATHS, *FIELDS)
    plain = [column.strip().casefold() for column in columns]
    names = [
        short if short in known else column for column, short in zip(columns, plain, strict=True)
    ]
    for column, short in zip(columns, plain, strict=True):
        near = get_close_matches(short, CONSTRAINTS, 1, NEAR)
        if near and short not in known and near[0] not in plain:
            raise SettingsError(
                f"the manifest {path} has a column {quoted(column)}; is it {near[0]}? known "
                f"columns are {KNOWN}; rename it if it is another"
            )
    if twice := sorted({name for name in names if name in known and names.count(name) > 1}):
        raise SettingsError(f"the manifest {path} has more than one column {', '.join(twice)}")
    if not set(PATHS) & set(names):
        raise SettingsError(
            f"the manifest {path} has the columns {', '.join(columns) or 'none'}; "
            f"expected one of {', '.join(PATHS)}, and perhaps some of {KNOWN}"
        )
    return names


def to_item(row: Cells, folder: Path) -> Item:
    """Return the item that a table's row describes."""
    name = next((str(row[each]) for each in PATHS if row.get(each)), "")
    id_ = None if row.get("id") in (None, "") else str(row["id"])
    if not name:
        return Item("", id=id_, reason="UNREADABLE_SOURCE", trouble="the manifest names no file")
    try:
        constraint = constraint_of(row)
        return found(name, folder, id_, page_of(row), constraint)
    except InputError as error:
        return Item(name, id=id_, reason=error.reason, trouble=str(error), identity=str(error))


def found(
    name: str,
    folder: Path,
    id_: str | None = None,
    page: int | None = None,
    constraint: bytes = b"",
) -> Item:
    """Return the item of a name, with its identity as the file system shows it."""
    known = f"{id_ or ''} {'' if page is None else page} {constraint.hex()}".strip()
    if REMOTE in name:  # asking a store for each would take longer than reading
        return Item(name, name, known, id_, page, constraint)
    paths = [str(folder / each) if str(folder) != "." else each for each in names_of(name)]
    path = paths[0] if len(paths) == 1 or _is_there(paths[0]) else paths[1]
    identity = f"{entry_of(path).identity} {known}".strip()
    return Item(path, path, identity, id_, page, constraint)


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name too long, a null character, half of a surrogate pair
        return False


def page_of(row: Cells) -> int | None:
    """Return a row's page, from 0, or None for all; the column counts from 1, as rows do.

    Raises:
        BadOption: it is no such number.
    """
    given = row.get("page")
    if given in (None, ""):
        return None
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", str(given)):
        raise BadOption(f"the page is {quoted(str(given))}; expected a number from 1", "page")
    return int(str(given)) - 1


def constraint_of(row: Cells) -> bytes:
    """Return a row's own constraint, serialized; empty if it has none.

    Raises:
        BadConstraint: it is not written as it should be; the rest is found out by reading.
    """
    given = {key: str(row[key]) for key in CONSTRAINTS if row.get(key) not in (None, "")}
    if not given:
        return b""
    constraint = pb.Constraint()
    if "length" in given:
        constraint.length.CopyFrom(to_length(given["length"]))
    if "pattern" in given:
        constraint.pattern = given["pattern"]
    if "allowed" in given:
        constraint.allowed.extend(given["allowed"].split(SEPARATOR))
    if "check" in given:
        constraint.check_digit = to_check_digit(given["check"])
    return bytes(constraint.SerializeToString(deterministic=True))
