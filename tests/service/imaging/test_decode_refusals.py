import re
import struct
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import (
    DamagedImage,
    EmptyImage,
    InputError,
    NoSuchPage,
    RasterMismatch,
    TooManyBytes,
    TooManyPixels,
    UnknownFormat,
    UnsupportedPixels,
)
from service.imaging.decode import count_pages, decode, from_raster
from service.imaging.limits import Limits
from tests.support.encoded import (
    ENCODED,
    FLOAT,
    WIDTH,
    bmp,
    every_format,
    jpeg,
    noise,
    png,
    tiff_of_one_strip,
    webp_lossy,
    with_pillow,
)

HUGE = 50_000
MANY = f"{HUGE:,}×{HUGE:,} = {HUGE * HUGE:,}"
ALLOWED = f"{Limits().max_pixels:,}"


@pytest.mark.parametrize(
    "encoded",
    [
        b"hello",
        b"%PDF-1.7\n%\xe2\xe3",
        with_pillow(noise(), "GIF"),
        with_pillow(noise(), "PPM"),
        b"\x00",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
    ],
    ids=["text", "PDF", "GIF", "PGM", "one zero", "sound"],
)
def test_what_is_no_image_is_refused_with_its_first_bytes_and_the_formats_read(encoded):
    with pytest.raises(UnknownFormat, match="PNG, JPEG, TIFF, BMP and WebP") as caught:
        decode(encoded)
    assert encoded[:8].hex(" ") in str(caught.value)


@pytest.mark.parametrize("read", [decode, count_pages])
def test_no_bytes_are_refused_as_empty(read):
    with pytest.raises(EmptyImage, match="0 bytes"):
        read(b"")


@pytest.mark.parametrize(
    "encoded",
    [
        png(0, 1, 8, b"\0"),
        png(1, 0, 8, b"\0"),
        bmp(2, 0),
        bmp(0, 2),
        tiff_of_one_strip(0, 1, 8, b"\0"),
        tiff_of_one_strip(1, 0, 8, b"\0"),
        jpeg(0, 5),
        webp_lossy(0, 5),
    ],
    ids=["PNG 0×1", "PNG 1×0", "BMP 2×0", "BMP 0×2", "TIFF 0×1", "TIFF 1×0", "JPEG", "WebP"],
)
def test_image_without_pixels_is_refused(encoded):
    with pytest.raises((EmptyImage, DamagedImage), match=r"no pixels|0×5 pixels"):
        decode(encoded)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 5), (5, 0)])
def test_raster_without_pixels_is_refused_as_empty(width, height):
    with pytest.raises(EmptyImage, match=f"{width}×{height}"):
        from_raster(b"", width, height)


@pytest.mark.parametrize(
    ("encoded", "seen"),
    [
        (tiff_of_one_strip(1, 1, 64, b"\0" * 8, sample_format=FLOAT), "unknown pixel mode"),
        (bmp(2, 2, 64, bytes(32)), "64"),
    ],
    ids=["float64", "BMP of 64 bits"],
)
def test_other_depths_are_refused_with_what_is_allowed(encoded, seen):
    with pytest.raises(UnsupportedPixels, match=r"1 to 16 bits a channel, .*allowed") as caught:
        decode(encoded)
    assert seen in str(caught.value)


@pytest.mark.parametrize(
    ("name", "page", "pages"), [("TIFF, 2 pages", 2, 2), ("PNG", 1, 1), ("JPEG", 2**32 - 1, 1)]
)
def test_page_past_the_end_is_refused_with_the_pages_there_are(name, page, pages):
    with pytest.raises(NoSuchPage, match=f"no page {page}, .* has {pages} pages?$"):
        decode(ENCODED[name], page)


def test_page_before_the_first_is_refused():
    with pytest.raises(NoSuchPage):
        decode(ENCODED["TIFF, 2 pages"], -1)


@pytest.mark.filterwarnings("ignore")  # as the service runs; Pillow warns, then raises
def test_second_page_that_cannot_be_found_is_refused_as_damaged():
    pages = ENCODED["TIFF, 2 pages"]
    broken = pages.replace(struct.pack("<HHLL", WIDTH, 4, 1, 48), bytes(12))
    assert broken != pages
    assert decode(broken, 0).gray.shape == (17, 23)
    with pytest.raises(DamagedImage):
        decode(broken, 1)
    with pytest.raises(DamagedImage):
        count_pages(broken)


