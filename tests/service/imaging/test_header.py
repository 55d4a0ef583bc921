import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.imaging.decode import decode
from service.imaging.formats import declared_pixels
from service.imaging.header import MAX_SEGMENTS
from tests.conftest import STRIPS

FORMATS = ["PNG", "JPEG", "TIFF", "BMP", "WEBP"]
SIDES = st.integers(1, 300)
EXAMPLES = sorted(path for path in STRIPS.iterdir() if path.suffix != ".csv")


def file(format_, width, height, mode="L", **options):
    pipe = io.BytesIO()
    Image.new(mode, (width, height), 200).save(pipe, format_, **options)
    return pipe.getvalue()


def pillows(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        return image.width * image.height


@pytest.mark.parametrize("format_", FORMATS)
@given(width=SIDES, height=SIDES)
def test_a_file_declares_the_pixels_that_it_has(format_, width, height):
    assert declared_pixels(file(format_, width, height)) == width * height


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_declare_the_pixels_that_they_have(path):
    encoded = path.read_bytes()
    assert declared_pixels(encoded) == pillows(encoded) == decode(encoded).gray.size


@pytest.mark.parametrize(
    ("format_", "mode", "options"),
    [
        ("PNG", "1", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "L", {"comment": b"\xff\xc0" * 1000}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "L", {"big_tiff": True}),
        ("BMP", "1", {}),
        ("BMP", "P", {}),
        ("BMP", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGB", {"quality": 50}),
        ("WEBP", "RGBA", {"quality": 50}),
        ("WEBP", "RGB", {"exif": Image.Exif()}),
    ],
)
def test_of_every_kind_of_each_format(format_, mode, options):
    encoded = file(format_, 301, 57, mode, **options)
    assert declared_pixels(encoded) == pillows(encoded) == 301 * 57


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_an_orientation_changes_nothing(format_):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    encoded = file(format_, 300, 40, "RGB", exif=exif)
    assert declared_pixels(encoded) == decode(encoded).gray.size == 300 * 40


def tiff(order, entries):
    """A TIFF of one directory: (tag, type, value) each."""
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    body = b"".join(
        struct.pack(f"{order}HHI{'H2x' if kind == 3 else 'I'}", tag, kind, 1, value)
        for tag, kind, value in entries
    )
    return head + struct.pack(f"{order}H", len(entries)) + body + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_a_tiff_of_either_byte_order_declares_its_pixels(order, kind):
    wanted = [(256, kind, 700), (257, kind, 90), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    encoded = tiff(order, [*wanted, (273, 4, 200), (277, 3, 1), (278, 3, 90), (279, 4, 63000)])
    assert declared_pixels(encoded) == pillows(encoded) == 700 * 90


@pytest.mark.parametrize("height", [40, -40])
def test_a_bmp_declares_its_pixels_whichever_row_comes_first(height):
    encoded = bytearray(file("BMP", 300, 40))
    struct.pack_into("<i", encoded, 22, height)
    assert declared_pixels(bytes(encoded)) == pillows(bytes(encoded)) == 300 * 40


def test_a_bmp_of_the_oldest_kind_declares_its_pixels():
    pixels = bytes(4 * 9 * 5)
    encoded = struct.pack("<2sIHHIIHHHH", b"BM", 26 + len(pixels), 0, 0, 26, 12, 9, 5, 1, 24)
    assert declared_pixels(encoded + pixels) == pillows(encoded + pixels) == 9 * 5


def test_a_tiff_declares_the_pixels_of_its_first_page():
    pipe = io.BytesIO()
    large = Image.fromarray(np.full((90, 900), 255, np.uint8))
    Image.new("L", (30, 20)).save(pipe, "TIFF", save_all=True, append_images=[large])
    assert declared_pixels(pipe.getvalue()) == 30 * 20


@pytest.mark.parametrize("encoded", [b"", b"hello, world", b"RIFF1234WAVE"])
def test_what_is_no_image_declares_nothing(encoded):
    assert declared_pixels(encoded) == 0


@pytest.mark.parametrize("format_", FORMATS)
@given(end=st.integers(0, 60))
def test_a_file_cut_short_declares_its_pixels_or_next_to_nothing(format_, end):
    assert declared_pixels(file(format_, 301, 57)[:end]) in range(302 * 57)


@given(
    st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"II*\0", b"MM\0*", b"BM", b"RIFF", b"RIFF1234WEBPVP8X"]
    ),
    st.binary(max_size=200),
)
def test_any_bytes_give_a_number_of_pixels_and_no_error(start, rest):
    assert declared_pixels(start + rest) >= 0


@pytest.mark.parametrize("format_", FORMATS)
@given(st.data())
def test_a_damaged_file_gives_a_number_of_pixels_and_no_error(format_, data):
    encoded = bytearray(file(format_, 301, 57))
    places = st.integers(0, min(len(encoded), 400) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        encoded[place] = data.draw(st.integers(0, 255))
    assert declared_pixels(bytes(encoded)) >= 0


def test_no_more_segments_are_looked_at_than_a_bound():
    comment = b"\xff\xfe\0\2"
    jpeg = file("JPEG", 301, 57)
    assert declared_pixels(jpeg[:2] + (MAX_SEGMENTS // 2) * comment + jpeg[2:]) == 301 * 57
    assert declared_pixels(jpeg[:2] + MAX_SEGMENTS * comment + jpeg[2:]) == 0
