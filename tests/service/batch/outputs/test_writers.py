"""CSV for people: few columns, nothing that a spreadsheet runs, texts that keep their zeros."""

import csv
import io
import json

import pytest

from service.batch.job import CsvFormat
from service.batch.outputs.layouts import SHORT, STRIPS
from service.batch.outputs.rows import COLUMNS
from service.batch.outputs.writers import cells_of, csv_format, write_csv
from service.batch.pages import PageResult, PageStatus
from service.errors import SettingsError

ROW = dict.fromkeys(COLUMNS) | {
    "source": "a.png",
    "page": 1,
    "text": "02821",
    "confidence": 0.5,
    "decision": "REVIEW",
    "reasons": ["SECOND_LINE", "LOW_CONFIDENCE"],
    "alternatives": [],
    "digits": [],
}


def table(tmp_path, row, style):
    page = PageResult(0, PageStatus.REVIEW, 0.5, json.dumps(row).encode(), b"")
    write_csv([page], tmp_path / "out.csv", style)
    return (tmp_path / "out.csv").read_bytes()


def test_few_columns_are_written_by_default_and_all_on_request(tmp_path):
    assert csv_format(None, False).columns == SHORT
    assert ",".join(SHORT) == "source,page,id,text,confidence,decision,reason"
    assert csv_format("all", False).columns == STRIPS.csv_columns
    assert csv_format("text, source", False).columns == ("text", "source")
    with pytest.raises(SettingsError, match="there is no column 'txt'; expected `short`, `all`"):
        csv_format("text,txt", False)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'="])
def test_no_cell_begins_like_a_formula(tmp_path, start):
    row = ROW | {"source": f"{start}cmd|' /C calc'!A0", "id": f"{start}1"}
    written = table(tmp_path, row, CsvFormat(STRIPS.csv_columns)).decode()
    (cells,) = csv.DictReader(io.StringIO(written, newline=""))
    assert cells["source"] == f"'{row['source']}"
    assert cells["id"] == f"'{row['id']}"


def test_a_text_keeps_its_zeros_in_a_spreadsheet(tmp_path):
    style = CsvFormat(("id", "text"), spreadsheet=True)
    written = table(tmp_path, ROW | {"id": 'a"b'}, style)
    assert written == '\ufeffid,text\n"=""a""""b""","=""02821"""\n'.encode()
    plain = table(tmp_path, ROW, CsvFormat(("text",)))
    assert plain == b"text\n02821\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"decision": "ACCEPT", "reasons": []}, None),
        ({"error": {"code": "X", "reason": "DAMAGED_IMAGE", "message": "m"}}, "DAMAGED_IMAGE"),
        ({}, "SECOND_LINE LOW_CONFIDENCE"),
    ],
)
def test_the_reason_is_that_of_the_failure_or_of_the_review(change, reason):
    assert cells_of(ROW | change)["reason"] == reason
