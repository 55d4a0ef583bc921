import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from service.errors import InputError, NoSuchPage
from service.review.crops import Crops, extents_in
from service.review.labels import Labeled, write_folder
from service.review.sources import Sources
from service.review.table import read_rows
from tests.support.review_tables import row_of, scan_of, write_table


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scans" / "a.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), scan_of("123"))
    return path


def test_a_source_is_found_from_here_or_from_the_table_s_folder(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = scan.read_bytes()
    assert Sources(tmp_path / "elsewhere", 300).read("scans/a.png") == content
    monkeypatch.chdir("/")
    assert Sources(tmp_path, 300).read("scans/a.png") == content
    with pytest.raises(InputError, match="start the command where the batch was started"):
        Sources(tmp_path / "elsewhere", 300).read("scans/a.png")


def test_a_file_that_has_changed_is_not_shown_for_the_one_that_was_read(scan, tmp_path):
    digest = hashlib.sha256(scan.read_bytes()).hexdigest()
    sources = Sources(tmp_path, 300)
    assert sources.read("scans/a.png", digest)
    cv2.imwrite(str(scan), scan_of("999"))
    with pytest.raises(InputError, match="has changed since it was read"):
        sources.read("scans/a.png", digest)


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_members_of_archives_are_found(scan, tmp_path, kind):
    archive = shutil.make_archive(str(tmp_path / "all"), kind, tmp_path, "scans")
    name = Path(archive).name
    sources = Sources(tmp_path, 300)
    assert sources.read(f"{tmp_path}/{name}/scans/a.png") == scan.read_bytes()
    assert sources.read(f"{name}/scans/a.png") == scan.read_bytes()
    with pytest.raises(InputError, match="there is no such file"):
        sources.read(f"{name}/scans/b.png")


@pytest.mark.parametrize(
    "source", ["", "..", "/", "scans", "a\0b", "/dev/zero", "scans/../..", "a" * 300]
)
def test_what_is_no_file_is_an_error(tmp_path, scan, source):
    with pytest.raises(InputError):
        Sources(tmp_path, 300).read(source)


@pytest.fixture
def bounded(tmp_path, monkeypatch):
    """The scans of a table that may show what is beneath its folder, and two roots more."""
    for folder in ("table", "root", "private"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), scan_of("123"))
    monkeypatch.chdir(tmp_path / "table")
    shutil.make_archive(str(tmp_path / "private" / "all"), "zip", tmp_path / "private", ".")
    (tmp_path / "table" / "link.png").symlink_to(tmp_path / "private" / "a.png")
    (tmp_path / "table" / "folder").symlink_to(tmp_path / "private")
    roots = (str(tmp_path / "table"), str(tmp_path / "root"), "memory://bucket/scans")
    return Sources(tmp_path / "table", 300, roots=roots)


@pytest.mark.parametrize(
    "source",
    [
        "{tmp}/private/a.png",
        "../private/a.png",
        "{tmp}/root/../private/a.png",
        "link.png",
        "folder/a.png",
        "{tmp}/private/all.zip/a.png",
        "../private/all.zip/a.png",
        "{tmp}/root2/a.png",
        "/dev/zero",
        "file://{tmp}/private/a.png",
        "https://example.invalid/a.png",
        "memory://bucket/scans2/a.png",
        "memory://bucket/scans/../private/a.png",
        "memory://bucket/scans/%2e%2e/a.png",
        "memory://bucket/scans/::file://{tmp}/private/a.png",
        "https://example.invalid/a.zip/b.png",
    ],
)
def test_what_lies_outside_of_the_roots_is_not_opened(bounded, tmp_path, monkeypatch, source):
    monkeypatch.setattr("service.review.sources.Item.pieces", lambda *_: pytest.fail("opened"))
    monkeypatch.setattr("service.review.sources.members", lambda *_: pytest.fail("opened"))
    with pytest.raises(InputError, match=r"lies outside of .*--root names further"):
        bounded.read(source.format(tmp=tmp_path))


