"""Rows: what is told of a page, the same whichever engine read it."""

import json
from typing import Any

from service.api.json_records import to_record
from service.batch.inputs.items import Item
from service.errors import DigitstripError
from service.pb import recognizer_pb2 as pb

Row = dict[str, Any]

# What a row has, in this order; digits, alternatives and the like are nested.
COLUMNS = (
    "source",
    "page",
    "id",
    "sha256",
    "text",
    "confidence",
    "decision",
    "exact",
    "alternatives",
    "constraint",
    "digits",
    "normalization",
    "error",
    "model_digest",
    "version",
)


def reading_row(
    item: Item, page: int, sha256: str, response: pb.RecognizeResponse, version: str
) -> Row:
    """Return the row of a page that was read."""
    record = to_record(printable(item.source), page, response)
    return _in_order(
        record
        | {
            "id": item.id,
            "sha256": sha256,
            "error": None,
            "model_digest": response.model_digest,
            "version": version,
        }
    )


def error_row(
    item: Item, page: int, sha256: str | None, error: DigitstripError, digest: str, version: str
) -> Row:
    """Return the row of what could not be read."""
    return _in_order(
        dict.fromkeys(COLUMNS)
        | {
            "source": printable(item.source),
            "page": page,
            "id": item.id,
            "sha256": sha256,
            "alternatives": [],
            "digits": [],
            "error": {
                "code": error.code,
                "reason": error.reason,
                "message": printable(str(error)),
            },
            "model_digest": digest,
            "version": version,
        }
    )


def to_json(row: Row) -> bytes:
    """Return the row as a line of JSON, without the line's end."""
    return json.dumps(row).encode("ascii")


def printable(text: str) -> str:
    """Return a text that UTF-8 can hold; a file's name need not be one."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _in_order(row: Row) -> Row:
    return {column: row[column] for column in COLUMNS}
