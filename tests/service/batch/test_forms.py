"""`digitstrip batch --form`: pages of a form into a long table, or a wide one."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from service.api.images import to_image
from service.api.service import RecognitionService
from service.batch.job import FormJob
from service.batch.outputs.form_rows import FIELD_COLUMNS, read_form_page
from service.batch.outputs.layouts import layout_of
from service.batch.outputs.rows import failed_page
from service.batch.outputs.writers import csv_format, writer_of
from service.batch.plan import Plan
from service.errors import SettingsError, UnknownFormat
from service.forms.files import read_form
from service.forms.json_records import page_record
from service.forms.service import Forms, FormService
from service.inputs.items import Item
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from service.review.table import read_rows
from tests.conftest import ROOT, STRIPS

FORMS = ROOT / "examples" / "forms"
TEMPLATE = FORMS / "form.toml"
NAMES = ("customer", "date", "reading", "postcode", "telephone")
COPY = ["26084919", "30102026", "126508", "20359", "40556713"]  # of copy.jpg


def rows_of(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


@pytest.fixture(scope="module")
def plan():
    return Plan("first", "second", "1.0", form=read_form(TEMPLATE).SerializeToString())


@pytest.fixture(scope="module")
def responses():
    """By name: two pages of the form, and one of something else."""
    forms = FormService(RecognitionService(Recognizer.load(ModelFiles.read())), Forms())
    request = pb.RecognizeFormRequest(form=read_form(TEMPLATE), accepted_error_rate=0.01)
    responses = {}
    for path in (FORMS / "askew.jpg", FORMS / "copy.jpg", STRIPS / "two-digits.png"):
        request.image.CopyFrom(to_image(path))
        responses[path.name] = forms.recognize(request).response
    return responses


@pytest.fixture(scope="module")
def pages(plan, responses):
    """What a run keeps of them, and of one that is no image."""
    read = [read_form_page(Item(name), 0, "ab", each, plan) for name, each in responses.items()]
    return [*read, failed_page(Item("broken.png"), 0, "cd", UnknownFormat("no image"), plan)]


def write(pages, path, wide=False, style=None):
    layout = layout_of(FormJob(read_form(TEMPLATE), NAMES, wide))
    columns = csv_format("all", False, layout) if path.suffix == ".csv" else None
    writer_of(path, False, style or columns, layout)(pages, path)
    return rows_of(path) if path.suffix == ".jsonl" else path


def test_a_long_table_has_what_read_prints_of_each_field(pages, responses, tmp_path):
    rows = write(pages, tmp_path / "out.jsonl")
    fields = [
        (page, field)
        for name, response in responses.items()
        for page in [page_record(name, 0, response)]
        for field in page["fields"]
    ]
    read = [row for row in rows if row["error"] is None]
    assert len(read) == len(fields) == 3 * len(NAMES)
    for row, (page, field) in zip(read, fields, strict=True):
        assert tuple(row) == FIELD_COLUMNS
        assert row["field"] == field["name"]
        for name in ("source", "page", "form", "registration"):
            assert row[name] == page[name]
        for name in ("status", "text", "confidence", "decision", "reasons", "polygon"):
            assert row[name] == field[name]
        for name, value in (field["reading"] or {}).items():
            assert row[name] == value


@pytest.mark.parametrize("wide", [False, True])
def test_every_format_has_the_same_rows(wide, pages, tmp_path):
    rows = write(pages, tmp_path / "out.jsonl", wide)
    table = write(pages, tmp_path / "out.parquet", wide)
    assert pq.read_table(table).to_pylist(maps_as_pydicts="strict") == rows
    with write(pages, tmp_path / "out.csv", wide).open(newline="") as file:
        for cells, row in zip(csv.DictReader(file), rows, strict=True):
            for name in ("source", "text", "field", *NAMES):
                assert cells.get(name, "") == (row.get(name) or "")
            for name in ("customer.confidence", "confidence"):
                assert cells.get(name, "") == ("" if row.get(name) is None else str(row[name]))
            assert cells["reason"] == " ".join(
                [row["error"]["reason"]] if row["error"] else row["reasons"]
            )


def test_a_misregistered_page_gives_rows_to_review_with_that_reason(pages, tmp_path):
    rows = write(pages, tmp_path / "out.jsonl")
    lost = [row for row in rows if row["source"] == "two-digits.png"]
    assert [row["field"] for row in lost] == list(NAMES)
    for row in lost:
        assert (row["text"], row["confidence"], row["decision"]) == ("", 0.0, "REVIEW")
        assert (row["status"], row["reasons"]) == ("MISREGISTERED", ["MISREGISTERED"])
        assert row["registration"]["why"]


def test_a_wide_table_has_a_row_a_page_and_columns_for_each_field(pages, tmp_path):
    fields = {(row["source"], row["field"]): row for row in write(pages, tmp_path / "long.jsonl")}
    rows = write(pages, tmp_path / "wide.jsonl", wide=True)
    assert len(rows) == 4
    for row in rows:
        for name in NAMES:
            if row["error"]:
                assert row[name] is None
                continue
            field = fields[row["source"], name]
            assert row[name] == field["text"]
            assert row[f"{name}.confidence"] == field["confidence"]
            assert row[f"{name}.decision"] == field["decision"]
            assert set(field["reasons"]) <= set(row["reasons"])
    lost = [row["source"] for row in rows if row["registration"] == "MISREGISTERED"]
    assert lost == ["two-digits.png"]


def test_texts_of_fields_keep_their_zeros_in_a_spreadsheet(pages, tmp_path):
    layout = layout_of(FormJob(read_form(TEMPLATE), NAMES, wide=True))
    style = csv_format("date,customer.decision", True, layout)
    table = write(pages, tmp_path / "out.csv", wide=True, style=style)
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"date": '="30102026"', "customer.decision": "ACCEPT"}


def test_a_run_says_what_became_of_its_fields_and_sets_aside_what_it_cannot_read(run, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "broken.png").write_bytes(b"no image")
    shutil.copy(FORMS / "copy.jpg", tmp_path / "scans")
    shutil.copy(STRIPS / "two-digits.png", tmp_path / "scans")
    ended = run(
        *("batch", tmp_path / "scans", "--form", TEMPLATE, "--output", tmp_path / "out.csv"),
        *("--quarantine", tmp_path / "aside", "--progress", "lines"),
    )
    assert ended.returncode == 1
    assert b"11 rows of 3 items: 5 read" in ended.stderr
    assert b"5 misregistered, 1 failed" in ended.stderr
    (listed,) = rows_of(tmp_path / "aside" / "reasons.jsonl")
    assert listed["error"]["reason"] == "UNKNOWN_FORMAT"
    assert (tmp_path / "aside" / listed["copy"]).read_bytes() == b"no image"
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["field"] for row in rows] == ["", *NAMES, *NAMES]
    assert [row["text"] for row in rows[1:6]] == COPY
    assert [row["reason"] for row in rows] == ["UNKNOWN_FORMAT", *[""] * 5, *["MISREGISTERED"] * 5]


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(run, tmp_path):
    scan, count = FORMS / "copy.jpg", 18  # one task of items, and some
    arguments = ["--form", TEMPLATE, "--wide", "--workers", "1", "--progress", "none", "--output"]
    assert run("batch", scan, *arguments, tmp_path / "one.csv").returncode == 0
    header, row = (tmp_path / "one.csv").read_bytes().splitlines(keepends=True)
    command = ["batch", *[scan] * count, *arguments, tmp_path / "out.csv"]
    running = subprocess.Popen([sys.executable, "-m", "service.cli", *map(str, command)], cwd=ROOT)
    journal = tmp_path / "out.csv.journal"
    while running.poll() is None and (not journal.exists() or journal.stat().st_size < 2000):
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "out.csv").exists()
    assert run(*command).returncode == 0
    assert (tmp_path / "out.csv").read_bytes() == header + row * count
    assert not journal.exists()


def test_a_template_that_changed_is_another_run(run, tmp_path):
    for path in (TEMPLATE, FORMS / "blank.png"):
        shutil.copy(path, tmp_path)
    form = tmp_path / "form.toml"
    command = ["batch", FORMS / "copy.jpg", "--form", form, "--output", tmp_path / "out.csv"]
    assert run(*command).returncode == 0
    form.write_text(form.read_text().replace("length = 5", "length = 6"))
    ended = run(*command)
    assert ended.returncode == 2
    assert b"was made with other settings: form was" in ended.stderr


def test_what_a_manifest_knows_of_a_string_is_not_ignored(run, tmp_path):
    (tmp_path / "list.csv").write_text(f"path,length\n{FORMS / 'copy.jpg'},5\n")
    ended = run("batch", tmp_path / "list.csv", "--form", TEMPLATE, "-o", tmp_path / "o.jsonl")
    assert ended.returncode == 1
    (row,) = rows_of(tmp_path / "o.jsonl")
    assert row["error"]["reason"] == "BAD_CONSTRAINT"
    assert "stands in the template" in row["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--form", TEMPLATE, "--length", "5"], "stands in the template"),
        (["--form", TEMPLATE, "--report", "r.html"], "--report is for images of one line"),
        (["--form", TEMPLATE, "--engine", "ray"], "--engine ray is for images of one line"),
        (["--form", TEMPLATE, "--columns", "txt"], "there is no column 'txt'"),
        (["--form", "nowhere.toml"], "BAD_FORM: cannot read nowhere.toml"),
        (["--wide"], "give --form"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, says, run, tmp_path):
    ended = run("batch", FORMS / "copy.jpg", *arguments, "--output", tmp_path / "out.csv")
    assert ended.returncode in (1, 2)
    assert says in " ".join(ended.stderr.decode().replace("│", " ").split())
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("names", [("page",), ("a", "a.confidence"), ("reason",)])
def test_a_field_that_would_take_another_column_is_refused(names):
    with pytest.raises(SettingsError, match="rename the field, or leave out --wide"):
        layout_of(FormJob(pb.Form(), names, wide=True))
    layout_of(FormJob(pb.Form(), names))  # a row a field has no such columns


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_table_of_fields_is_no_table_to_review(suffix, pages, tmp_path):
    write(pages, tmp_path / f"out.{suffix}")
    with pytest.raises(SettingsError, match="has the fields of a form"):
        list(read_rows(tmp_path / f"out.{suffix}"))
