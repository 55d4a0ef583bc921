import io
import re
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

from service.errors import (
    DamagedImage,
    EmptyImage,
    InputError,
    NoSuchPage,
    RasterMismatch,
    TooManyBytes,
    TooManyPages,
    TooManyPixels,
    UnknownFormat,
    UnsupportedPixels,
)
from service.imaging.decode import EncodedImage, count_pages, decode, from_raster
from service.imaging.limits import Limits

ROOT = Path(__file__).parents[3]
LOSSY = 3  # gray levels that a smooth picture may lose in JPEG or WebP
HUGE = 50_000
MANY = f"{HUGE:,}×{HUGE:,} = {HUGE * HUGE:,}"
ALLOWED = f"{Limits().max_pixels:,}"


def noise(height=17, width=23):
    return np.random.default_rng(5).integers(0, 256, (height, width), np.uint8)


def ramp(height=32, width=48):
    return np.linspace(10, 240, height * width).reshape(height, width).astype(np.uint8)


def with_pillow(picture, kind, **options):
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()


def with_opencv(picture, suffix, *options):
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def png(width, height, bits, rows, *chunks):
    def chunk(name, data):
        return (
            struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
        )

    header = struct.pack(">LLBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bmp(width, height, bits=24, rows=b"", compression=0, palette=b""):
    start = 54 + len(palette)
    return (
        struct.pack("<2sLHHL", b"BM", start + len(rows), 0, 0, start)
        + struct.pack(
            "<LllHHLLllLL", 40, width, height, 1, bits, compression, len(rows), 0, 0, 0, 0
        )
        + palette
        + rows
    )


WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 277, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
DEFLATE = 8


def tiff(tags, data):
    """Little endian, one page; the data follow the tags."""
    start = 8 + 2 + 12 * len(tags) + 4
    directory = b"".join(
        struct.pack("<HHLL", tag, 4, 1, start if value is None else value)
        for tag, value in sorted(tags.items())
    )
    return struct.pack("<2sHLH", b"II", 42, 8, len(tags)) + directory + bytes(4) + data


def tiff_of_one_strip(width, height, bits, data, white_is_zero=False, **tags):
    return tiff(
        {
            WIDTH: width,
            HEIGHT: height,
            BITS: bits,
            COMPRESSION: tags.get("compression", 1),
            PHOTOMETRIC: 0 if white_is_zero else 1,
            STRIP: None,
            SAMPLES: 1,
            ROWS_PER_STRIP: height,
            STRIP_BYTES: len(data),
            SAMPLE_FORMAT: tags.get("sample_format", UNSIGNED),
        },
        data,
    )


def tiff_of_one_tile(width, height, side):
    data = zlib.compress(bytes(1000))
    return tiff(
        {
            WIDTH: width,
            HEIGHT: height,
            BITS: 8,
            COMPRESSION: DEFLATE,
            PHOTOMETRIC: 1,
            SAMPLES: 1,
            TILE_WIDTH: side,
            TILE_HEIGHT: side,
            TILE: None,
            TILE_BYTES: len(data),
        },
        data,
    )


def tiff_of_pages(*pages):
    images = [Image.fromarray(page) for page in pages]
    return with_pillow(images[0], "TIFF", save_all=True, append_images=images[1:])


def webp(*chunks):
    body = b"".join(
        name + struct.pack("<L", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<L", 4 + len(body)) + b"WEBP" + body


def webp_canvas(width, height):
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp((b"VP8X", bytes(4) + sizes), (b"VP8L", b"\x2f" + bytes(9)))


def webp_lossless(width, height):
    sizes = (width - 1 | height - 1 << 14).to_bytes(4, "little")
    return webp((b"VP8L", b"\x2f" + sizes + bytes(20)))


def webp_lossy(width, height):
    encoded = bytearray(with_pillow(noise(), "WEBP"))
    assert encoded[12:16] == b"VP8 "
    encoded[26:30] = struct.pack("<HH", width, height)
    return bytes(encoded)


def jpeg(width, height):
    encoded = bytearray(with_pillow(noise(), "JPEG"))
    frame = encoded.index(b"\xff\xc0")
    encoded[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(encoded)


def bmp_run_lengths():
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    return bmp(4, 2, 8, b"\x04\x07\x00\x00\x02\x05\x02\x09\x00\x01", 1, palette)


def orientation(value):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


ENCODED = {
    "PNG": with_pillow(noise(), "PNG"),
    "PNG, 1 bit": with_pillow(Image.fromarray(noise()).convert("1"), "PNG"),
    "PNG, palette": with_pillow(Image.fromarray(noise()).convert("P"), "PNG", transparency=3),
    "PNG, 16 bits": with_opencv(noise().astype(np.uint16) * 257, ".png"),
    "JPEG": with_pillow(noise(), "JPEG"),
    "JPEG, turned": with_pillow(noise(), "JPEG", exif=orientation(6), progressive=True),
    "JPEG, CMYK": with_pillow(Image.new("CMYK", (23, 17), (9, 99, 40, 7)), "JPEG"),
    "TIFF": with_pillow(noise(), "TIFF"),
    "TIFF, LZW": with_pillow(noise(), "TIFF", compression="tiff_lzw"),
    "TIFF, fax": with_pillow(Image.fromarray(noise()).convert("1"), "TIFF", compression="group4"),
    "TIFF, 2 pages": tiff_of_pages(noise(), ramp()),
    "BMP": with_pillow(noise(), "BMP"),
    "BMP, run lengths": bmp_run_lengths(),
    "WebP, lossless": with_pillow(noise(), "WEBP", lossless=True),
    "WebP, lossy": with_pillow(ramp(), "WEBP"),
    "WebP, turned": with_pillow(ramp(), "WEBP", exif=orientation(6)),
}
every_format = pytest.mark.parametrize("name", ENCODED)


# What is read


@pytest.mark.parametrize(
    "encode",
    [
        partial(with_pillow, kind="PNG"),
        partial(with_pillow, kind="TIFF"),
        partial(with_pillow, kind="TIFF", compression="tiff_lzw"),
        partial(with_pillow, kind="TIFF", compression="tiff_adobe_deflate"),
        partial(with_pillow, kind="TIFF", big_tiff=True),
        partial(with_pillow, kind="BMP"),
        partial(with_pillow, kind="WEBP", lossless=True),
        partial(with_opencv, suffix=".png"),
        partial(with_opencv, suffix=".tiff"),
        partial(with_opencv, suffix=".bmp"),
    ],
    ids=lambda encode: f"{encode.func.__name__} {' '.join(map(str, encode.keywords.values()))}",
)
def test_lossless_format_gives_back_the_exact_gray_levels(encode):
    gray = decode(encode(noise())).gray
    assert gray.dtype == np.uint8
    np.testing.assert_array_equal(gray, noise())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_format_gives_nearly_the_gray_levels(kind):
    np.testing.assert_allclose(
        decode(with_pillow(ramp(), kind, quality=95)).gray.astype(int), ramp(), atol=LOSSY
    )


def test_raster_gives_the_same_array_as_png():
    picture = noise()
    gray = from_raster(picture.tobytes(), 23, 17).gray
    assert gray.dtype == np.uint8
    np.testing.assert_array_equal(gray, decode(with_pillow(picture, "PNG")).gray)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white(kind):
    image = Image.fromarray(np.where(noise() > 127, 255, 0).astype(np.uint8)).convert("1")
    np.testing.assert_array_equal(decode(with_pillow(image, kind)).gray, np.asarray(image) * 255)


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax_pages_are_read(compression):
    image = Image.fromarray(noise()).convert("1")
    encoded = with_pillow(image, "TIFF", compression=compression)
    np.testing.assert_array_equal(decode(encoded).gray, np.asarray(image) * 255)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_every_depth_of_gray_png_spans_black_to_white(bits):
    row = int("0" * bits + "1" * bits, 2) << (-2 * bits % 8)
    encoded = png(2, 1, bits, b"\0" + row.to_bytes((2 * bits + 7) // 8, "big"))
    assert decode(encoded).gray.tolist() == [[0, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_reduced_to_the_nearest_lower_of_eight(suffix):
    levels = np.array([[0, 256, 257, 257 * 128, 65534, 65535]], np.uint16)
    assert decode(with_opencv(levels, suffix)).gray.tolist() == [[0, 0, 1, 128, 254, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_every_level_of_eight(suffix):
    np.testing.assert_array_equal(
        decode(with_opencv(noise().astype(np.uint16) * 257, suffix)).gray, noise()
    )


def test_big_endian_sixteen_bit_tiff_is_read():
    image = Image.frombytes("I;16B", (2, 1), b"\x00\xff\xff\xff")
    assert decode(with_pillow(image, "TIFF")).gray.tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("bits", "data"), [(1, b"\x40"), (8, b"\x00\xff"), (16, b"\x00\x00\xff\xff")]
)
def test_tiff_whose_white_is_zero_comes_out_white(bits, data):
    assert decode(tiff_of_one_strip(2, 1, bits, data, white_is_zero=True)).gray.tolist() == [
        [255, 0]
    ]
    assert decode(tiff_of_one_strip(2, 1, bits, data)).gray.tolist() == [[0, 255]]


def test_sixteen_bit_color_png_becomes_luminance():
    color = np.repeat(noise()[:, :, None], 3, axis=2).astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(with_opencv(color, ".png")).gray, noise())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_color_becomes_the_luminance_of_bt601(kind):
    color = np.random.default_rng(1).integers(0, 256, (17, 23, 3), np.uint8)
    luminance = color @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(decode(with_pillow(color, kind)).gray, luminance, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_palette_is_looked_up(kind):
    image = Image.fromarray(noise())
    image.putpalette(bytes(255 - level for level in range(256) for _ in "rgb"))
    assert image.mode == "P"
    np.testing.assert_array_equal(decode(with_pillow(image, kind)).gray, 255 - noise())


@pytest.mark.parametrize("transparency", [0, bytes([0]), bytes([0, 255])], ids=str)
def test_transparent_palette_entry_becomes_white_paper(transparency):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette(bytes([40, 40, 40, 90, 90, 90, 160, 160, 160]))
    encoded = with_pillow(image, "PNG", transparency=transparency)
    assert b"tRNS" in encoded
    assert decode(encoded).gray.tolist() == [[255, 90, 160]]


@pytest.mark.parametrize(
    ("mode", "ink", "clear"),
    [("L", 40, 7), ("RGB", (40, 40, 40), (7, 7, 7))],
)
def test_color_key_of_png_becomes_white_paper(mode, ink, clear):
    image = Image.new(mode, (2, 1), ink)
    image.putpixel((1, 0), clear)
    assert decode(with_pillow(image, "PNG", transparency=clear)).gray.tolist() == [[40, 255]]


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_become_white_paper(mode, kind, options):
    image = Image.new(mode, (4, 1))
    for x, (level, alpha) in enumerate([(0, 0), (0, 255), (0, 128), (90, 255)]):
        image.putpixel((x, 0), (level,) * (len(mode) - 1) + (alpha,))
    assert decode(with_pillow(image, kind, **options)).gray.tolist() == [[255, 0, 127, 90]]


@pytest.mark.parametrize(
    ("ink", "level"), [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((255, 255, 255, 255), 0)]
)
def test_cmyk_jpeg_of_adobe_keeps_white_white_and_black_black(ink, level):
    encoded = with_pillow(Image.new("CMYK", (16, 16), ink), "JPEG")
    assert b"Adobe" in encoded  # which says that the inks are stored inverted
    np.testing.assert_allclose(decode(encoded).gray.astype(int), level, atol=LOSSY)


@pytest.mark.parametrize("ink", [0, 255])
def test_cmyk_jpeg_without_adobe_mark_is_read_as_opencv_reads_it(ink):
    marked = with_pillow(Image.new("CMYK", (16, 16), (ink,) * 4), "JPEG")
    encoded = re.sub(rb"\xff\xee\x00\x0eAdobe.{7}", b"", marked, flags=re.DOTALL)
    assert b"Adobe" not in encoded
    in_opencv = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(decode(encoded).gray.astype(int), in_opencv, atol=LOSSY)


STORED = {  # how a camera of that orientation stores an upright picture
    1: lambda upright: upright,
    2: np.fliplr,
    3: partial(np.rot90, k=2),
    4: np.flipud,
    5: np.transpose,
    6: partial(np.rot90, k=1),
    7: lambda upright: np.rot90(upright, 2).T,
    8: partial(np.rot90, k=-1),
}


@pytest.mark.parametrize("value", STORED)
def test_jpeg_is_turned_upright_as_its_exif_says(value):
    upright = np.kron([[20, 90, 160], [230, 50, 120]], np.ones((16, 16))).astype(np.uint8)
    stored = np.ascontiguousarray(STORED[value](upright))
    encoded = with_pillow(stored, "JPEG", quality=95, exif=orientation(value))
    gray = decode(encoded).gray
    assert gray.shape == (32, 48)
    np.testing.assert_allclose(gray.astype(int), upright, atol=LOSSY)
    in_opencv = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(gray.astype(int), in_opencv, atol=LOSSY)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
@pytest.mark.parametrize("value", STORED)
def test_other_formats_are_turned_upright_as_their_exif_says(value, kind, options):
    stored = np.ascontiguousarray(STORED[value](noise()))
    encoded = with_pillow(stored, kind, exif=orientation(value), **options)
    np.testing.assert_array_equal(decode(encoded).gray, noise())


def test_sixteen_bits_are_turned_upright_too():
    stored = Image.fromarray(np.rot90(noise().astype(np.uint16) * 257).copy())
    np.testing.assert_array_equal(
        decode(with_pillow(stored, "PNG", exif=orientation(6))).gray, noise()
    )


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"II*\0", b"no EXIF at all", b"MM\0*\xff\xff\xff\xff"]
)
@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95})]
)
@pytest.mark.filterwarnings("ignore")  # as the service runs
def test_metadata_that_cannot_be_understood_are_left_alone(kind, options, exif):
    encoded = with_pillow(ramp(), kind, exif=exif, **options)
    np.testing.assert_array_equal(
        decode(encoded).gray, decode(with_pillow(ramp(), kind, **options)).gray
    )


FINE_FAX = {  # by format, how a program says 204 pixels to an inch across and 98 down
    "PNG": {"dpi": (204, 98)},
    "JPEG": {"dpi": (204, 98)},
    "TIFF": {"dpi": (204, 98)},
    "BMP": {"dpi": (204, 98)},
}


def jfif_density(unit, across, down):
    encoded = with_pillow(noise(), "JPEG", dpi=(72, 72))
    start = encoded.index(b"JFIF\0") + 7
    return encoded[:start] + struct.pack(">BHH", unit, across, down) + encoded[start + 5 :]


def png_of_density(across, down, unit):
    physical = struct.pack(">LLB", across, down, unit)
    return png(2, 1, 8, b"\0\0\xff", (b"pHYs", physical))


@pytest.mark.parametrize("kind", FINE_FAX)
def test_resolution_tags_say_how_wide_a_pixel_is_for_its_height(kind):
    assert decode(with_pillow(noise(), kind, **FINE_FAX[kind])).aspect == pytest.approx(
        98 / 204, rel=0.01
    )
    assert decode(with_pillow(noise(), kind, dpi=(300, 300))).aspect == 1.0
    assert decode(with_pillow(noise(), kind)).aspect == 1.0


@pytest.mark.parametrize(
    ("encoded", "aspect"),
    [
        (jfif_density(0, 2, 1), 0.5),
        (jfif_density(1, 100, 200), 2.0),
        (png_of_density(3, 1, 0), 1 / 3),
        (png_of_density(5669, 2835, 1), 0.5),
        (with_pillow(noise(), "TIFF", resolution_unit=1, x_resolution=2, y_resolution=1), 0.5),
        (with_pillow(noise(), "TIFF", resolution_unit=3, x_resolution=80, y_resolution=40), 0.5),
    ],
    ids=["JFIF, ratio", "JFIF, inches", "pHYs, ratio", "pHYs, meters", "TIFF, ratio", "TIFF, cm"],
)
def test_every_unit_of_a_resolution_tag_gives_the_aspect(encoded, aspect):
    assert decode(encoded).aspect == pytest.approx(aspect, rel=1e-3)


@pytest.mark.parametrize("value", STORED)
def test_aspect_is_that_of_the_upright_page(value):
    encoded = with_pillow(noise(), "JPEG", dpi=(200, 100), exif=orientation(value))
    assert decode(encoded).aspect == (2.0 if value in (5, 6, 7, 8) else 0.5)


@pytest.mark.parametrize(
    ("across", "down"), [(0, 0), (0, 300), (300, 0), (1, 2**32 - 1), (2**32 - 1, 1), (2835, 2840)]
)
def test_resolution_that_cannot_be_meant_or_hardly_differs_leaves_pixels_square(across, down):
    assert decode(png_of_density(across, down, 1)).aspect == 1.0


def test_bmp_rows_may_run_from_the_top():
    assert decode(bmp(1, -2, 24, b"\0\0\0\0\xff\xff\xff\0")).gray.tolist() == [[0], [255]]
    assert decode(bmp(1, 2, 24, b"\0\0\0\0\xff\xff\xff\0")).gray.tolist() == [[255], [0]]


def test_bmp_of_run_lengths_is_read():
    assert decode(bmp_run_lengths()).gray.tolist() == [[5, 5, 9, 9], [7, 7, 7, 7]]


def test_pages_of_a_tiff_are_read_by_index():
    pages = [noise(), ramp(), np.rot90(noise()).copy()]
    encoded = tiff_of_pages(*pages)
    assert count_pages(encoded) == 3
    for index, page in enumerate(pages):
        np.testing.assert_array_equal(decode(encoded, index).gray, page)


def tiff_of_kinds(*kinds, tag=254):
    """A TIFF of pages of levels 10, 20, …, whose directories say of what kind each is."""
    file = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file, new=True) as writer:
        for number, kind in enumerate(kinds):
            image = Image.new("L", (8, 4), 10 * (number + 1))
            image.save(writer, "TIFF", tiffinfo={} if kind is None else {tag: kind})
            writer.newFrame()
    return file.getvalue()


@pytest.mark.parametrize(
    ("kinds", "levels"),
    [
        ((0, 1), [10]),  # a page and its thumbnail
        ((1, 0), [20]),
        ((2, 2, 2), [10, 20, 30]),  # pages that say so
        ((2, 1, 2, 1), [10, 30]),
        ((None, 4, None), [10, 30]),  # a transparency mask
        ((0, 5, 0), [10, 30]),  # a mask of a thumbnail
        ((1,), [10]),  # nothing else
        ((1, 4), [10, 20]),
    ],
)
def test_thumbnails_and_masks_of_a_tiff_are_no_pages(kinds, levels):
    encoded = tiff_of_kinds(*kinds)
    assert count_pages(encoded) == len(levels)
    assert [decode(encoded, page).gray[0, 0] for page in range(len(levels))] == levels
    with pytest.raises(NoSuchPage, match=f"0 to {len(levels) - 1}$"):
        decode(encoded, len(levels))
    with EncodedImage(encoded) as image:  # in any order, opened once
        backward = [image.decode(page).gray[0, 0] for page in reversed(range(len(levels)))]
    assert backward == levels[::-1]


def test_thumbnails_that_say_so_by_the_old_tag_are_no_pages():
    encoded = tiff_of_kinds(1, 2, 1, tag=255)
    assert count_pages(encoded) == 2
    assert decode(encoded, 1).gray[0, 0] == 30


def test_thumbnails_do_not_count_toward_the_most_pages():
    encoded = tiff_of_kinds(0, 1, 0, 1)
    assert count_pages(encoded, Limits(max_pages=2)) == 2
    with pytest.raises(TooManyPages):
        count_pages(encoded, Limits(max_pages=1))


@pytest.mark.parametrize("name", sorted(ENCODED.keys() - {"TIFF, 2 pages"}))
def test_everything_but_a_tiff_of_pages_has_one_page(name):
    assert count_pages(ENCODED[name]) == 1


def test_only_the_first_frame_of_an_animation_is_read():
    frames = [Image.fromarray(noise()), Image.fromarray(255 - noise())]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        encoded = with_pillow(
            frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options
        )
        assert count_pages(encoded) == 1
        np.testing.assert_array_equal(decode(encoded).gray, noise())


def test_as_many_bytes_and_pixels_as_allowed_are_read():
    encoded = ENCODED["PNG"]
    limits = Limits(max_bytes=len(encoded), max_pixels=17 * 23)
    assert decode(encoded, limits=limits).gray.shape == (17, 23)
    assert from_raster(bytes(17 * 23), 23, 17, limits).gray.shape == (17, 23)


# What is refused


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
    ("name", "page", "last"), [("TIFF, 2 pages", 2, 1), ("PNG", 1, 0), ("JPEG", 2**32 - 1, 0)]
)
def test_page_past_the_end_is_refused_with_the_pages_there_are(name, page, last):
    with pytest.raises(NoSuchPage, match=f"no page {page}; .* 0 to {last}$"):
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


# Limits


def test_too_many_bytes_are_refused_with_both_numbers():
    with pytest.raises(TooManyBytes, match=r"1,000 bytes; at most 999 are allowed"):
        decode(b"\x89PNG\r\n\x1a\n" + bytes(992), limits=Limits(max_bytes=999))


def test_one_pixel_too_many_is_refused_with_both_numbers():
    with pytest.raises(TooManyPixels, match=r"23×17 = 391 pixels; at most 390 are allowed"):
        decode(ENCODED["PNG"], limits=Limits(max_pixels=390))


def test_size_is_checked_on_the_page_that_is_asked_for():
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


@pytest.mark.parametrize("name", ["pHYs", "iCCP", "sRGB", "gAMA", "cHRM", "zTXt", "acTL", "fcTL"])
@pytest.mark.parametrize(
    "data", [b"", b"x", b"key\0\0" + zlib.compress(bytes(2**21))], ids=["none", "x", "2 MiB"]
)
@pytest.mark.filterwarnings("ignore")  # as the service runs
def test_chunks_of_a_png_that_are_not_its_pixels_are_left_alone(name, data):
    encoded = png(2, 1, 8, b"\0\0\xff", (name.encode(), data))
    assert decode(encoded).gray.tolist() == [[0, 255]]


def test_transparency_of_a_png_with_broken_metadata_is_kept():
    broken = png(3, 1, 8, b"\0\0\xff\x07", (b"tRNS", b"\0\x07"), (b"gAMA", b""))
    assert decode(broken).gray.tolist() == [[0, 255, 255]]


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
