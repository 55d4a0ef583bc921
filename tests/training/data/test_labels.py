import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from service.cli.main import app as digitstrip
from service.errors import SettingsError
from tests.conftest import STRIPS
from training.cli.main import app
from training.data.labels import Label, read_corrections, read_labels
from training.data.scans import read_scans
from training.errors import DatasetError


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("column", ["file", "Source", "path"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path, encoding, delimiter, column):
    rows = [[column, "Page", "text"], ["é.png", "", "007"], ["b.tif", "2", ""], ["", "", ""]]
    table = write(tmp_path / "a.csv", "\r\n".join(map(delimiter.join, rows)), encoding)
    assert list(read_labels(table)) == [Label("é.png", 0, "007"), Label("b.tif", 1, "")]


def test_a_text_that_a_spreadsheet_kept_as_one_is_a_text(tmp_path):
    table = write(tmp_path / "a.csv", 'file,text\na.png,"=""007"""\n')
    assert list(read_labels(table)) == [Label("a.png", 0, "007")]


def test_readings_that_nobody_checked_are_no_labels(tmp_path):
    table = write(tmp_path / "a.csv", "source,text,confidence\na.png,1,0.9\n")
    with pytest.raises(DatasetError, match="write what is right into a column `corrected`"):
        list(read_labels(table))


def test_a_table_in_another_encoding_is_refused_in_a_sentence(tmp_path):
    table = write(tmp_path / "a.csv", "file,text\né.png,1\n", "latin-1")
    with pytest.raises(DatasetError, match="no CSV in UTF-8"):
        list(read_labels(table))


def test_a_page_that_is_no_number_is_refused_with_its_line(tmp_path):
    table = write(tmp_path / "a.csv", "file,page,text\na.png,0,1\n")
    with pytest.raises(DatasetError, match="line 2: the page is '0'"):
        list(read_labels(table))


def test_corrections_are_what_people_wrote_and_nothing_else(tmp_path):
    rows = [
        "a.png,1,68-767,REVIEW,ok",
        "b.png,1,123,ACCEPT,",
        "c.png,1,123,REVIEW,12 4",
        "d.png,1,7,REVIEW,none",
        "e.png,1,007,REVIEW,7",
    ]
    table = "\n".join(["source,page,text,decision,Corrected", *rows])
    found = read_corrections(write(tmp_path / "a.csv", table))
    assert found.labels == [
        Label("a.png", 0, "68767"),
        Label("c.png", 0, "124"),
        Label("d.png", 0, ""),
    ]
    assert found.unchecked == 1
    (doubt,) = found.doubtful
    assert doubt.startswith("line 6: 7 is 007 without its zeros")


@pytest.mark.parametrize("correction", ["12a", "?", "-"])
def test_a_correction_that_is_no_text_of_digits_is_refused_with_its_line(tmp_path, correction):
    table = write(tmp_path / "a.csv", f"source,text,corrected\na.png,1,{correction}\n")
    with pytest.raises(DatasetError, match=r"line 2 has .* as its correction"):
        read_corrections(table)


@pytest.fixture
def corrected(tmp_path, truths):
    """A batch of scans, a TIFF and a PDF as `digitstrip batch` writes it, all of it corrected."""
    names = ["postcode-ruled.png", "two-digits.png"]
    pages = [Image.open(STRIPS / name).convert("L") for name in names]
    scans = tmp_path / "scans"
    scans.mkdir()
    pages[0].save(scans / "p.tif", save_all=True, append_images=pages[1:])
    pages[0].save(scans / "p.pdf", save_all=True, append_images=pages[1:], resolution=100.0)
    (scans / "s.jpg").write_bytes((STRIPS / "form-shaded.jpg").read_bytes())
    table = tmp_path / "readings.csv"
    how = ["--spreadsheet", "--dpi", "100", "--workers", "1", "--progress", "none"]
    done = CliRunner().invoke(digitstrip, ["batch", str(scans), "-o", str(table), *how])
    assert done.exit_code == 0, done.output
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    say = {"p.tif": names, "p.pdf": names, "s.jpg": ["form-shaded.jpg"]}
    for row in rows[1:]:
        of_page = say[row[0].rpartition("/")[2]][int(row[1]) - 1]
        row.append(truths[of_page])
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows([[*rows[0], "corrected"], *rows[1:]])
    return table


def test_corrected_readings_become_a_folder_that_is_evaluated(corrected, truths, tmp_path):
    out = tmp_path / "own"
    done = CliRunner().invoke(app, ["labels", str(corrected), str(out), "--dpi", "100"])
    assert done.exit_code == 0, done.output
    assert "5 labeled scans" in done.output
    scans = {scan.name: scan for scan in read_scans(out)}
    assert {name: scan.text for name, scan in scans.items()} == {
        "p-page-1.png": truths["postcode-ruled.png"],
        "p-page-1-2.png": truths["postcode-ruled.png"],
        "p-page-2.png": truths["two-digits.png"],
        "p-page-2-2.png": truths["two-digits.png"],
        "s.jpg": truths["form-shaded.jpg"],
    }
    assert scans["s.jpg"].content == (STRIPS / "form-shaded.jpg").read_bytes()
    figures = tmp_path / "figures.json"
    done = CliRunner().invoke(app, ["evaluate", "--strips", str(out), "--json", str(figures)])
    assert done.exit_code == 0, done.output
    assert json.loads(figures.read_text())["sources"][0]["exact"]["value"] == 1


def test_a_folder_with_labels_is_not_written_over(corrected, tmp_path):
    (tmp_path / "labels.csv").write_text("file,text\n")
    done = CliRunner().invoke(app, ["labels", str(corrected), str(tmp_path)])
    assert isinstance(done.exception, SettingsError)
    assert (tmp_path / "labels.csv").read_text() == "file,text\n"


def test_the_pages_of_a_pdf_are_labeled_in_a_labels_csv(corrected, tmp_path):
    scans = tmp_path / "scans"
    write(scans / "labels.csv", "file;page;text\np.pdf;2;34\np.tif;2;34\ns.jpg;;1\n")
    pdf, tiff, alone = read_scans(scans)
    assert (pdf.name, pdf.page, alone.page) == ("p.pdf, page 2", 1, 0)
    page = np.asarray(Image.open(STRIPS / "two-digits.png").convert("L"))
    assert np.array_equal(tiff.gray(), page)
    height, width = pdf.gray().shape
    assert width / height == pytest.approx(page.shape[1] / page.shape[0], rel=0.01)
