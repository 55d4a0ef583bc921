import io
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from service.errors import (
    DamagedImage,
    TooManyBytes,
    TooManyPages,
    TooManyPixels,
)
from service.imaging.decode import count_pages, decode, from_raster
from service.imaging.limits import Limits
from tests.support.encoded import (
    DEFLATE,
    ENCODED,
    bmp,
    jpeg,
    noise,
    orientation,
    png,
    tiff_of_one_strip,
    tiff_of_one_tile,
    webp_canvas,
    webp_lossless,
    webp_lossy,
    with_pillow,
)

ROOT = Path(__file__).parents[3]
HUGE = 50_000
MANY = f"{HUGE:,}×{HUGE:,} = {HUGE * HUGE:,}"
ALLOWED = f"{Limits().max_pixels:,}"


def test_too_many_bytes_are_refused_with_both_numbers():
    with pytest.raises(TooManyBytes, match=r"1,000 bytes; at most 999 are allowed"):
        decode(b"\x89PNG\r\n\x1a\n" + bytes(992), limits=Limits(max_bytes=999))


def test_one_pixel_too_many_is_refused_with_both_numbers():
    with pytest.raises(TooManyPixels, match=r"23×17 = 391 pixels; at most 390 are allowed"):
        decode(ENCODED["PNG"], limits=Limits(max_pixels=390))


def test_size_is_checked_on_the_requested_page():
    limits = Limits(max_pixels=noise().size)
    decode(ENCODED["TIFF, 2 pages"], 0, limits)
    with pytest.raises(TooManyPixels, match="48×32"):
        decode(ENCODED["TIFF, 2 pages"], 1, limits)


DECODE_FRUGALLY = """
import resource, sys
from pathlib import Path
from service.imaging.decode import decode
from service.errors import InputError

def kilobytes(name):  # of this program alone; ru_maxrss would inherit the test runner's
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])

encoded = sys.stdin.buffer.read()
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, ((kilobytes("VmSize") << 10) + (300 << 20), hard))
before = kilobytes("VmHWM")
try:
    decode(encoded)
except InputError as error:
    print(kilobytes("VmHWM") - before >> 10, type(error).__name__, error)
"""

