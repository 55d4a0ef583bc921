"""What a review gives: the table with new columns beside the machine's own, and labels.

Both follow from the table and the journal alone, so every export has the same bytes.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from service.csv_cells import Cells, as_text, guarded, line_of, unguarded
from service.durable_files import new_partial, put_in_place, writing
from service.errors import SettingsError
from service.extras import needs
from service.json_object import parse_json
from service.review.decisions import Action, Decisions
from service.review.journal import Event
from service.review.labels import Labeled
from service.review.queue import Entry, Queue, Why
from service.review.table import Row, large_cells, read_cells

MARK = b"\xef\xbb\xbf"  # by which Excel knows UTF-8, and we a CSV for spreadsheets
# What is appended to every row; nothing in a row that nobody was to look at, but for the last one.
COLUMNS = (
    "review_why",  # review, audit or planted
    "review_outcome",  # CONFIRMED, CORRECTED, ILLEGIBLE, WRONG_CROP, UNSURE or OPEN
    "reviewed_text",
    "reviewed_by",
    "reviewed_at",
    "final_text",  # what was reviewed, or accepted; nothing where it is still open
)
TEXTS = ("reviewed_text", "final_text")

NewCells = dict[str, str | None]


@dataclass(frozen=True)
class Reviewed:
    """A queue and what was decided of it."""

    entries: Mapping[int, Entry]  # by the row's number
    decisions: Decisions

    def cells(self, number: int, cells: Cells) -> NewCells:
        """Return the new columns of a table's row."""
        blank: NewCells = dict.fromkeys(COLUMNS)
        if cells["confidence"] in (None, ""):
            return blank  # it could not be read
        entry = self.entries.get(number)
        if entry is None:
            return blank | {"final_text": unguarded(cells["text"])}
        found = blank | {"review_why": entry.why.value}
        key = self.decisions.verdict(number)
        if key is None:
            passed = any(k.what == Action.UNSURE for k in self.decisions.state(number).keys)
            return found | {"review_outcome": "UNSURE" if passed else "OPEN"}
        found |= {"reviewed_by": key.who, "reviewed_at": key.at}
        if key.what != Action.TEXT:
            return found | {"review_outcome": key.what.upper()}
        outcome = "CONFIRMED" if key.text == key.was else "CORRECTED"
        texts = dict.fromkeys(TEXTS, key.written)
        return found | {"review_outcome": outcome} | texts


def export(table: Path, output: Path, reviewed: Reviewed) -> None:
    """Write the table with the review's columns.

    Raises:
        SettingsError: the output has another suffix, or is a file that no export wrote.
        UnwritableOutput: it cannot be written.
    """
    check_output(table, output)
    write: dict[str, Callable[[Path, Path, Reviewed], None]] = {
        ".csv": _csv,
        ".jsonl": _jsonl,
        ".parquet": _parquet,
    }
    with writing(output):
        write[table.suffix.lower()](table, new_partial(output), reviewed)
        put_in_place(output)


def check_output(table: Path, output: Path) -> None:
    """Check that an export may be written there.

    Raises:
        SettingsError: it is of another format, or would overwrite what no export wrote.
    """
    if output.suffix.lower() != table.suffix.lower():
        raise SettingsError(
            f"{output} ends in {output.suffix!r}; the export has the table's format: {table.suffix}"
        )
    if not output.parent.is_dir():
        raise SettingsError(f"there is no folder {output.parent} for {output}")
    if output.exists() and COLUMNS[1] not in next(iter(read_cells(output)), {}):
        raise SettingsError(
            f"{output} exists but was not written by `digitstrip review`; it is left as it is"
        )


def _csv(table: Path, to: Path, reviewed: Reviewed) -> None:
    with table.open("rb") as start:
        spreadsheet = start.read(len(MARK)) == MARK
    encoding = "utf-8-sig"
    with (
        table.open(newline="", encoding=encoding) as file,
        to.open("w", newline="", encoding=encoding if spreadsheet else "utf-8") as out,
        large_cells(),
    ):
        lines = csv.reader(file, strict=True)
        columns = next(lines)
        out.write(line_of([*columns, *COLUMNS]))
        for number, line in enumerate(lines):
            new = reviewed.cells(number, dict(zip(columns, line, strict=False)))
            out.write(line_of([*line, *_guarded(new, spreadsheet)]))


