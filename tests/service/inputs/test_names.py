"""File names that are no UTF-8 go through tables, reviews and manifests, and find their files."""

import json
import os
import tarfile

import pytest

from service.inputs.manifest import read_manifest
from service.inputs.names import names_of, printable
from service.review.sources import Sources
from service.review.table import read_rows
from tests.conftest import STRIPS

NAME = os.fsdecode(b"caf\xe9 \xff.png")  # Latin-1, as old disks have it
SHOWN = "caf\\udce9 \\udcff.png"
IMAGE = (STRIPS / "postcode-ruled.png").read_bytes()


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    try:
        (folder / NAME).write_bytes(IMAGE)
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    return folder


@pytest.mark.parametrize("name", ["a.png", "naïve ☃.png", NAME, "\\udc41.png", "\\udce9"])
def test_a_printable_name_is_unicode_and_leads_back(name):
    shown = printable(name)
    assert shown.encode()
    assert name in names_of(shown)
    assert all(os.fsencode(each) for each in names_of(shown))
    assert printable(shown) == shown


def test_no_escape_stands_for_a_byte_that_means_something_in_a_path():
    assert names_of("\\udc2e\\udc2e\\udc2fetc\\udc00") == ("\\udc2e\\udc2e\\udc2fetc\\udc00",)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_row_of_such_a_name_leads_a_review_and_a_manifest_to_its_file(
    run, scans, tmp_path, suffix
):
    table = tmp_path / f"t.{suffix}"
    report = tmp_path / "r.html"
    ended = run("batch", "scans", "--output", table, "--report", report, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (row,) = read_rows(table)
    assert row.source == f"scans/{SHOWN}"
    sources = Sources(tmp_path, 300, roots=(str(tmp_path),))
    assert sources.read(row.source, row.sha256) == IMAGE
    assert 'href="scans/caf%E9%20%FF.png"' in report.read_text("utf-8")
    if suffix != "jsonl":
        (item,) = read_manifest(table)
        assert b"".join(item.pieces(2**20)) == IMAGE


def test_a_file_whose_name_looks_escaped_is_found_by_that_name(scans):
    (scans / SHOWN).write_bytes(b"another")
    assert Sources(scans, 300).read(SHOWN) == b"another"


def test_a_member_of_an_archive_is_found_by_its_printable_name(run, scans, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(scans / NAME, NAME)
    table = tmp_path / "t.jsonl"
    assert run("batch", "a.tar", "--output", table, cwd=tmp_path).returncode == 0
    (row,) = read_rows(table)
    assert row.source == f"a.tar/{SHOWN}"
    assert Sources(tmp_path, 300).read(row.source, row.sha256) == IMAGE


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_read_prints_such_a_name_whatever_the_locale(run, scans, encoding):
    ended = run("read", scans, scans, PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.count(b"\t68767") == 2
    record = json.loads(run("read", scans, "--json", PYTHONIOENCODING=encoding).stdout)
    assert record["source"].encode().decode().endswith(SHOWN)


def test_a_list_of_such_names_finds_their_files(scans, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_bytes(os.fsencode(f"scans/{NAME}") + b"\n")
    (item,) = read_manifest(listed)
    assert b"".join(item.pieces(2**20)) == IMAGE
