"""Planted rows: rows of a table whose truth is known, by which people are measured."""

import csv
from collections.abc import Iterable
from pathlib import Path

from service.csv_cells import unguarded
from service.errors import BadOption, SettingsError
from service.inputs.manifest import PATHS, page_of
from service.review.table import DIGITS, Row


def read_planted(path: Path, rows: Iterable[Row]) -> dict[str, str]:
    """Return the known texts of a table's rows, by the rows' numbers as the journal has them.

    Args:
        path: of a CSV with the columns `source` (or file, or path) and `text`, and perhaps `page`.
        rows: of the table.

    Raises:
        SettingsError: it cannot be read, a text is not of digits, or a row is not in the table.
    """
    known = _read(path)
    planted = {
        str(row.number): known.pop((row.source, row.page))
        for row in rows
        if (row.source, row.page) in known
    }
    if known:
        source, page = next(iter(known))
        raise SettingsError(
            f"{path}: {len(known):,} rows are not in the table, {source}, page {page + 1}, first; "
            "name them as its column `source` does"
        )
    return planted


def _read(path: Path) -> dict[tuple[str, int], str]:
    known = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            source = next(
                (each for each in ("file", *PATHS) if each in (rows.fieldnames or ())), ""
            )
            if not source or "text" not in (rows.fieldnames or ()):
                columns = ", ".join(rows.fieldnames or ()) or "none"
                raise SettingsError(
                    f"{path} has the columns {columns}; expected source and text, and perhaps page"
                )
            for row in rows:
                text = str(unguarded(row["text"]))
                if set(text) - set(DIGITS):
                    raise SettingsError(f"{path}: line {rows.line_num} has a text not of digits")
                known[str(unguarded(row[source])), page_of(row) or 0] = text
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error, BadOption) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    return known
