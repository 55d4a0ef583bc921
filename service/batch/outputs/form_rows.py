"""Rows of forms: a page as a run keeps it, and what tables make of it: a row a field, or a page."""

import json
from collections.abc import Iterator, Sequence

from service.batch.outputs.rows import LISTS, Row, to_json
from service.batch.pages import PageResult, PageStatus
from service.batch.plan import Plan
from service.errors import SettingsError
from service.forms.json_records import page_record
from service.inputs.items import Item
from service.inputs.names import printable
from service.pb import recognizer_pb2 as pb

OF_PAGE = ("source", "page", "id", "sha256", "form")
OF_MODEL = ("error", "model_digest", "second_reader_digest", "version")
OF_FIELD = ("status", "text", "confidence", "decision", "reasons", "polygon")
OF_READING = ("exact", "readers", "alternatives", "constraint", "digits", "normalization")
# A row's columns, in order.
FIELD_COLUMNS = (*OF_PAGE, "field", *OF_FIELD, "registration", *OF_READING, *OF_MODEL)
OF_REGISTRATION = ("registration", "residual_mm", "inliers", "why")
GRAVITY = (PageStatus.READ, PageStatus.ACCEPT, PageStatus.REVIEW, PageStatus.MISREGISTERED)
MISREGISTERED = "MISREGISTERED"


def read_form_page(
    item: Item, page: int, sha256: str, response: pb.RecognizeFormResponse, plan: Plan
) -> PageResult:
    """Return the result of a page, from 0, that was read as a form."""
    row = page_record(printable(item.source), page, response) | {
        "id": item.id,
        "sha256": sha256,
        "error": None,
        "model_digest": response.model_digest,
        "second_reader_digest": response.second_reader_digest,
        "version": plan.version,
    }
    statuses = [_status(each) for each in row["fields"]]
    confidence = min(each["confidence"] for each in row["fields"])
    return PageResult(page, max(statuses, key=GRAVITY.index), confidence, to_json(row), b"")


def _status(field: Row) -> PageStatus:
    if field["status"] == MISREGISTERED:
        return PageStatus.MISREGISTERED
    return PageStatus[field["decision"] or "READ"]


def fields_of(page: PageResult) -> Iterator[PageResult]:
    """Yield a row for each field of a page; one without a field if it could not be read."""
    whole = json.loads(page.row)
    empty = dict.fromkeys(FIELD_COLUMNS) | {name: [] for name in LISTS}
    shared = empty | {name: whole[name] for name in (*OF_PAGE, "registration", *OF_MODEL)}
    for field in whole["fields"]:
        own = {name: field[name] for name in OF_FIELD} | {"field": field["name"]}
        row = to_json(shared | own | (field["reading"] or {}))
        yield PageResult(page.page, _status(field), field["confidence"], row, b"")
    if not whole["fields"]:
        yield page._replace(row=to_json(shared))


def wide_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a table with a row a page: three for each field.

    Raises:
        SettingsError: a field's name is that of another column.
    """
    columns: list[str] = [*OF_PAGE, *OF_REGISTRATION]
    taken = {*columns, *OF_MODEL, "reasons", "reason", "code", "message"}
    for name in names:
        for column in (name, *beside(name)):
            if column in taken:
                raise SettingsError(
                    f"the field {name!r} would get a column {column!r}, which the table has "
                    "already; rename the field, or leave out --wide"
                )
            taken.add(column)
            columns.append(column)
    return (*columns, "reasons", *OF_MODEL)


def wide_of(page: PageResult, columns: Sequence[str]) -> PageResult:
    """Return a page's row with its fields as columns; without values if it could not be read."""
    whole = json.loads(page.row)
    row = dict.fromkeys(columns) | {name: whole[name] for name in (*OF_PAGE, *OF_MODEL)}
    if registration := whole["registration"]:
        row |= dict(zip(OF_REGISTRATION, registration.values(), strict=True))
    for field in whole["fields"]:
        confidence, decision = beside(field["name"])
        row |= {field["name"]: field["text"], confidence: field["confidence"]}
        row[decision] = field["decision"]
    reasons = [reason for field in whole["fields"] for reason in field["reasons"]]
    row["reasons"] = list(dict.fromkeys(reasons))
    return page._replace(row=to_json(row))


def beside(name: str) -> tuple[str, str]:
    """Return the columns that a field has beside its text's: of its confidence and decision."""
    return f"{name}.confidence", f"{name}.decision"
