"""Writers: rows to `.jsonl`, `.csv` or `.parquet`; the same rows give the same bytes."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from service.batch.job import CsvFormat
from service.batch.outputs.form_rows import beside
from service.batch.outputs.layouts import STRIPS, Layout
from service.batch.outputs.rows import Row
from service.batch.pages import PageResult
from service.csv_cells import as_text, guarded, line_of
from service.errors import SettingsError, quoted
from service.extras import needs
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb

GROUP = 8192  # rows of a Parquet file's row groups
GROUP_WITH_SCORES = 512
PIECE = 256  # rows converted to Python objects at a time
# JSON in the cells of a CSV
NESTED = (
    *("readers", "alternatives", "constraint", "digits", "normalization"),
    *("polygon", "registration"),
)
SUFFIXES = (".jsonl", ".csv", ".parquet")

Write = Callable[[Iterable[PageResult], Path], None]


def csv_format(columns: str | None, spreadsheet: bool, layout: Layout = STRIPS) -> CsvFormat:
    """Return the format with the columns `all`, `short`, or names separated by commas.

    Raises:
        SettingsError: there is no such column.
    """
    known = layout.csv_columns
    if columns is None or columns == "short":
        return CsvFormat(layout.short, spreadsheet, layout.texts)
    if columns == "all":
        return CsvFormat(known, spreadsheet, layout.texts)
    names = tuple(name.strip() for name in columns.split(","))
    if unknown := [name for name in names if name not in known]:
        raise SettingsError(
            f"there is no column {quoted(unknown[0])}; expected `short`, `all`, or some of "
            + ", ".join(known)
        )
    return CsvFormat(names, spreadsheet, layout.texts)


def writer_of(
    path: Path, scores: bool, style: CsvFormat | None = None, layout: Layout = STRIPS
) -> Write:
    """Return the function that writes pages to a file with that suffix.

    Args:
        path: of the output.
        scores: whether score maps are kept.
        style: of a CSV; None is the default one.
        layout: of the table.

    Raises:
        SettingsError: there is no such format, or it has no scores, or no columns to choose.
        MissingExtra: it needs a library that is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingsError(f"{path} ends in {suffix!r}; expected one of {', '.join(SUFFIXES)}")
    if style is not None and suffix != ".csv":
        raise SettingsError(f"--columns and --spreadsheet are for a .csv; {path} is none")
    if suffix == ".parquet":
        with needs("batch", "Parquet needs pyarrow"):
            import pyarrow  # noqa: F401
        return lambda pages, to: write_parquet(layout.of(pages), to, scores, layout)
    if scores:
        raise SettingsError(f"--scores needs a .parquet to go to; {path} is none")
    if suffix == ".jsonl":
        return lambda pages, to: write_jsonl(layout.of(pages), to)
    csv = style or csv_format(None, False, layout)
    return lambda pages, to: write_csv(layout.of(pages), to, csv)


def write_jsonl(pages: Iterable[PageResult], path: Path) -> None:
    """Write one JSON object a line."""
    with path.open("wb") as file:
        for page in pages:
            file.write(page.row + b"\n")


def write_csv(pages: Iterable[PageResult], path: Path, style: CsvFormat) -> None:
    """Write a table with a header; nested values are JSON in their cell.

    A cell that a spreadsheet would run as a formula gets an apostrophe before it, which
    `service.inputs.manifest` takes away again.
    """
    encoding = "utf-8-sig" if style.spreadsheet else "utf-8"  # Excel knows UTF-8 by its mark alone
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(line_of(style.columns))
        for page in pages:
            cells = cells_of(json.loads(page.row))
            file.write(
                line_of(
                    _cell(cells[name], name in style.texts and style.spreadsheet)
                    for name in style.columns
                )
            )