BOMBS = {
    "PNG, 1 bit": (png(HUGE, HUGE, 1, bytes(10_000)), MANY),
    "PNG, 8 bits": (png(HUGE, HUGE, 8, bytes(1_000_000)), MANY),
    "BMP": (bmp(HUGE, HUGE, rows=bytes(1000)), MANY),
    "BMP, run lengths": (bmp(HUGE, HUGE, 8, b"\0\2\xff\xff" * 9, 1, bytes(1024)), MANY),
    "TIFF": (tiff_of_one_strip(HUGE, HUGE, 8, bytes(1000)), MANY),
    "TIFF, deflate": (
        tiff_of_one_strip(HUGE, HUGE, 1, zlib.compress(bytes(10**6)), compression=DEFLATE),
        MANY,
    ),
    "TIFF, huge tiles": (tiff_of_one_tile(10, 10, HUGE), MANY),
    "JPEG": (jpeg(HUGE, HUGE), MANY),
    "WebP, canvas": (webp_canvas(HUGE, HUGE), MANY),
    "WebP, largest canvas": (webp_canvas(2**24, 2**24), f"{2**24:,}×{2**24:,}"),
    "WebP, lossless": (webp_lossless(16_384, 16_384), "16,384×16,384 = 268,435,456"),
    "WebP, lossless, 100 million": (webp_lossless(10_000, 10_000), "100,000,000"),
    "WebP, lossy": (webp_lossy(16_383, 16_383), "16,383×16,383 = 268,402,689"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_small_file_that_declares_a_huge_picture_is_refused_before_memory_is_taken(name):
    encoded, seen = BOMBS[name]
    assert len(encoded) < 20_000
    done = subprocess.run(
        [sys.executable, "-c", DECODE_FRUGALLY],
        input=encoded,
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    megabytes, error, message = done.stdout.decode().split(maxsplit=2)
    assert int(megabytes) < 50
    assert error == "TooManyPixels"
    assert seen in message
    assert ALLOWED in message


def test_a_tiff_with_more_pages_than_allowed_is_refused():
    pages = [Image.new("L", (4, 4), level) for level in range(5)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    limits = Limits(max_pages=4)
    with pytest.raises(TooManyPages, match="more than 4 pages"):
        count_pages(file.getvalue(), limits)
    with pytest.raises(TooManyPages, match="page 4 is past the limit; at most 4 pages"):
        decode(file.getvalue(), 4, limits)
    assert decode(file.getvalue(), 3, limits).gray[0, 0] == 3
    assert count_pages(file.getvalue(), Limits(max_pages=5)) == 5


def test_a_page_wider_than_allowed_is_refused():
    with pytest.raises(TooManyPixels, match="9 pixels wide; at most 8 are allowed"):
        from_raster(bytes(9), 9, 1, Limits(max_width=8))


SIDE = 4096  # pixels of a large page


def large(mode, kind, **options):
    """A page of one color, and how many bytes of memory a pixel may take to decode it."""
    color = {"RGBA": (9, 9, 9, 90), "LA": (9, 90), "RGB": (200, 90, 9), "CMYK": (1, 2, 3, 4)}
    file = io.BytesIO()
    Image.new(mode, (SIDE, SIDE), color.get(mode, 100)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at its own memory in /proc")
@pytest.mark.parametrize(
    ("mode", "kind", "options", "most"),
    [
        ("RGBA", "PNG", {}, 6),
        ("LA", "PNG", {}, 6),
        ("RGBA", "PNG", {"exif": orientation(6)}, 7),
        ("I;16", "PNG", {}, 5),
        ("RGB", "JPEG", {}, 6),
        ("CMYK", "JPEG", {}, 6),
        ("RGB", "TIFF", {"compression": "tiff_lzw", "tiffinfo": {278: SIDE}}, 9),
    ],
    ids=["RGBA", "LA", "turned", "16-bits", "JPEG", "CMYK", "one-strip"],
)
def test_a_large_page_is_decoded_without_copies_of_it_in_color(mode, kind, options, most):
    encoded = large(mode, kind, **options)
    decode(ENCODED[kind])  # loads what is loaded late
    status = Path("/proc/self/status")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    except OSError:
        pytest.skip("this kernel does not forget a peak of memory")

    def kilobytes(name):
        return int(re.search(rf"{name}:\s+(\d+) kB", status.read_text())[1])

    before = kilobytes("VmRSS")
    decode(encoded)
    assert (kilobytes("VmHWM") - before) * 1024 < (most + 0.5) * SIDE**2


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("L", "WEBP", {"lossless": True, "method": 0, "quality": 0}),
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
        ("RGBA", "TIFF", {"compression": "tiff_lzw", "tiffinfo": {278: SIDE}}),
    ],
    ids=["webp", "progressive", "one-strip"],
)
def test_a_page_whose_decoder_takes_far_more_memory_than_pixels_is_refused(mode, kind, options):
    limits = Limits(max_decoding_bytes=7 * SIDE**2)
    with pytest.raises(TooManyPixels, match="--max-decoding-bytes") as raised:
        decode(large(mode, kind, **options), limits=limits)
    assert raised.value.pixels == SIDE**2
    assert decode(large("RGB", "JPEG"), limits=limits).gray.shape == (SIDE, SIDE)


def test_a_progressive_jpeg_without_sampling_is_damaged():
    encoded = bytearray(with_pillow(noise(), "JPEG", progressive=True))
    frame = encoded.index(b"\xff\xc2")
    encoded[frame + 11] = 0  # the one component's factors
    with pytest.raises(DamagedImage):
        decode(bytes(encoded))
