"""Files of very many parts, each of which kept a decoder busy for seconds or minutes."""

import struct

import numpy as np
import pytest
from PIL import Image

from service.errors import DamagedImage, TooManyPixels
from service.imaging.decode import count_pages, decode, from_raster
from service.imaging.limits import Limits
from tests.support.encoded import (
    BITS,
    COMPRESSION,
    HEIGHT,
    PHOTOMETRIC,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP,
    STRIP_BYTES,
    WIDTH,
    bmp,
    noise,
    orientation,
    png,
    tiff_of_pages,
    with_pillow,
)

X_RESOLUTION, RATIONAL, LONG = 282, 5, 4
DELTA_BY_NOTHING = b"\0\2\0\0"
END_OF_ROW = b"\0\0"


def jpeg_with(extra):
    """`extra` follows the start of the image."""
    encoded = with_pillow(noise(), "JPEG")
    return encoded[:2] + extra + encoded[2:]


def segment(marker, data=b""):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data


def progressive_jpeg(scans, between=b""):
    """A JPEG whose last scan is there again and again."""
    encoded = with_pillow(noise(64, 64), "JPEG", progressive=True)
    last = encoded[encoded.rindex(b"\xff\xda") : -2]
    return encoded[:-2] + (between + last) * scans + encoded[-2:]


def tiff_of_fractions(count):
    """A page whose resolution has many numbers."""
    tags = {
        WIDTH: 1,
        HEIGHT: 1,
        BITS: 8,
        COMPRESSION: 1,
        PHOTOMETRIC: 1,
        STRIP: 8,
        SAMPLES: 1,
        ROWS_PER_STRIP: 1,
        STRIP_BYTES: 1,
    }
    entries = [(tag, LONG, 1, value) for tag, value in tags.items()]
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    entries.append((X_RESOLUTION, RATIONAL, count, start))
    directory = b"".join(struct.pack("<HHLL", *entry) for entry in sorted(entries))
    header = struct.pack("<2sHLH", b"II", 42, 8, len(entries))
    return header + directory + bytes(4) + struct.pack("<LL", 1, 3) * count


def tiff_of_pages_that_share_tags(pages, tags):
    """A BigTIFF: each page's directory begins within the one before."""
    first, size = 16, 20
    directories = bytearray(size * (pages + tags) + 8)
    for page in range(pages):
        struct.pack_into("<Q", directories, size * page + 12, tags - 1)
    for page in range(pages - 1):  # the offset of the next stands behind each directory's last tag
        end = size * (page + tags - 1) + 20
        struct.pack_into("<Q", directories, end, first + size * (page + 1) + 12)
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, first + 12) + bytes(directories)


@pytest.mark.parametrize(
    ("encoded", "seen"),
    [
        (png(1, 1, 8, b"\0\0", *[(b"prIv", b"")] * 65_537), "65,536"),
        (png(1, 1, 8, b"\0\0") + bytes(12) * 65_537, None),
        (jpeg_with(segment(0xFE) * 1025), "segments; at most 1,024"),
        (jpeg_with(segment(0xE1, b"Exif\0\0!") * 1025), "segments; at most 1,024"),
        (jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 17), "bytes of EXIF; at most"),
        (jpeg_with(b"\xff" * 65_537), "bytes between segments; at most 65,536"),
        (b"\xff\xd8" + b"\xff" * 65_537, "bytes between segments; at most 65,536"),
        (progressive_jpeg(101), "scans; at most 100"),
        (progressive_jpeg(101, segment(0xFE, b"\xff\xd9")), "scans; at most 100"),
        (tiff_of_fractions(65_537), "fractions in one tag; at most 65,536"),
        (png(1, 1, 8, b"\0\0", (b"eXIf", bytes(2**20 + 1))), "EXIF; at most 1,048,576"),
        (bmp(10, 10, 8, DELTA_BY_NOTHING * 20_000, 1, bytes(1024)), "bytes; so many are not"),
    ],
    ids=[
        "PNG, chunks",
        "PNG, chunks after the pixels",
        "JPEG, segments",
        "JPEG, pieces of EXIF",
        "JPEG, EXIF",
        "JPEG, fill bytes",
        "JPEG, fill bytes alone",
        "JPEG, scans",
        "JPEG, scans behind a false end",
        "TIFF, fractions",
        "PNG, EXIF",
        "BMP, run lengths that add nothing",
    ],
)
def test_more_parts_than_a_picture_needs_are_refused(encoded, seen):
    if seen is None:  # behind the end of a PNG is nothing that anyone reads
        assert decode(encoded).gray.shape == (1, 1)
        return
    with pytest.raises(DamagedImage, match=seen):
        decode(encoded)


def test_tags_that_many_pages_share_are_counted_for_each():
    encoded = tiff_of_pages_that_share_tags(pages=900, tags=1000)
    for read in (decode, count_pages):
        with pytest.raises(DamagedImage, match="tags; at most 65,000"):
            read(encoded)


@pytest.mark.parametrize("offset", [2**63 - 1, 2**63, 2**64 - 1])
def test_tags_beyond_all_files_are_refused_as_damaged(offset):
    encoded = struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset)
    for read in (decode, count_pages):
        with pytest.raises(DamagedImage):
            read(encoded)


def test_run_lengths_of_very_many_pixels_are_refused():
    rows = 4096
    encoded = bmp(4096, rows + 1, 8, END_OF_ROW * rows, 1, bytes(1024))
    with pytest.raises(TooManyPixels, match="16,781,312 pixels in run lengths; at most 4,194,304"):
        decode(encoded)


@pytest.mark.parametrize("value", [1, 6])
def test_a_page_that_is_too_wide_once_upright_is_refused(value):
    tall = Image.new("1", (2, 100), 1)
    encoded = with_pillow(tall, "PNG", exif=orientation(value))
    with pytest.raises(TooManyPixels, match="100 pixels high; at most 99 are allowed"):
        decode(encoded, limits=Limits(max_width=99))
    assert 100 in decode(encoded, limits=Limits(max_width=100)).gray.shape
    with pytest.raises(TooManyPixels, match="100 pixels high"):
        from_raster(bytes(200), 2, 100, Limits(max_width=99))


@pytest.mark.filterwarnings("ignore")  # as the service runs
def test_as_many_parts_as_pictures_have_are_read():
    profile, notes = bytes(3_000_000), b"\xff\xd9" * 1000
    encoded = with_pillow(noise(), "JPEG", icc_profile=profile, comment=notes, progressive=True)
    np.testing.assert_array_equal(
        decode(encoded).gray, decode(with_pillow(noise(), "JPEG", progressive=True)).gray
    )
    assert decode(progressive_jpeg(80)).gray.shape == (64, 64)
    assert decode(jpeg_with(b"\xff" * 1000)).gray.shape == (17, 23)
    assert decode(with_pillow(noise(), "JPEG") + b"\xff\xda" * 1000).gray.shape == (
        17,
        23,
    )  # a film
    assert count_pages(tiff_of_pages(*[noise()] * 300)) == 300
    assert decode(tiff_of_fractions(1000)).gray.shape == (1, 1)