def _guarded(cells: NewCells, spreadsheet: bool) -> Iterator[str | None]:
    for name, cell in cells.items():
        if cell and name in TEXTS and spreadsheet:
            yield as_text(cell)
        else:
            yield guarded(cell) if cell else cell


def _jsonl(table: Path, to: Path, reviewed: Reviewed) -> None:
    with table.open(encoding="utf-8") as file, to.open("wb") as out:
        for number, line in enumerate(file):
            row = parse_json(line)
            new = reviewed.cells(number, row)
            out.write(json.dumps(row | new).encode("ascii") + b"\n")


def _parquet(table: Path, to: Path, reviewed: Reviewed) -> None:
    with needs("batch", "a Parquet table needs pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet
    with parquet.ParquetFile(table) as file:
        schema = file.schema_arrow
        for name in COLUMNS:
            schema = schema.append(pa.field(name, pa.string()))
        number = 0
        with parquet.ParquetWriter(to, schema, compression="zstd") as out:
            for index in range(file.num_row_groups):
                group = file.read_row_group(index)
                new = []
                for cells in group.select(["text", "confidence"]).to_pylist():
                    new.append(reviewed.cells(number, cells))
                    number += 1
                for name in COLUMNS:
                    column = pa.array([each[name] for each in new], pa.string())
                    group = group.append_column(name, column)
                out.write_table(group, row_group_size=max(group.num_rows, 1))


@dataclass(frozen=True)
class _Stratum:
    """Rows that were looked at for one reason, and how many of the batch they were drawn from."""

    whole: int
    decided: list[tuple[Row, Event | None]]

    @property
    def texts(self) -> list[tuple[Row, Event]]:
        """Those that were given a value."""
        return [(row, key) for row, key in self.decided if key and key.what == Action.TEXT]

    @property
    def weight(self) -> float:
        """Rows of the batch that each of those with a value stands for."""
        return self.whole / len(self.texts)


def labels_of(queue: Queue, decisions: Decisions) -> list[Labeled]:
    """Return what people say of the rows that they decided, in the order of the table.

    Together they stand for the whole batch, and `digitstrip-train calibrate` weighs each by the
    rows that it stands for: those to review for themselves, those of the audit for all that were
    accepted. What was marked on a carpet is to review; the audit then stands for the accepted rows
    without it. An illegible row has no label; the others of its kind stand for it, too. Planted
    rows were not drawn at random, and have none.

    No label has a weight while they do not stand for the batch: where rows to review are open, as
    those looked at first are the least sure, and where nothing of what was accepted was audited.
    """
    strata = _strata(queue, decisions)
    is_open = any(key is None for _, key in strata[Why.REVIEW].decided)
    stand_for_all = not is_open and all(each.texts or not each.whole for each in strata.values())
    labels = {
        row.number: Labeled(
            row.source,
            row.page,
            key.text,
            row.sha256,
            why,
            stratum.weight if stand_for_all else None,
        )
        for why, stratum in strata.items()
        for row, key in stratum.texts
    }
    return [labels[number] for number in sorted(labels)]


def _strata(queue: Queue, decisions: Decisions) -> dict[Why, _Stratum]:
    odd = {number for number, _ in decisions.odd}
    rows: dict[Why, list[Row]] = {Why.REVIEW: [], Why.AUDIT: []}
    for entry in queue.with_odd(odd):
        if entry.why is not Why.PLANTED:
            rows[Why.REVIEW if entry.row.number in odd else entry.why].append(entry.row)
    marked = len(rows[Why.REVIEW]) - sum(why is Why.REVIEW for why in queue.why.values())
    wholes = {Why.REVIEW: len(rows[Why.REVIEW]), Why.AUDIT: queue.accepted - marked}
    return {
        why: _Stratum(wholes[why], [(row, decisions.verdict(row.number)) for row in rows[why]])
        for why in rows
    }
