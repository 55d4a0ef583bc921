"""Archives: each member by its place, none of any size taken into memory."""

import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
import warnings
import zipfile

import pytest

from service.inputs.expand import Inputs
from service.inputs.open_files import XZ_MEMORY
from tests.conftest import ROOT

LIMIT = 2**20
KINDS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def content(item, limit=LIMIT):
    return b"".join(item.pieces(limit))


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


MEMBERS = [(f"{number}.png", os.urandom(1000 + number)) for number in range(20)]


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_a_tar_are_read_by_their_place_in_any_order(tmp_path, kind):
    write_tar(tmp_path / f"a.{kind}", MEMBERS, KINDS[kind])
    items = list(Inputs([str(tmp_path / f"a.{kind}")]))
    assert [item.source.rpartition("/")[2] for item in items] == [name for name, _ in MEMBERS]
    for item, (_, data) in [*zip(items, MEMBERS, strict=True)][::-1]:
        assert content(item) == data


def test_items_of_a_compressed_tar_carry_no_content(tmp_path):
    import pickle

    write_tar(tmp_path / "a.tar.gz", [("a.png", bytes(LIMIT))], "w:gz")
    (item,) = Inputs([str(tmp_path / "a.tar.gz")])
    assert len(pickle.dumps(item)) < 1000
    assert item.size == LIMIT


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_two_members_of_one_name_are_two_items_with_their_own_bytes(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile itself finds it strange
            archive.writestr("a.png", b"first")
            archive.writestr("a.png", b"second")
    else:
        write_tar(path, [("a.png", b"first"), ("a.png", b"second")], KINDS[kind])
    assert [content(item) for item in Inputs([str(path)])] == [b"first", b"second"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_header_in_a_tar_is_an_item_and_not_the_end(tmp_path, kind):
    write_tar(tmp_path / "a.tar", MEMBERS)
    damaged = bytearray((tmp_path / "a.tar").read_bytes())
    with tarfile.open(tmp_path / "a.tar") as archive:
        damaged[archive.getmembers()[5].offset + 150] ^= 0xFF  # in the checksum
    opened = {"tar": open, "tar.gz": gzip.open, "tar.xz": lzma.open}.get(kind)
    if opened is None:
        import bz2

        opened = bz2.open
    with opened(tmp_path / f"b.{kind}", "wb") as file:
        file.write(damaged)
    items = list(Inputs([str(tmp_path / f"b.{kind}")]))
    assert len(items) == 6
    assert items[-1].reason == "UNREADABLE_SOURCE"
    assert "damaged" in items[-1].trouble


PEAK = """
import resource, sys
from service.inputs.expand import Inputs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
items = list(Inputs([sys.argv[1]]))
print(len(items), items[-1].trouble)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def listed_in_a_process(path):
    """Return what a listing printed, and the MiB that its memory grew by."""
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    line, grown = ended.stdout.splitlines()
    return line, int(grown)


class Zeros(io.RawIOBase):
    def read(self, size=-1):
        return bytes(size)


@pytest.mark.parametrize("type_", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_header_of_any_size_is_not_taken_into_memory(tmp_path, type_):
    info = tarfile.TarInfo("x")
    info.type, info.size = type_, 300 * 2**20
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.addfile(info, Zeros())
    line, grown = listed_in_a_process(tmp_path / "a.tar.gz")
    assert "a header has over 1,048,576 bytes" in line
    assert grown < 64


def test_a_listing_of_large_members_takes_little_memory(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.size = 300 * 2**20
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.addfile(info, Zeros())
    line, grown = listed_in_a_process(tmp_path / "a.tar.gz")
    assert line == "1 "
    assert grown < 64


def test_xz_that_needs_much_memory_is_refused(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 4 * XZ_MEMORY}]
    write_tar(tmp_path / "a.tar", MEMBERS)
    packed = lzma.compress((tmp_path / "a.tar").read_bytes(), filters=filters)
    (tmp_path / "a.tar.xz").write_bytes(packed)
    (item,) = Inputs([str(tmp_path / "a.tar.xz")])
    assert item.reason == "UNREADABLE_SOURCE"
    assert "Memory usage limit" in item.trouble


def test_xz_of_several_streams_is_read_to_its_end(tmp_path):
    write_tar(tmp_path / "a.tar", MEMBERS)
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(whole[:5000]) + lzma.compress(whole[5000:]))
    items = list(Inputs([str(tmp_path / "a.tar.xz")]))
    assert [content(item) for item in items] == [data for _, data in MEMBERS]


@pytest.mark.parametrize("name", ["a.png", "a.zip", "a.tar", "a.pdf"])
def test_a_fifo_is_an_item_that_says_so_and_nothing_waits(tmp_path, name):
    os.mkfifo(tmp_path / name)
    done = []

    def look():
        for item in Inputs([str(tmp_path / name)]):
            try:
                content(item)
            except Exception as error:
                done.append(str(error))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert done == ["it is a FIFO, socket or device, not a regular file"]
