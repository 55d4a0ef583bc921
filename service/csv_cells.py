"""Cells of a CSV of readings: written so that no spreadsheet runs or rounds one, and read back."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet may run, guarded or not
GUARDED = re.compile(r"'+[=+\-@\t\r]")
TEXT = re.compile(r'="((?:[^"]|"")*)"', re.DOTALL)  # kept as text by a spreadsheet
DELIMITERS = ",;\t"  # that part cells, as spreadsheets save them

Cells = Mapping[str, Any]  # by column; text in a CSV, whatever its column is of in Parquet


def guarded(cell: str) -> str:
    """Return a cell that a spreadsheet does not run as a formula."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def as_text(cell: str) -> str:
    """Return a formula that is a text: 02821 is not 2821 then, and 3-4 no date."""
    doubled = cell.replace('"', '""')
    return f'="{doubled}"'


def unguarded(cell: Any) -> Any:  # noqa: ANN401 - of `Cells`
    """Return a cell as it was before it was guarded or made a text."""
    if not isinstance(cell, str):
        return cell
    if text := TEXT.fullmatch(cell):
        return text[1].replace('""', '"')
    return cell[1:] if GUARDED.match(cell) else cell


def line_of(cells: Iterable[object]) -> str:
    """Return a line of a CSV; `csv` quotes a carriage return only if lines end in one."""
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()[:-2] + "\n"


def delimiter_of(first: str) -> str:
    """Return the delimiter of a table by its first line: the one that is most often in it."""
    return max(DELIMITERS, key=first.count)
