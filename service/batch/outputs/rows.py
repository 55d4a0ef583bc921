"""Rows: the result of a page as a table has it, the same whichever engine read it."""

import json

from service.api.json_records import to_record
from service.batch.pages import PageResult, PageStatus
from service.batch.plan import Plan
from service.errors import DigitstripError, InputError, UnreadableSource
from service.inputs.items import Item
from service.inputs.names import printable
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb

Row = JsonObject

# A row's columns, in order; digits, alternatives and the like are nested. Pages count from 1.
COLUMNS = (
    "source",
    "page",
    "id",
    "sha256",
    "text",
    "confidence",
    "decision",
    "reasons",
    "exact",
    "readers",
    "alternatives",
    "constraint",
    "digits",
    "normalization",
    "error",
    "model_digest",
    "second_reader_digest",
    "version",
)

LISTS = ("reasons", "readers", "alternatives", "digits")  # that are empty where nothing was read
NOTHING_READ: Row = {
    name: [] if name in LISTS else None for name in COLUMNS[COLUMNS.index("text") :]
}  # what a row has besides its source
NOTHING_OF_A_FORM: Row = {"form": None, "registration": None, "fields": []}


def read_page(
    item: Item, page: int, sha256: str, response: pb.RecognizeResponse, plan: Plan
) -> PageResult:
    """Return the result of a page, from 0, that was read."""
    row = in_order(
        to_record(printable(item.source), page, response)
        | {
            "id": item.id,
            "sha256": sha256,
            "error": None,
            "model_digest": response.model_digest,
            "second_reader_digest": response.second_reader_digest,
            "version": plan.version,
        }
    )
    scores = response.scores.SerializeToString() if response.HasField("scores") else b""
    status = PageStatus[row["decision"] or "READ"]
    return PageResult(page, status, response.confidence, to_json(row), scores)


def failed_page(
    item: Item, page: int, sha256: str | None, error: DigitstripError, plan: Plan
) -> PageResult:
    """Return the result of a page, from 0, that could not be read."""
    row = (
        {"source": printable(item.source), "page": page + 1, "id": item.id, "sha256": sha256}
        | (NOTHING_OF_A_FORM if plan.form else NOTHING_READ)
        | {
            "error": {
                "code": error.code,
                "reason": error.reason,
                "message": printable(str(error)),
            },
            "model_digest": plan.digest,
            "second_reader_digest": plan.second_digest,
            "version": plan.version,
        }
    )
    status = PageStatus.RETRY if may_pass(error) and not item.reason else PageStatus.FAILED
    return PageResult(page, status, 0.0, to_json(row), b"")


def may_pass(error: DigitstripError) -> bool:
    """Whether reading the same item later may succeed: an extra is installed, a disk is back."""
    return not isinstance(error, InputError) or isinstance(error, UnreadableSource)


def to_json(row: Row) -> bytes:
    """Return the row as a line of JSON, without the line's end."""
    return json.dumps(row).encode("ascii")


def in_order(row: Row) -> Row:
    """Return the row with its columns in their order, and no others."""
    return {column: row[column] for column in COLUMNS}
