"""Manifests: lists of what to read, with ids, pages and what is known of each string."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from service.api.options import to_length
from service.batch.inputs.items import REMOTE, Item
from service.batch.inputs.listing import entry_of
from service.errors import BadConstraint, BadOption, InputError, SettingsError, quoted
from service.extras import needs
from service.pb import recognizer_pb2 as pb

LISTS = {".txt", ".csv", ".parquet"}
PATHS = ("path", "file", "source")  # the column that names the image, whichever there is
KNOWN = "path (or file, or source), id, page, length, pattern, allowed, check"
BETWEEN = "|"  # of allowed strings in one cell


def read_manifest(path: Path) -> Iterator[Item]:
    """Yield what a manifest lists; its paths start from the folder it lies in.

    A line of a `.txt` is a path or URL. A `.csv` or `.parquet` has a column of paths, and may
    have an id, a page, and constraints; other columns are left alone. A row with a malformed one
    is an item with its reason.

    Raises:
        SettingsError: the file cannot be read, is no table, or has no column of paths.
    """
    try:
        if path.suffix.lower() == ".txt":
            with path.open(encoding="utf-8-sig") as file:
                yield from read_list(file, path.parent)
        else:
            rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
            for row in rows:
                yield to_item(row, path.parent)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"cannot read the manifest {path}: {error}") from error


def read_list(lines: Iterable[str], folder: Path) -> Iterator[Item]:
    """Yield what a plain list names, one a line; blank lines are skipped."""
    for line in lines:
        if name := line.rstrip("\r\n"):
            yield found(name, folder)


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        _insist_on_paths(reader.fieldnames or [], path)
        yield from reader


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    with needs("batch", "a Parquet manifest needs pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet
    try:
        with parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            _insist_on_paths(names, path)
            columns = [name for name in names if name in (*PATHS, *KNOWN.split(", "))]
            for batch in table.iter_batches(1024, columns=columns):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise SettingsError(f"cannot read the manifest {path}: {error}") from error


def _insist_on_paths(columns: Iterable[str], path: Path) -> None:
    if not set(PATHS) & set(columns):
        raise SettingsError(
            f"the manifest {path} has the columns {', '.join(columns) or 'none'}; "
            f"expected one of {', '.join(PATHS)}, and perhaps some of {KNOWN}"
        )


def to_item(row: Mapping[str, Any], folder: Path) -> Item:
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
    """Return an item with what its listing tells of the file."""
    known = f"{id_ or ''} {'' if page is None else page} {constraint.hex()}".strip()
    if REMOTE in name:  # asking a store for each would take longer than reading
        return Item(name, name, known, id_, page, constraint)
    path = str(folder / name) if str(folder) != "." else name
    identity = f"{entry_of(path).identity} {known}".strip()
    return Item(path, path, identity, id_, page, constraint)


def page_of(row: Mapping[str, Any]) -> int | None:
    """Return the page that a row asks for, counted from 0, or None for all.

    Raises:
        BadOption: it is no number.
    """
    said = row.get("page")
    if said in (None, ""):
        return None
    if not re.fullmatch(r"[0-9]{1,9}", str(said)):
        raise BadOption(f"the page is {quoted(str(said))}; expected a number from 0", "page")
    return int(str(said))


def constraint_of(row: Mapping[str, Any]) -> bytes:
    """Return a row's own constraint, serialized; empty if it has none.

    Raises:
        BadConstraint: it is not written as it should be; the rest is found out by reading.
    """
    said = {
        key: str(row[key])
        for key in ("length", "pattern", "allowed", "check")
        if row.get(key) not in (None, "")
    }
    if not said:
        return b""
    constraint = pb.Constraint()
    if "length" in said:
        constraint.length.CopyFrom(to_length(said["length"]))
    if "pattern" in said:
        constraint.pattern = said["pattern"]
    if "allowed" in said:
        constraint.allowed.extend(said["allowed"].split(BETWEEN))
    if "check" in said:
        try:
            constraint.check_digit = pb.CheckDigit.Value(f"CHECK_DIGIT_{said['check'].upper()}")
        except ValueError as error:
            raise BadConstraint(
                f"the check is {quoted(said['check'])}; expected luhn, mod97, isbn10, isbn13 or "
                "verhoeff",
                "constraint.check_digit",
            ) from error
    return bytes(constraint.SerializeToString(deterministic=True))
