import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import InputError, UnreadableSource
from service.imaging.files import Source, expand
from service.imaging.formats import SUFFIXES

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.png",
        "a.JPG",
        "c.txt",
        "png",
        "inner/a.tif",
        "inner/deep/z.webp",
        "inner/notes.json",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def names(sources, below):
    return [Path(source.name).relative_to(below).as_posix() for source in sources]


def test_folder_stands_for_the_images_below_it_in_order(folder):
    found = names(expand([str(folder)]), folder)
    assert found == ["a.JPG", "b.png", "inner/a.tif", "inner/deep/z.webp"]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_suffix_of_an_image_may_be_in_capitals(suffix, tmp_path):
    for name in (f"a{suffix}", f"b{suffix.upper()}"):
        (tmp_path / name).touch()
    assert names(expand([str(tmp_path)]), tmp_path) == [f"a{suffix}", f"b{suffix.upper()}"]


def test_folder_without_images_stands_for_itself_and_is_reported(tmp_path):
    (tmp_path / "notes.txt").touch()
    (source,) = expand([str(tmp_path)])
    with pytest.raises(UnreadableSource, match="there is no image in it"):
        source.read()


def test_glob_stands_for_its_matches_in_order(folder):
    assert names(expand([f"{folder}/?.*"]), folder) == ["a.JPG", "b.png", "c.txt"]


def test_two_stars_match_folders_below(folder):
    found = names(expand([f"{folder}/**/?.[tw]*"]), folder)
    assert found == ["c.txt", "inner/a.tif", "inner/deep/z.webp"]


def test_glob_without_a_match_stands_for_itself(folder):
    assert list(expand([f"{folder}/*.gif"])) == [Source(f"{folder}/*.gif")]


def test_file_whose_name_looks_like_a_glob_stands_for_itself(tmp_path):
    file = tmp_path / "scan[1].png"
    file.touch()
    (tmp_path / "scan1.png").touch()
    assert list(expand([str(file)])) == [Source(str(file))]


def test_folder_whose_name_looks_like_a_glob_is_searched(tmp_path):
    file = tmp_path / "scans[1]" / "a.png"
    file.parent.mkdir()
    file.touch()
    assert list(expand([str(file.parent)])) == [Source(str(file))]


def test_named_file_stands_for_itself_whatever_its_suffix(folder):
    file = folder / "c.txt"
    assert list(expand([str(file)])) == [Source(str(file))]
    assert Source(str(file)).read() == b"c.txt"


def test_names_keep_their_order_and_may_repeat(folder):
    second, first = str(folder / "b.png"), str(folder / "a.JPG")
    assert [source.name for source in expand([second, "-", first, second])] == [
        second,
        "-",
        first,
        second,
    ]


def test_nothing_is_expanded_before_it_is_needed(folder):
    sources = expand([str(folder / "b.png"), str(folder / "later")])
    next(sources)
    (folder / "later").mkdir()
    (folder / "later" / "new.png").touch()
    assert names(sources, folder) == ["later/new.png"]


def test_dash_is_standard_input():
    assert list(expand(["-"])) == [Source("-")]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from service.imaging.files import Source\n"
            "sys.stdout.buffer.write(Source('-').read())",
        ],
        input=b"\x89PNG\r\n\x1a\n\x00",
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout == b"\x89PNG\r\n\x1a\n\x00"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing.png", "No such file or directory"),
        ("folder.png", "there is no image in it"),
        ("b.png/below.png", "Not a directory"),
        ("long" * 100, "File name too long"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name_and_why(name, why, folder):
    path = str(folder / name)
    with pytest.raises(UnreadableSource) as caught:
        Source(path).read()
    assert str(caught.value) == why
    assert caught.value.field == "source"
    assert caught.value.reason == "UNREADABLE_SOURCE"
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize("name", ["missing.png", "b.png/below.png", "long" * 100])
def test_name_that_cannot_be_read_still_stands_for_itself(name, folder):
    path = str(folder / name)
    assert list(expand([path])) == [Source(path)]


@pytest.mark.parametrize("name", ["missing/*.png", "long" * 100 + "*"])
def test_glob_that_cannot_match_stands_for_itself(name, folder):
    assert list(expand([str(folder / name)])) == [Source(str(folder / name))]


def test_what_macos_leaves_beside_files_is_no_image(tmp_path):
    for name in ("page.png", "._page.png", "__MACOSX/page.png", "in/__MACOSX/._a.png", "in/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(expand([str(tmp_path)]), tmp_path) == ["in/b.png", "page.png"]


def test_a_folder_named_like_the_others_below_macosx_is_searched_if_it_is_named(tmp_path):
    folder = tmp_path / "__MACOSX"
    folder.mkdir()
    (folder / "page.png").touch()
    assert names(expand([str(folder)]), tmp_path) == ["__MACOSX/page.png"]


@pytest.mark.parametrize("pattern", ["*.png", "?.png", "[ab].png", "**/*.png"])
def test_a_glob_below_a_folder_whose_name_looks_like_one_is_a_glob_of_the_files(pattern, tmp_path):
    for name in ("in [1]/a.png", "in 1/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert names(expand([f"{tmp_path}/in [1]/{pattern}"]), tmp_path) == ["in [1]/a.png"]


def test_a_pattern_for_folders_still_matches_where_no_folder_has_its_name(tmp_path):
    for name in ("in 1/a.png", "in 2/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    found = names(expand([f"{tmp_path}/in [12]/*.png"]), tmp_path)
    assert found == ["in 1/a.png", "in 2/b.png"]


def test_a_fifo_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableSource, match="not a regular file"):
        Source(str(tmp_path / "a.png")).read()
    assert names(expand([str(tmp_path)]), tmp_path.parent) == [tmp_path.name]