def cells_of(row: Row) -> Row:
    """Return a row's values by the columns of a CSV: those of the error have their own."""
    error = row["error"] or {}
    cells = row | {key: error.get(key) for key in ("code", "message")}
    cells["reason"] = error.get("reason") or " ".join(row["reasons"]) or None
    for key in NESTED:
        if isinstance(row.get(key), dict | list):
            cells[key] = json.dumps(row[key])
    if isinstance(exact := row.get("exact"), bool):
        cells["exact"] = str(exact).lower()
    return cells


def _cell(value: Any, keep: bool) -> Any:  # noqa: ANN401 - text or number
    if not isinstance(value, str):
        return value
    return as_text(value) if keep and value else guarded(value)


def write_parquet(
    pages: Iterable[PageResult], path: Path, scores: bool, layout: Layout = STRIPS
) -> None:
    """Write a Parquet file with nested columns, in row groups of a fixed size."""
    from pyarrow import parquet

    schema = schema_of(scores, layout)
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for table in tables(pages, scores, layout):
            file.write_table(table, row_group_size=table.num_rows)


def tables(
    pages: Iterable[PageResult], scores: bool, layout: Layout = STRIPS
) -> Iterator[Any]:  # pyarrow has no types
    """Yield pages as Arrow tables of a row group's size."""
    import pyarrow as pa

    schema, pages = schema_of(scores, layout), iter(pages)
    size = GROUP_WITH_SCORES if scores else GROUP
    parts: list[Any] = []  # Arrow tables
    while piece := list(islice(pages, min(PIECE, size))):
        rows = [json.loads(page.row) for page in piece]
        for row, page in zip(rows, piece, strict=True):
            for digit in row.get("digits", ()):
                digit["runners_up"] = list(digit["runners_up"].items())
            if scores:
                row["scores"] = _tensor(page.scores)
        parts.append(pa.Table.from_pylist(rows, schema))
        if sum(part.num_rows for part in parts) >= size:
            yield pa.concat_tables(parts).combine_chunks()
            parts = []
    if parts:
        yield pa.concat_tables(parts).combine_chunks()


def schema_of(scores: bool, layout: Layout = STRIPS) -> Any:  # noqa: ANN401 - pyarrow is not imported without need
    """Return the Arrow schema of the rows.

    The score map is Arrow's canonical variable-shape tensor: (rows, positions, labels).
    """
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int32()
    view = pa.struct([("upright", number), ("scale", number)])
    shares = [(share, number) for share in ("digits", "unexplained", "outside", "removed")]
    boxes = pa.list_(pa.list_(number))
    ink = pa.struct([("seen", pa.bool_()), ("lines", whole), *shares, ("unexplained_boxes", boxes)])
    measured = [("residual_mm", number), ("inliers", number), ("why", text)]
    registration = pa.struct([("status", text), *measured])
    columns = {
        "source": text,
        "page": whole,
        "id": text,
        "sha256": text,
        "text": text,
        "confidence": number,
        "decision": text,
        "reasons": pa.list_(text),
        "exact": pa.bool_(),
        "readers": pa.list_(pa.struct([("reader", text), ("text", text), ("confidence", number)])),
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
                ("channel", text),
                ("text_band", pa.list_(number)),
                ("slant", number),
                ("skew", number),
                ("view", view),
                ("ink", ink),
            ]
        ),
        "error": pa.struct([("code", text), ("reason", text), ("message", text)]),
        "model_digest": text,
        "second_reader_digest": text,
        "version": text,
        "form": text,
        "field": text,
        "status": text,
        "polygon": boxes,
        "registration": text if layout.fields else registration,
        **dict(measured),
    }
    for name in layout.fields:
        confidence, decision = beside(name)
        columns |= {name: text, confidence: number, decision: text}
    fields = [pa.field(name, columns[name]) for name in layout.columns]
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


def _tensor(scores: bytes) -> JsonObject | None:
    if not scores:
        return None
    score_map = pb.ScoreMap.FromString(scores)
    return {
        "data": list(score_map.log_probabilities),
        "shape": [score_map.rows, score_map.positions, len(score_map.labels)],
    }
