"""Manifests: a malformed row is a row, and costs no other."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.batch.outputs.writers import _cell
from service.errors import SettingsError
from service.inputs import manifest
from service.inputs.manifest import read_manifest, unguarded
from service.pb import recognizer_pb2 as pb

LONG = "1" * 131_073


def read(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    return list(read_manifest(tmp_path / "list.csv"))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_manifest_is_read_as_spreadsheets_save_it(tmp_path, delimiter, mark):
    rows = [["id", "Path", "page", "allowed"], ["7", "a, b; c.tif", "2", "12|34"], ["8", "d.png"]]
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        csv.writer(file, delimiter=delimiter).writerows(rows)
    first, second = read_manifest(tmp_path / "list.csv")
    assert first.source == str(tmp_path / "a, b; c.tif")
    assert (first.id, first.page, first.reason) == ("7", 1, "")
    assert list(pb.Constraint.FromString(first.constraint).allowed) == ["12", "34"]
    assert (second.id, second.source) == ("8", str(tmp_path / "d.png"))


@pytest.mark.parametrize("cell", [LONG, f'"{LONG}"', "1|" * 200_000, 'a"b"c"', '"a"b'])
def test_a_cell_that_cannot_be_read_sets_aside_its_row_alone(tmp_path, cell):
    items = read(tmp_path, f"path,id\na.png,1\nb.png,{cell}\nc.png,3\n")
    by_id = {item.id: item for item in items}
    assert by_id["1"].source.endswith("a.png")
    assert by_id["3"].source.endswith("c.png")
    if cell != 'a"b"c"':  # which is a cell like any other
        (bad,) = [item for item in items if item.reason]
        assert "line 3 of the manifest is malformed" in bad.trouble
        assert bad.source.endswith("list.csv:3")


def test_a_line_without_an_end_is_read_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_LINE", 1000)
    cells = ",".join(["1"] * 2000)  # each short enough
    items = read(tmp_path, f"path,id\na.png,1\nb.png,{cells}\nc.png,3\n")
    assert [item.reason for item in items] == ["", "UNREADABLE_SOURCE", ""]
    assert [item.id for item in items if not item.reason] == ["1", "3"]


def test_a_quotation_mark_that_is_never_closed_ends_nothing_before_it(tmp_path):
    items = read(tmp_path, 'path,id\na.png,1\n"b.png,2\nc.png,3\n')
    assert items[0].id == "1"
    assert items[-1].reason == "UNREADABLE_SOURCE"


def test_a_page_counts_from_one(tmp_path):
    items = read(tmp_path, "path,page\na.tif,1\na.tif,12\na.tif,0\na.tif,-1\na.tif,\n")
    assert [item.page for item in items] == [0, 11, None, None, None]
    assert [item.reason for item in items] == ["", "", "BAD_OPTION", "BAD_OPTION", ""]


def test_a_fifo_is_no_manifest(tmp_path):
    import os

    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(SettingsError, match="not a regular file"):
        list(read_manifest(tmp_path / "list.csv"))


@given(st.text(alphabet="'=+-@\t\r0a\"", max_size=6), st.booleans())
def test_a_guarded_cell_is_read_back_as_it_was(text, spreadsheet):
    cell = _cell(text, spreadsheet)
    assert unguarded(cell) == text
    if not spreadsheet:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_limit_of_a_cell_is_the_one_that_is_documented():
    assert csv.field_size_limit() == len(LONG) - 1


@pytest.mark.parametrize("header", ["path,ID,Length", " Path , id ,LENGTH", "FILE,Id, length"])
def test_capitals_and_spaces_in_the_names_of_columns_do_not_matter(tmp_path, header):
    path = tmp_path / "list.csv"
    path.write_text(f"{header}\na.png,007,5\n")
    (item,) = read_manifest(path)
    assert item.id == "007"
    assert pb.Constraint.FromString(item.constraint).length == pb.LengthRange(min=5, max=5)


def test_names_of_a_parquets_columns_are_understood_alike(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "list.parquet"
    parquet.write_table(pa.table({" Path": ["a.png"], "ID": ["7"], "Check": ["luhn"]}), path)
    (item,) = read_manifest(path)
    assert item.id == "7"
    assert pb.Constraint.FromString(item.constraint).check_digit == pb.CHECK_DIGIT_LUHN


@pytest.mark.parametrize(
    ("slip", "meant"), [("lenght", "length"), ("Patern", "pattern"), ("checks", "check")]
)
def test_a_slip_in_a_constraints_name_is_refused_before_the_constraint_is_lost(
    tmp_path, slip, meant
):
    path = tmp_path / "list.csv"
    path.write_text(f"path,{slip}\na.png,5\n")
    with pytest.raises(SettingsError, match=f"'{slip}'; is it {meant}"):
        list(read_manifest(path))


@pytest.mark.parametrize("column", ["age", "resource", "name", "sha256", "pages_scanned"])
def test_columns_of_others_are_left_alone(tmp_path, column):
    path = tmp_path / "list.csv"
    path.write_text(f"path,{column},length\na.png,x,5\n")
    (item,) = read_manifest(path)
    assert not item.reason


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,length,Length\na.png,5,6\n")
    with pytest.raises(SettingsError, match="more than one column length"):
        list(read_manifest(path))
