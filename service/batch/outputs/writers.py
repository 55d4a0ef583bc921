"""Writers: rows to `.jsonl`, `.csv` or `.parquet`; the same rows give the same bytes."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from service.batch.engines.worker import Page
from service.batch.outputs.rows import COLUMNS
from service.errors import SettingsError
from service.extras import needs
from service.pb import recognizer_pb2 as pb

GROUP = 8192  # rows of a Parquet file's row groups
GROUP_WITH_SCORES = 512
PIECE = 256  # rows that are Python objects at once
NESTED = ("alternatives", "constraint", "digits", "normalization")  # JSON in a CSV's cells


def writer_of(path: Path, scores: bool) -> "Callable[[Iterable[Page], Path], None]":
    """Return what writes pages to a file of that name's kind.

    Raises:
        SettingsError: no such kind is written, or not with scores.
        MissingExtra: it needs a library that is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise SettingsError(f"{path} ends in {suffix!r}; expected one of {', '.join(WRITERS)}")
    if suffix == ".parquet":
        with needs("batch", "Parquet needs pyarrow"):
            import pyarrow  # noqa: F401
        return lambda pages, to: write_parquet(pages, to, scores)
    if scores:
        raise SettingsError(f"--scores needs a .parquet to go to; {path} is none")
    return WRITERS[suffix]


def write_jsonl(pages: Iterable[Page], path: Path) -> None:
    """Write one JSON object a line."""
    with path.open("wb") as file:
        for page in pages:
            file.write(page.row + b"\n")


def write_csv(pages: Iterable[Page], path: Path) -> None:
    """Write a table with a header; what is nested is JSON in its cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(flat_columns())
        for page in pages:
            table.writerow(flat(json.loads(page.row)))


def flat_columns() -> list[str]:
    """Return a CSV's columns: the error's parts have their own."""
    return [
        each
        for column in COLUMNS
        for each in (("code", "reason", "message") if column == "error" else (column,))
    ]


def flat(row: dict[str, Any]) -> list[Any]:
    """Return the cells of a row."""
    error = row["error"] or {}
    cells = row | {key: error.get(key) for key in ("code", "reason", "message")}
    cells |= {key: None if row[key] is None else json.dumps(row[key]) for key in NESTED}
    cells["exact"] = None if row["exact"] is None else str(row["exact"]).lower()
    return [cells[column] for column in flat_columns()]


def write_parquet(pages: Iterable[Page], path: Path, scores: bool) -> None:
    """Write a Parquet file with nested columns, in row groups of a fixed size."""
    from pyarrow import parquet

    schema = schema_of(scores)
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for table in tables(pages, scores):
            file.write_table(table, row_group_size=table.num_rows)


def tables(pages: Iterable[Page], scores: bool) -> Iterator[Any]:
    """Yield pages as Arrow tables of a row group's size."""
    import pyarrow as pa

    schema, pages = schema_of(scores), iter(pages)
    size = GROUP_WITH_SCORES if scores else GROUP
    parts: list[Any] = []
    while piece := list(islice(pages, min(PIECE, size))):
        rows = [json.loads(page.row) for page in piece]
        for row, page in zip(rows, piece, strict=True):
            for digit in row["digits"]:
                digit["runners_up"] = list(digit["runners_up"].items())
            if scores:
                row["scores"] = _tensor(page.scores)
        parts.append(pa.Table.from_pylist(rows, schema))
        if sum(part.num_rows for part in parts) >= size:
            yield pa.concat_tables(parts).combine_chunks()
            parts = []
    if parts:
        yield pa.concat_tables(parts).combine_chunks()


def schema_of(scores: bool) -> Any:  # noqa: ANN401 - pyarrow is not imported without need
    """Return the Arrow schema of the rows.

    The score map is Arrow's canonical variable-shape tensor: (rows, positions, labels).
    """
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int32()
    view = pa.struct([("upright", number), ("scale", number)])
    columns = {
        "source": text,
        "page": whole,
        "id": text,
        "sha256": text,
        "text": text,
        "confidence": number,
        "decision": text,
        "exact": pa.bool_(),
        "alternatives": pa.list_(pa.struct([("text", text), ("confidence", number)])),
        "constraint": pa.struct([("outcome", text), ("allowed_probability", number)]),
        "digits": pa.list_(
            pa.struct(
                [
                    ("label", text),
                    ("confidence", number),
                    ("extent", pa.list_(number)),
                    ("runners_up", pa.map_(text, number)),
                ]
            )
        ),
        "normalization": pa.struct(
            [
                ("polarity", text),
                ("scale", pa.list_(number)),
                ("text_band", pa.list_(number)),
                ("slant", number),
                ("view", view),
            ]
        ),
        "error": pa.struct([("code", text), ("reason", text), ("message", text)]),
        "model_digest": text,
        "version": text,
    }
    fields = [pa.field(name, columns[name]) for name in COLUMNS]
    if scores:
        fields.append(
            pa.field(
                "scores",
                pa.struct([("data", pa.list_(pa.float32())), ("shape", pa.list_(whole, 3))]),
                metadata={
                    "ARROW:extension:name": "arrow.variable_shape_tensor",
                    "ARROW:extension:metadata": '{"dim_names": ["row", "position", "label"]}',
                },
            )
        )
    return pa.schema(fields)


def _tensor(scores: bytes) -> dict[str, Any] | None:
    if not scores:
        return None
    told = pb.ScoreMap.FromString(scores)
    return {
        "data": list(told.log_probabilities),
        "shape": [told.rows, told.positions, len(told.labels)],
    }


WRITERS: dict[str, Callable[[Iterable[Page], Path], None]] = {
    ".jsonl": write_jsonl,
    ".csv": write_csv,
    ".parquet": lambda pages, path: write_parquet(pages, path, scores=False),
}
