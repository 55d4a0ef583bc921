import csv
import zlib

import numpy as np
import pytest

from service.imaging.decode import decode
from service.recognition.normalize import normalize
from tests.conftest import STRIPS
from training.data.scans import HELD_OUT_SHARE, LabeledLine, LineSet, Scan, load_scans, read_scans
from training.errors import DatasetError


@pytest.fixture
def folder(tmp_path):
    """The example strips as a folder of labeled scans."""
    with (STRIPS / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        (tmp_path / row["file"]).write_bytes((STRIPS / row["file"]).read_bytes())
    write_labels(tmp_path, [(row["file"], row["text"]) for row in rows])
    return tmp_path


def write_labels(folder, rows, header=("file", "text")):
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_scans_are_read_with_their_texts_in_the_table_s_order(folder):
    scans = list(read_scans(folder))
    with (folder / "labels.csv").open(newline="") as file:
        rows = [(row["file"], row["text"]) for row in csv.DictReader(file)]
    assert [(scan.name, scan.text) for scan in scans] == rows
    assert all(scan.content == (folder / scan.name).read_bytes() for scan in scans)


def test_lines_are_normalized_as_the_service_does_and_parted_by_their_bytes(folder):
    training, held_out = load_scans([folder])
    scans = list(read_scans(folder))
    kept = [scan for scan in scans if zlib.crc32(scan.content) % HELD_OUT_SHARE == 0]
    assert len(training) + (len(held_out) if held_out else 0) == len(scans)
    assert (held_out.texts if held_out else ()) == tuple(scan.text for scan in kept)
    learned = [scan for scan in scans if scan not in kept]
    for index, scan in enumerate(learned):
        line, expected = training.line(index), normalize(decode(scan.content).gray)
        assert line.text == scan.text
        assert line.slant == expected.slant
        assert np.array_equal(line.pixels, expected.pixels)


def test_several_folders_are_one_set(folder):
    once, twice = load_scans([folder])[0], load_scans([folder, folder])[0]
    assert twice.texts == once.texts * 2
    assert once.digest() != twice.digest()


def test_a_set_s_digest_tells_of_pixels_texts_and_where_lines_end():
    def digest(widths, texts):
        pixels = np.ones((48, 60), np.uint8)
        first, second = (LabeledLine(pixels[:, :width], 0.0, "") for width in widths)
        lines = [
            LabeledLine(first.pixels, 0.0, texts[0]),
            LabeledLine(second.pixels, 0, texts[1]),
        ]
        return LineSet.of(lines).digest()

    assert digest((40, 50), ("1", "2")) == digest((40, 50), ("1", "2"))
    assert len({digest(w, t) for w in ((40, 50), (50, 40)) for t in (("1", "2"), ("12", ""))}) == 4


def test_held_out_is_decided_by_the_bytes_alone():
    scans = [Scan(f"{n}.png", "1", bytes([n % 256, n // 256])) for n in range(2000)]
    share = np.mean([scan.held_out for scan in scans])
    assert share == pytest.approx(1 / HELD_OUT_SHARE, abs=0.03)
    assert [Scan("other", "2", scan.content).held_out for scan in scans] == [
        scan.held_out for scan in scans
    ]


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"expected a labels\.csv, found none"):
        list(read_scans(tmp_path))


def test_a_table_without_the_columns_is_refused(tmp_path):
    write_labels(tmp_path, [("a.png", "1")], header=("name", "text"))
    with pytest.raises(DatasetError, match="expected columns file,text, found"):
        list(read_scans(tmp_path))


@pytest.mark.parametrize("row", [("a.png",), ("a.png", "1", "more")])
def test_a_row_of_another_length_is_refused_with_its_line(folder, row):
    write_labels(folder, [row])
    with pytest.raises(DatasetError, match="line 2 has more or fewer cells"):
        list(read_scans(folder))


@pytest.mark.parametrize("text", ["12-3", "x", "1 2", "٣"])
def test_a_text_that_is_not_of_digits_is_refused_with_its_line(folder, text):
    write_labels(folder, [("account-small.png", "1"), ("account-small.png", text)])
    with pytest.raises(DatasetError, match=r"line 3 has the text .*; expected digits only"):
        list(read_scans(folder))


def test_a_file_that_is_missing_or_no_image_is_refused_by_name(folder):
    write_labels(folder, [("nowhere.png", "1")])
    with pytest.raises(DatasetError, match=r"nowhere\.png: No such file"):
        load_scans([folder])
    (folder / "text.png").write_text("no image")
    write_labels(folder, [("text.png", "1")])
    with pytest.raises(DatasetError, match=r"text\.png"):
        load_scans([folder])


def test_nothing_to_learn_from_is_refused(tmp_path):
    write_labels(tmp_path, [])
    with pytest.raises(DatasetError, match="have no strip to learn from"):
        load_scans([tmp_path])