@pytest.mark.parametrize("name", sorted(ENCODED.keys() - {"TIFF, 2 pages"}))
def test_half_a_file_is_refused_as_damaged(name):
    with pytest.raises(DamagedImage, match=r"damaged"):
        decode(ENCODED[name][: len(ENCODED[name]) // 2])


SMALL = Limits(max_pixels=20_000)  # a flipped bit in a size must not make the tests slow


def decodes_or_is_refused(encoded):
    for read in (
        partial(decode, limits=SMALL),
        partial(decode, page=1, limits=SMALL),
        partial(count_pages, limits=SMALL),
    ):
        with suppress(InputError):
            read(encoded)


@pytest.mark.filterwarnings("ignore")  # as the service runs
@every_format
def test_file_cut_anywhere_decodes_or_is_refused(name):
    for cut in range(len(ENCODED[name])):
        decodes_or_is_refused(ENCODED[name][:cut])


@pytest.mark.filterwarnings("ignore")
@every_format
@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_file_with_changed_bytes_decodes_or_is_refused(name, data):
    encoded = bytearray(ENCODED[name])
    places = st.integers(0, len(encoded) - 1)
    changes = data.draw(st.dictionaries(places, st.integers(0, 255), min_size=1, max_size=3))
    for place, value in changes.items():
        encoded[place] = value
    decodes_or_is_refused(bytes(encoded))


@pytest.mark.filterwarnings("ignore")
@every_format
@given(tail=st.binary(max_size=200))
@settings(deadline=None, max_examples=50)
def test_the_right_first_bytes_before_nonsense_are_refused(name, tail):
    decodes_or_is_refused(ENCODED[name][:16] + tail)


def test_raster_over_the_limit_is_refused_before_its_length_is_compared():
    with pytest.raises(TooManyPixels, match=re.escape(f"{MANY} pixels; at most {ALLOWED}")):
        from_raster(b"", HUGE, HUGE)


@pytest.mark.parametrize("length", [0, 390, 392])
def test_raster_of_another_length_is_refused_with_both_numbers(length):
    with pytest.raises(RasterMismatch, match=f"has {length} bytes; 23×17 pixels need 391"):
        from_raster(bytes(length), 23, 17)


@pytest.mark.parametrize(
    ("refused", "error", "reason", "field"),
    [
        (lambda: decode(b""), EmptyImage, "EMPTY_IMAGE", "image.encoded"),
        (lambda: decode(b"hello"), UnknownFormat, "UNKNOWN_FORMAT", "image.encoded"),
        (lambda: decode(b"BM"), DamagedImage, "DAMAGED_IMAGE", "image.encoded"),
        (
            lambda: decode(bmp(2, 2, 64, bytes(32))),
            UnsupportedPixels,
            "UNSUPPORTED_PIXELS",
            "image.encoded",
        ),
        (
            lambda: decode(b"hello", limits=Limits(max_bytes=4)),
            TooManyBytes,
            "TOO_MANY_BYTES",
            "image.encoded",
        ),
        (lambda: decode(jpeg(HUGE, HUGE)), TooManyPixels, "TOO_MANY_PIXELS", "image.encoded"),
        (lambda: decode(jpeg(9, 9), 1), NoSuchPage, "NO_SUCH_PAGE", "image.page"),
        (lambda: from_raster(b"", 0, 0), EmptyImage, "EMPTY_IMAGE", "image.raster"),
        (lambda: from_raster(b"", HUGE, HUGE), TooManyPixels, "TOO_MANY_PIXELS", "image.raster"),
        (
            lambda: from_raster(b"", 1, 1),
            RasterMismatch,
            "RASTER_MISMATCH",
            "image.raster.pixels",
        ),
    ],
)
def test_refusal_says_why_and_which_part_of_the_request(refused, error, reason, field):
    with pytest.raises(InputError) as caught:
        refused()
    assert type(caught.value) is error
    assert caught.value.reason == reason
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.field == field
    assert str(caught.value)


def test_a_pdf_is_refused_with_what_draws_its_pages():
    with pytest.raises(UnknownFormat, match="the commands read, send and batch draw a PDF's pages"):
        decode(b"%PDF-1.7\n")