def test_what_lies_beneath_a_root_is_opened(bounded, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    content = (tmp_path / "root" / "a.png").read_bytes()
    with fsspec.open("memory://bucket/scans/in/a.png", "wb") as file:
        file.write(content)
    for source in ("a.png", f"{tmp_path}/root/a.png", "memory://bucket/scans/in/a.png"):
        assert bounded.read(source) == content


def test_pages_of_a_document_are_told_apart(tmp_path):
    pages = [Image.fromarray(scan_of(text)) for text in ("12", "34")]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    sources = Sources(tmp_path, 300)
    first, second = (sources.page("p.tif", number).gray for number in (0, 1))
    assert not np.array_equal(first, second)
    with pytest.raises(NoSuchPage):
        sources.page("p.tif", 2)


def crop_of(tmp_path, page, extent):
    cv2.imwrite(str(tmp_path / "big.png"), page)
    row = row_of("big.png", "7", 0.5)
    row["digits"][0]["extent"] = extent
    (row,) = read_rows(write_table(tmp_path / "t.jsonl", [row]))
    return Crops(Sources(tmp_path, 300)), row


def test_of_a_large_page_the_digits_and_what_is_around_them_are_shown(tmp_path):
    page = np.full((3000, 2000), 255, np.uint8)
    page[1000:1040, 800:830] = 0
    crops, row = crop_of(tmp_path, page, [800.0, 1000.0, 830.0, 1040.0])
    crop = crops.of(row)
    assert not crop.is_whole
    assert (crop.left, crop.top, crop.width, crop.height) == (640, 940, 350, 160)
    shown = cv2.imdecode(np.frombuffer(crop.png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (160, 350)
    ((left, top, right, bottom),) = extents_in(crop, row)
    box = [round(left * 350), round(top * 160), round(right * 350), round(bottom * 160)]
    assert box == [160, 60, 190, 100]
    assert (shown[60:100, 160:190] == 0).all()
    assert crops.of(row, whole=True).is_whole


def test_of_a_strip_all_is_shown(tmp_path, scan):
    crops, row = crop_of(tmp_path, scan_of("7"), [30.0, 10.0, 60.0, 38.0])
    assert crops.of(row).is_whole


@pytest.mark.parametrize("extent", [[-5.0, -5.0, 1e9, 1e9], [5e8, 5e8, 6e8, 6e8], [9, 9, 9, 9]])
def test_a_box_outside_the_page_shows_a_page(tmp_path, extent):
    crops, row = crop_of(tmp_path, scan_of("7"), extent)
    assert crops.of(row).png.startswith(b"\x89PNG")
    assert crops.digit(row, 0).shape == (64, 64)


def test_a_digit_of_a_carpet_is_centered(tmp_path):
    page = np.full((200, 400), 255, np.uint8)
    page[50:90, 100:120] = 0
    crops, row = crop_of(tmp_path, page, [100.0, 50.0, 120.0, 90.0])
    cell = crops.digit(row, 0)
    rows, columns = np.nonzero(cell < 128)
    assert abs(rows.mean() - 31.5) < 1
    assert abs(columns.mean() - 31.5) < 1
    assert abs((rows.max() - rows.min() + 1) / 64 - 1 / 1.4) < 0.05


def test_scans_of_one_name_are_two_files(tmp_path, scan):
    other = tmp_path / "others" / "a.png"
    other.parent.mkdir()
    cv2.imwrite(str(other), scan_of("45"))
    taken = tmp_path / "others" / "a-2.png"
    cv2.imwrite(str(taken), scan_of("67"))
    labels = [
        Labeled(str(path), 0, text) for path, text in ((scan, "123"), (taken, "67"), (other, "45"))
    ]
    folder = write_folder(labels, Sources(tmp_path, 300), tmp_path / "out")
    assert folder.written == 3
    assert (tmp_path / "out" / "labels.csv").read_text().split() == [
        "file,text",
        "a.png,123",
        "a-2.png,67",
        "a-3.png,45",
    ]


def test_a_page_of_a_document_becomes_a_picture_of_its_own(tmp_path):
    pages = [Image.fromarray(scan_of(text)) for text in ("12", "34")]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    labels = [Labeled("p.tif", 1, "34", why="review", weight=1.0), Labeled("gone.png", 0, "1")]
    folder = write_folder(labels, Sources(tmp_path, 300), tmp_path / "out")
    assert (folder.written, len(folder.missing)) == (1, 1)
    written = cv2.imread(str(tmp_path / "out" / "p-page-2.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(written, scan_of("34"))


def test_a_source_s_name_does_not_lead_out_of_the_folder(tmp_path, scan):
    sources = Sources(tmp_path, 300)
    (tmp_path / "labels.csv").write_bytes(scan.read_bytes())
    labels = [Labeled("labels.csv", 0, "1"), Labeled("scans/../scans/a.png", 0, "2")]
    write_folder(labels, sources, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "labels.csv",
        "labels-2.csv",
        "a.png",
    }


def test_what_is_no_image_is_not_copied_among_labels(tmp_path):
    (tmp_path / "a.png").write_text("a secret")
    folder = write_folder([Labeled("a.png", 0, "1")], Sources(tmp_path, 300), tmp_path / "out")
    assert (folder.written, len(folder.missing)) == (0, 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labels.csv"]


def test_faint_pencil_is_shown_with_all_contrast(tmp_path):
    faint = (200 + scan_of("7") // 20).astype(np.uint8)
    crops, row = crop_of(tmp_path, faint, [30.0, 10.0, 60.0, 38.0])
    plain, clear = (
        cv2.imdecode(np.frombuffer(crops.of(row, clear=wanted).png, np.uint8), cv2.IMREAD_GRAYSCALE)
        for wanted in (False, True)
    )
    assert np.array_equal(plain, faint)
    assert np.ptp(plain) < 12
    assert np.ptp(clear) == 255
    assert clear.shape == plain.shape


def test_an_even_page_has_no_contrast_to_raise(tmp_path):
    crops, row = crop_of(tmp_path, np.full((48, 90), 200, np.uint8), [30.0, 10.0, 60.0, 38.0])
    assert crops.of(row, clear=True).png.startswith(b"\x89PNG")
