"""What a folder, a glob and an archive stand for."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from service.inputs.expand import Inputs

LEFT_BY_MACOS = ("._page.png", "__MACOSX/._page.png", "__MACOSX/page.png", "in/._b.tif")


def sources(name, below):
    return [str(Path(item.source).relative_to(below)) for item in Inputs([str(name)])]


def test_what_macos_leaves_in_a_folder_is_no_item(tmp_path):
    for name in ("page.png", "in/b.tif", *LEFT_BY_MACOS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sources(tmp_path, tmp_path) == ["in/b.tif", "page.png"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_what_macos_leaves_in_an_archive_is_no_item(tmp_path, suffix):
    path = tmp_path / f"scans{suffix}"
    names = ("page.png", "in/b.tif", *LEFT_BY_MACOS)
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
    else:
        with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 1
                archive.addfile(info, io.BytesIO(b"x"))
    assert sources(path, path) == ["page.png", "in/b.tif"]


def test_a_glob_below_a_folder_whose_name_looks_like_one_is_a_glob_of_the_files(tmp_path):
    folder = tmp_path / "in [1]"
    folder.mkdir()
    (folder / "page.png").touch()
    assert sources(folder / "*.png", tmp_path) == ["in [1]/page.png"]
