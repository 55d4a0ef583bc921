import io
import re
import struct
import zlib
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from service.errors import (
    NoSuchPage,
    TooManyPages,
)
from service.imaging.decode import EncodedImage, count_pages, decode, from_raster
from service.imaging.limits import Limits
from tests.support.encoded import (
    ENCODED,
    bmp,
    bmp_run_lengths,
    noise,
    orientation,
    png,
    ramp,
    tiff_of_one_strip,
    tiff_of_pages,
    with_opencv,
    with_pillow,
)

LOSSY = 3  # gray levels that a smooth picture may lose in JPEG or WebP


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
    with pytest.raises(NoSuchPage, match=f"has {len(levels)} page"):
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
