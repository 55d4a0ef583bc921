import csv
import json

import pytest

from service.errors import SettingsError
from service.review.table import read_rows
from tests.support.review_tables import failed_row, row_of, write_table

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def rows():
    return [
        row_of("a.png", "0123", 0.5, id="=1+1", reasons=["SECOND_LINE", "LOW_CONFIDENCE"]),
        failed_row("b.png"),
        row_of(f"{NASTY}.png", "77", 0.99, alternatives=[{"text": "71", "confidence": 0.01}]),
        row_of("empty.png", "", 0.99),
    ]


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet"])
def test_every_format_gives_the_same_rows(tmp_path, rows, name):
    whole = list(read_rows(write_table(tmp_path / "whole.jsonl", rows)))
    assert list(read_rows(write_table(tmp_path / name, rows))) == whole
    assert [row.number for row in whole] == [0, 2, 3]  # what failed keeps its number
    first, second, empty = whole
    assert (first.text, first.confidence, first.decision, first.page) == ("0123", 0.5, "REVIEW", 0)
    assert first.id == "=1+1"
    assert first.reasons == ("SECOND_LINE", "LOW_CONFIDENCE")
    assert [digit.label for digit in first.digits] == list("0123")
    assert first.digits[2].margin == pytest.approx(0.3)
    assert second.alternatives == ("71",)
    assert second.source == f"{NASTY}.png"
    assert empty.text == ""


@pytest.mark.parametrize("spreadsheet", [False, True])
def test_a_short_csv_has_no_digits_but_the_same_readings(tmp_path, rows, spreadsheet):
    table = write_table(tmp_path / "t.csv", rows, short=True, spreadsheet=spreadsheet)
    short = list(read_rows(table))
    assert [(row.text, row.decision) for row in short] == [
        ("0123", "REVIEW"),
        ("77", "ACCEPT"),
        ("", "ACCEPT"),
    ]
    assert short[0].id == "=1+1"
    assert short[0].digits == ()


def test_digits_are_told_from_what_a_pattern_inserts(tmp_path):
    (row,) = read_rows(
        write_table(tmp_path / "t.jsonl", [row_of("a.png", "68767") | {"text": "68-767"}])
    )
    assert (row.text, row.value) == ("68-767", "68767")


def test_columns_of_a_constraint_are_the_row_s_own(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text(
        "source,page,text,confidence,decision,length,check\na.png,1,123,0.5,REVIEW,3,luhn\n"
    )
    (row,) = read_rows(table)
    assert row.constraint


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.txt", "", r"expected a table of `digitstrip batch`: \.csv, \.jsonl, \.parquet"),
        ("t.csv", "file,text\na.png,1\n", "has no column source, page, confidence, decision"),
        ("t.jsonl", "[1]\n", "a line is no JSON object"),
        ("t.jsonl", '{"source": ', "cannot read"),
        ("t.jsonl", "[" * 100_000, "cannot read .* nested too deeply"),
        ("t.csv", "source,page,text,confidence,decision\na,x,1,0.5,REVIEW\n", "row 1 cannot be"),
        ("t.csv", "source,page,text,confidence,decision,length\na,1,1,0.5,,x\n", "row 1 cannot be"),
        ("t.parquet", "no parquet", "cannot read"),
        ("gone.csv", None, "No such file"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(tmp_path, name, content, why):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=why):
        list(read_rows(path))


def test_a_digit_without_its_box_is_refused_with_its_row(tmp_path):
    row = row_of("a.png", "12")
    row["digits"][0]["extent"] = [1, 2]
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(SettingsError, match="row 1 cannot be read"):
        list(read_rows(path))


def test_a_table_is_read_without_a_lasting_change_to_the_process_s_csv(tmp_path, rows):
    before = csv.field_size_limit()
    table = write_table(tmp_path / "t.csv", rows)
    assert list(read_rows(table))
    assert csv.field_size_limit() == before
    next(iter(read_rows(table)))  # and not to its end
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("edge", [float("nan"), float("inf")])
def test_a_box_without_an_end_is_refused_with_its_row(tmp_path, edge):
    row = row_of("a.png", "1", 0.5)
    row["digits"][0]["extent"] = [0, 0, edge, 1]
    with pytest.raises(SettingsError, match=r"row 1 cannot be read: .* expected four finite"):
        list(read_rows(write_table(tmp_path / "t.jsonl", [row])))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("id", {"a": 1}),
        ("id", ["a"]),
        ("id", 1.5),
        ("id", "\ud800"),
        ("source", {"a": 1}),
        ("text", ["1"]),
        ("decision", {}),
        ("decision", ["ACCEPT"]),
        ("reasons", [{"a": 1}]),
        ("reasons", [["LOW_CONFIDENCE"]]),
        ("readers", [{"text": {}}]),
        ("alternatives", [{"text": ["1"]}]),
        ("sha256", {"a": 1}),
        ("model_digest", [1]),
    ],
)
def test_a_cell_of_another_type_is_refused_with_its_row(tmp_path, column, cell):
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps(row_of("a.png", "1", 0.5) | {column: cell}) + "\n")
    with pytest.raises(SettingsError, match=r"row 1 cannot be read: .*expected text"):
        list(read_rows(table))


def test_an_id_that_is_a_number_is_one(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps(row_of("a.png", "1", 0.5) | {"id": 17}) + "\n")
    assert next(read_rows(table)).id == "17"
