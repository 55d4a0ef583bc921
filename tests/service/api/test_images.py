import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from service.api.images import to_image
from service.api.options import to_fields, to_request
from service.api.requests import to_page
from service.errors import (
    BadConstraint,
    BadOption,
    DamagedImage,
    InputError,
    NoSuchPage,
    UnreadableSource,
    UnsupportedPixels,
)
from service.imaging.decode import decode
from service.imaging.limits import Limits
from tests.conftest import STRIPS

STRIP = STRIPS / "amount-blue-ink.jpg"
SIDES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)


def gray(image):
    """The levels that the service sees of an image."""
    return to_page(to_image(image), Limits()).gray


def test_paths_and_bytes_are_sent_as_the_file_is():
    encoded = STRIP.read_bytes()
    for image in (STRIP, str(STRIP), encoded, bytearray(encoded), memoryview(encoded)):
        assert to_image(image).encoded == encoded


@given(arrays.arrays(np.uint8, SIDES))
def test_gray_levels_are_seen_as_they_are(levels):
    assert np.array_equal(gray(levels), levels)
    assert np.array_equal(gray(levels[::-1, ::-1]), levels[::-1, ::-1])


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_an_rgb_array_is_the_gray_of_the_file_that_has_its_pixels(levels):
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    assert np.array_equal(gray(levels), decode(file.getvalue()).gray)


@pytest.mark.parametrize("name", ["amount-blue-ink.jpg", "serial.tif", "pencil-faint.png"])
def test_a_pillow_image_is_the_gray_of_its_file(name):
    with Image.open(STRIPS / name) as image:
        assert np.array_equal(gray(image), decode((STRIPS / name).read_bytes()).gray)


def test_a_pillow_image_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    with Image.open(STRIP) as image:
        image.save(tmp_path / "turned.jpg", exif=exif)
        upright = image.size
    with Image.open(tmp_path / "turned.jpg") as turned:
        assert gray(turned).shape == (upright[0], upright[1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pillow_modes_that_files_have_are_taken(mode):
    image = Image.new("L", (20, 10), 255).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.full((10, 20), 65535, np.uint16))
    assert np.all(gray(image) == 255)


@pytest.mark.parametrize(
    ("image", "advice"),
    [
        (np.zeros((4, 5), np.float32), "float32 of shape (4, 5); expected uint8, 0 black to 255"),
        (np.full((4, 5), 0.5), "convert levels of 0 to 1: (255 * array).round().astype(np.uint8)"),
        (np.zeros((4, 5), bool), "np.where(array, 255, 0).astype(np.uint8)"),
        (np.zeros((4, 5), np.uint16), "uint16"),
        (np.zeros((4, 5), np.int64), "int64"),
        (np.zeros(5, np.uint8), "shape (5,)"),
        (np.zeros((4, 5, 1), np.uint8), "shape (4, 5, 1)"),
        (np.zeros((4, 5, 4), np.uint8), "shape (4, 5, 4)"),
        (np.zeros((1, 4, 5, 3), np.uint8), "shape (1, 4, 5, 3)"),
        (np.array(7, np.uint8), "shape ()"),
        (Image.new("I", (4, 5)), "32 bits or a sign"),
        (Image.new("F", (4, 5)), "32 bits or a sign"),
    ],
)
def test_other_pixels_are_refused_with_what_is_allowed(image, advice):
    with pytest.raises(UnsupportedPixels) as refused:
        to_image(image)
    assert advice in str(refused.value)


@pytest.mark.parametrize("image", [None, 7, 1.5, [[0, 255]], object(), {"image": b""}])
def test_what_is_no_image_at_all_is_refused(image):
    with pytest.raises(UnreadableSource, match=f"type {type(image).__name__}; expected the bytes"):
        to_image(image)


def test_a_path_that_cannot_be_read_says_why(tmp_path):
    for path in (tmp_path / "absent.png", str(tmp_path), "a\0b"):
        with pytest.raises(UnreadableSource, match="cannot read"):
            to_image(path)


def test_an_array_without_pixels_is_empty():
    for shape in ((0, 5), (5, 0), (0, 5, 3)):
        with pytest.raises(InputError, match="0"):
            to_page(to_image(np.zeros(shape, np.uint8)), Limits())


def test_a_pillow_image_on_a_damaged_file_is_damaged(tmp_path):
    (tmp_path / "torn.png").write_bytes((STRIPS / "pencil-faint.png").read_bytes()[:900])
    with Image.open(tmp_path / "torn.png") as image, pytest.raises(DamagedImage):
        to_image(image)


@pytest.mark.parametrize("page", [-1, 2**32, 0.5, "1"])
def test_a_page_that_no_file_has_is_refused(page):
    with pytest.raises(NoSuchPage, match="pages are numbered from 0"):
        to_image(b"bytes", page)


def test_options_become_the_fields_of_the_schema():
    request = to_request(
        b"bytes", length="3-7", pattern=r"\d+", allowed=["123"], check_digit="luhn", alternatives=2
    )
    constraint = request.constraint
    assert (constraint.length.min, constraint.length.max) == (3, 7)
    assert (constraint.pattern, list(constraint.allowed)) == (r"\d+", ["123"])
    assert (constraint.check_digit, request.alternatives) == (1, 2)
    assert to_fields(length=5).constraint.length.max == 5
    assert not to_fields().HasField("constraint")


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"length": 0}, BadConstraint),
        ({"length": -5}, BadConstraint),
        ({"allowed": "12345"}, BadConstraint),
        ({"check_digit": "crc"}, BadConstraint),
        ({"alternatives": -1}, BadOption),
        ({"alternatives": "many"}, BadOption),
        ({"accepted_error_rate": "1%"}, BadOption),
    ],
)
def test_an_option_that_no_request_can_have_is_refused(options, refused):
    with pytest.raises(refused):
        to_fields(**options)
