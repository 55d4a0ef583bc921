"""Tables of what scans say: `labels.csv` as people have it, and corrected readings of a batch."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from service.csv_cells import delimiter_of, unguarded
from service.errors import BadOption
from service.inputs.manifest import PATHS, page_of
from training.errors import DatasetError

CORRECTED = "corrected"  # the column of a batch's table in which people write
RIGHT, NOTHING = "ok", "none"  # in that column: the text is right; there are no digits
OF_READINGS = ("confidence", "decision")  # columns that a table of labels does not have


@dataclass(frozen=True)
class Label:
    """What a page says."""

    file: str  # as the table names it
    page: int  # from 0
    text: str  # digits only; empty if there are none
    why: str = ""  # of a review: `review` or `audit`
    weight: float | None = None  # of a review: rows of its batch that this one stands for


@dataclass(frozen=True)
class Corrections:
    """What people wrote into the column `corrected` of a batch's table."""

    labels: list[Label]
    unchecked: int  # rows in which they wrote nothing
    doubtful: list[str]  # sentences about rows that a spreadsheet may have changed


def read_labels(table: Path) -> Iterator[Label]:
    """Yield the labels of a table with the columns `file,text`, and perhaps `page`, from 1.

    Commas, semicolons or tabs part its cells. `file` may be called `path` or `source`. Labels of a
    review have the columns `why` and `weight`, too.

    Raises:
        DatasetError: it cannot be read, lacks a column or a cell, has unchecked readings, a text
            is not of digits, or a weight no number above 0.
    """
    for line, row in _rows(table, "text"):
        if any(name in row for name in OF_READINGS):
            raise DatasetError(
                f"{table}: these are readings, which may be wrong; write what is right into a "
                f"column `{CORRECTED}`, and `digitstrip-train labels {table.name} DIR` makes "
                "labels of it"
            )
        if row["text"] and not (row["text"].isascii() and row["text"].isdigit()):
            raise DatasetError(
                f"{table}: line {line} has the text {row['text']!r}; expected digits only: "
                "leave out separators and signs"
            )
        yield _label(table, line, row, row["text"])


def read_corrections(table: Path) -> Corrections:
    """Read a batch's table to which people have added a column `corrected`.

    In that column stands what the page says, or `ok` where the reading is right, or `none` where
    there are no digits. Rows without anything there are left out: nobody has looked at them.

    Raises:
        DatasetError: it cannot be read, lacks a column or a cell, or a correction has letters.
    """
    labels: list[Label] = []
    doubtful: list[str] = []
    unchecked = 0
    for line, row in _rows(table, "text", CORRECTED):
        given, read = row[CORRECTED].strip(), _digits(row["text"])
        if not given:
            unchecked += 1
            continue
        if given.casefold() in (RIGHT, NOTHING):
            text: str | None = read if given.casefold() == RIGHT else ""
        else:
            text = _digits(given)
        if text is None or (not text and given.casefold() not in (RIGHT, NOTHING)):
            raise DatasetError(
                f"{table}: line {line} has {given!r} as its correction; expected digits, "
                f"`{RIGHT}` or `{NOTHING}`"
            )
        if read and text != read and text == read.lstrip("0"):
            doubtful.append(
                f"line {line}: {text} is {read} without its zeros, which spreadsheets drop; left "
                f"out; write `{RIGHT}` if {read} is right"
            )
            continue
        labels.append(_label(table, line, row, text))
    return Corrections(labels, unchecked, doubtful)


def _rows(table: Path, *needed: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with their lines, the column of files as `file`."""
    try:
        # With or without the mark that Excel begins UTF-8 with.
        with table.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            rows = csv.DictReader(file, delimiter=delimiter_of(first))
            columns = list(rows.fieldnames or ())
            names = [column.strip().casefold() for column in columns]
            paths = next((name for name in ("file", *PATHS) if name in names), None)
            if paths is None or not set(needed) <= set(names):
                raise DatasetError(
                    f"{table}: expected columns {','.join(('file', *needed))}, found {columns}"
                )
            rows.fieldnames = ["file" if name == paths else name for name in names]
            for row in rows:
                if None in row or None in row.values():
                    raise DatasetError(
                        f"{table}: line {rows.line_num} has more or fewer cells than the first"
                    )
                if any(row.values()):  # a spreadsheet may end in rows of empty cells
                    yield rows.line_num, {name: unguarded(cell) for name, cell in row.items()}
    except OSError as error:
        raise DatasetError(f"{table}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{table}: it is no CSV in UTF-8, as which spreadsheets save on request: {error}"
        ) from error


def _label(table: Path, line: int, row: Mapping[str, str], text: str) -> Label:
    try:
        weight = _weight(row.get("weight", ""))
        return Label(row["file"], page_of(row) or 0, text, row.get("why", ""), weight)
    except (BadOption, ValueError) as error:
        raise DatasetError(f"{table}: line {line}: {error}") from error


def _weight(cell: str) -> float | None:
    if cell and not 0 < float(cell) < math.inf:
        raise ValueError(f"the weight is {cell!r}; expected a number above 0")
    return float(cell) if cell else None


def _digits(text: str) -> str | None:
    """Return a text without the separators that a pattern may have set; None if it has letters."""
    digits = "".join(letter for letter in text if letter not in " -./,'")
    return digits if not digits or (digits.isascii() and digits.isdigit()) else None
