"""A batch's table, row by row, from whichever format it was written in."""

import csv
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.csv_cells import Cells, unguarded
from service.errors import BadConstraint, SettingsError, is_unicode, quoted
from service.extras import needs
from service.inputs.manifest import CONSTRAINTS, constraint_of
from service.json_object import parse_json

NEEDED = ("source", "page", "text", "confidence", "decision")  # columns of every table of readings
# What is read of a Parquet file; nested columns that nobody looks at would take most of the time.
READ = {
    *NEEDED,
    *("id", "sha256", "reasons", "readers", "alternatives", "constraint", "digits"),
    *("model_digest", "review_outcome"),
    "field",  # by which a table of a form's fields is known
    *CONSTRAINTS,
}
NESTED = ("readers", "alternatives", "constraint", "digits")  # JSON in the cells of a CSV
BROKEN = ("IMPOSSIBLE", "UNSEARCHED")  # outcomes of a constraint that the text does not satisfy
DIGITS = "0123456789"
MAX_CELL = 2**27  # characters of a CSV's cell: a long string's digits, with their boxes

Box = tuple[float, float, float, float]  # left, top, right, bottom in the source image


@dataclass(frozen=True, slots=True)
class Digit:
    """A digit as the machine found it."""

    label: str
    confidence: float
    extent: Box
    runners_up: tuple[tuple[str, float], ...]  # other labels and their confidences

    @property
    def margin(self) -> float:
        """How much surer the label is than the next one."""
        others = [confidence for label, confidence in self.runners_up if label != self.label]
        return self.confidence - max(others, default=0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """A page that was read. Tables of few columns lack what comes after the decision."""

    number: int  # in the table, from 0
    source: str
    page: int  # from 0
    id: str | None
    text: str
    confidence: float
    decision: str | None  # ACCEPT, REVIEW, or None where none was asked for
    reasons: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()  # the text of each
    alternatives: tuple[str, ...] = ()
    digits: tuple[Digit, ...] = ()
    satisfied: bool | None = None  # whether the text satisfies the batch's constraint, if known
    constraint: bytes = b""  # of the row itself: a serialized pb.Constraint
    sha256: str | None = None  # of the source's bytes
    model: str | None = None  # digest

    @property
    def value(self) -> str:
        """The text's digits, without what a pattern inserts between them."""
        return digits_of(self.text)


def digits_of(text: str) -> str:
    """Return a text's digits, 0 to 9."""
    return "".join(letter for letter in text if letter in DIGITS)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table that have a reading; a row that failed has nothing to review.

    Raises:
        SettingsError: it cannot be read, lacks a column, or a cell is malformed.
    """
    for number, cells in enumerate(read_cells(path)):
        try:
            row = to_row(number, cells)
        except (AttributeError, KeyError, TypeError, ValueError, BadConstraint) as error:
            raise SettingsError(f"{path}: row {number + 1} cannot be read: {error}") from error
        if row is not None:
            yield row


def read_cells(path: Path) -> Iterator[Cells]:
    """Yield each row's cells by column; those of a CSV are text.

    Raises:
        SettingsError: the file cannot be read, or lacks a column.
    """
    suffix = path.suffix.lower()
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if suffix not in readers:
        raise SettingsError(
            f"{path} ends in {suffix!r}; expected a table of `digitstrip batch`: "
            + ", ".join(readers)
        )
    try:
        for number, cells in enumerate(readers[suffix](path)):
            if number == 0 and (missing := [name for name in NEEDED if name not in cells]):
                raise SettingsError(
                    f"{path} has no column {', '.join(missing)}; expected a table of "
                    f"`digitstrip batch` with {', '.join(NEEDED)}, and perhaps more"
                )
            if "field" in cells:
                raise SettingsError(
                    f"{path} has the fields of a form; a review shows images of one line. "
                    "`digitstrip read --form FORM --accept-errors 1% --picture FOLDER` draws pages "
                    "with what is to be looked at"
                )
            yield cells
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error


def _csv(path: Path) -> Iterator[Cells]:
    with path.open(newline="", encoding="utf-8-sig") as file, large_cells():
        yield from csv.DictReader(file, strict=True)


@contextmanager
def large_cells() -> Iterator[None]:
    """Let the process's readers of CSV take cells of MAX_CELL, as long as a table is read."""
    before = csv.field_size_limit(MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _jsonl(path: Path) -> Iterator[Cells]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = parse_json(line)
            if not isinstance(row, dict):
                raise SettingsError(f"cannot read {path}: a line is no JSON object")
            yield row


def _parquet(path: Path) -> Iterator[Cells]:
    with needs("batch", "a Parquet table needs pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet
    try:
        with parquet.ParquetFile(path) as table:
            names = [name for name in table.schema_arrow.names if name in READ]
            for batch in table.iter_batches(256, columns=names):
                yield from batch.to_pylist(maps_as_pydicts="strict")
    except pa.ArrowException as error:
        raise SettingsError(f"cannot read {path}: {error}") from error


def to_row(number: int, cells: Cells) -> Row | None:
    """Return the row that cells describe, or None if it has no reading.

    Raises:
        AttributeError, KeyError, TypeError, ValueError, BadConstraint: a cell is malformed.
    """
    cells = {name: unguarded(cell) for name, cell in cells.items()}
    for name in NESTED:
        if isinstance(cells.get(name), str):
            cells[name] = parse_json(cells[name] or "null")
    if cells["confidence"] in (None, ""):
        return None
    listed = cells.get("reasons") or _text(cells, "reason").split()
    reasons = tuple(_text({"reasons": each}, "reasons") for each in listed)
    decision = _text(cells, "decision") or None
    outcome = (cells.get("constraint") or {}).get("outcome")
    satisfied = None if outcome is None else outcome not in BROKEN
    if outcome is None and ("CONSTRAINT" in reasons or decision == "ACCEPT"):
        satisfied = decision == "ACCEPT"
    return Row(
        number=number,
        source=_text(cells, "source"),
        page=int(cells["page"]) - 1,
        id=_text(cells, "id") or None,
        text=_text(cells, "text"),
        confidence=float(cells["confidence"]),
        decision=decision,
        reasons=reasons,
        readers=tuple(_text(each, "text") for each in cells.get("readers") or ()),
        alternatives=tuple(_text(each, "text") for each in cells.get("alternatives") or ()),
        digits=tuple(map(_digit, cells.get("digits") or ())),
        satisfied=satisfied,
        constraint=constraint_of(cells),
        sha256=_text(cells, "sha256") or None,
        model=_text(cells, "model_digest") or None,
    )


def _text(cells: Cells, name: str) -> str:
    """Return a cell's text; empty if there is none.

    Raises:
        ValueError: it is of another type, or half of a surrogate pair, which no answer can have.
    """
    cell = cells.get(name)
    if isinstance(cell, int):  # such as a manifest's ids, in another's table
        return str(cell)
    if cell is None:
        return ""
    if not isinstance(cell, str) or not is_unicode(cell):
        raise ValueError(f"{name} is {quoted(str(cell))}; expected text")
    return cell


def _digit(found: Cells) -> Digit:
    label = _text(found, "label")
    left, top, right, bottom = extent = tuple(map(float, found["extent"]))
    if not all(map(math.isfinite, extent)):
        raise ValueError(f"a digit's extent is {found['extent']}; expected four finite numbers")
    runners_up = (found.get("runners_up") or {}).items()
    return Digit(
        label,
        float(found["confidence"]),
        (left, top, right, bottom),
        tuple((str(other), float(confidence)) for other, confidence in runners_up),
    )
