import ast
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from service.imaging.decode import decode
from service.imaging.formats import FORMATS, NAMES, SUFFIXES, declared_pixels, format_of
from tests.conftest import ROOT

PICTURE = np.random.default_rng(7).integers(0, 256, (9, 31), np.uint8)
every_row = pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)


def encoded(row):
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, row.name)
    return file.getvalue()


@every_row
def test_a_row_recognizes_measures_checks_and_decodes_its_format(row):
    file = encoded(row)
    assert format_of(file) is row
    assert row.size(file) == (31, 9)
    assert declared_pixels(file) == 31 * 9
    row.check(file, 1)
    assert decode(file).gray.shape == (9, 31)


@every_row
def test_no_two_rows_recognize_the_same_file(row):
    assert [each.name for each in FORMATS if each.signature.match(encoded(row))] == [row.name]


@every_row
def test_a_row_names_each_suffix_that_pillow_writes_its_format_for(row):
    Image.init()
    written = {suffix for suffix, name in Image.EXTENSION.items() if name == row.name.upper()}
    assert set(row.suffixes) <= written
    assert set(row.suffixes) <= SUFFIXES
    assert row.name in NAMES


def test_a_format_that_is_one_more_row_is_found_measured_and_decoded():
    program = """
import re, sys, tempfile
from pathlib import Path
from service.imaging import formats
row = formats.ImageFormat(
    "GIF", re.compile(rb"GIF8[79]a"), (".gif",), "PIL.GifImagePlugin.GifImageFile",
    lambda file: (file[6] + 256 * file[7], file[8] + 256 * file[9]), formats.check_nothing,
)
formats.FORMATS += (row,)
formats.SUFFIXES |= {".gif"}
from service.imaging.decode import decode
from service.imaging.files import expand
file = sys.stdin.buffer.read()
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "a.gif").write_bytes(file)
    (source,) = expand([folder])
    print(formats.declared_pixels(file), decode(source.read()).gray.shape)
"""
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "GIF")
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=file.getvalue(),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.stdout.decode() == "279 (9, 31)\n", done.stderr.decode()


def test_the_table_loads_no_decoder_and_no_schema():
    program = "import sys, service.imaging.formats; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True, text=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"PIL", "cv2", "numpy", "google", "onnxruntime"}
    assert "service.pb" not in done.stdout


def test_signatures_are_written_in_the_table_alone():
    starts = (b"\x89PNG", b"\xff\xd8\xff", b"II*", b"MM\0*", b"RIFF")
    for path in (ROOT / "service").rglob("*.py"):
        if path.name == "formats.py":
            continue
        written = [
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes)
        ]
        assert not [each for each in written if each.startswith(starts)], path
