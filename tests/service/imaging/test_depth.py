import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from service.imaging.decode import decode
from service.imaging.depth import MAX_GAIN
from tests.support.encoded import (
    FLOAT,
    SIGNED,
    UNSIGNED,
    png,
    tiff_of_one_strip,
    with_opencv,
    with_pillow,
)

WIDTH, HEIGHT = 90, 40


def strokes(ink=0.0, paper=1.0, noise=0.0):
    """Two strokes on paper, as float64."""
    page = np.full((HEIGHT, WIDTH), paper)
    page[8:32, 20:25] = page[10:14, 40:70] = ink
    return page + np.random.default_rng(3).normal(0, noise, page.shape)


def ink_and_paper(page):
    """The gray levels of the ink and of the paper of a decoded page."""
    return float(np.median(page.gray[8:32, 20:25])), float(np.median(page.gray[:6]))


def tiff_of(values, bits, sample_format, white_is_zero=False):
    return tiff_of_one_strip(
        WIDTH,
        HEIGHT,
        bits,
        values.tobytes(),
        white_is_zero=white_is_zero,
        sample_format=sample_format,
    )


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_few_bits_in_a_file_of_16_are_read_by_their_own_range(bits, suffix):
    white = 2**bits - 1
    levels = strokes(0.05 * white, 0.95 * white, 0.01 * white)
    page = decode(with_opencv(np.clip(levels, 0, white).astype(np.uint16), suffix))
    ink, paper = ink_and_paper(page)
    assert paper - ink > 150
    assert page.gain > 1.5


def test_a_narrow_range_far_from_black_is_read_too():
    levels = strokes(30_000, 31_000, 10).astype(np.uint16)
    ink, paper = ink_and_paper(decode(with_opencv(levels, ".png")))
    assert paper - ink > 150


def test_16_bits_that_are_used_are_not_stretched():
    page = decode(with_opencv(strokes(9_000, 60_000, 300).astype(np.uint16), ".png"))
    assert page.gain == 1.0
    assert ink_and_paper(page) == pytest.approx((35, 233), abs=2)


@pytest.mark.parametrize(
    "levels",
    [
        np.zeros((HEIGHT, WIDTH)),
        np.full((HEIGHT, WIDTH), 60_000.0),
        strokes(50_000, 50_000, 120),  # noise alone
        strokes(300, 300, 60),
        strokes(2000, 2000 + 65_535 / MAX_GAIN / 2),  # far less than a level of eight bits
    ],
    ids=["black", "flat", "noise on paper", "noise in the dark", "a trace"],
)
def test_a_blank_page_of_16_bits_stays_flat(levels):
    page = decode(with_opencv(np.clip(levels, 0, 65_535).astype(np.uint16), ".png"))
    assert page.gain == 1.0
    assert int(page.gray.max()) - int(page.gray.min()) <= 4


def test_a_hot_pixel_does_not_hide_the_ink():
    levels = np.repeat(np.repeat(strokes(200, 3900, 20), 5, axis=0), 5, axis=1).astype(np.uint16)
    levels[0, 0] = 65_535
    page = decode(with_opencv(levels, ".png")).gray
    assert int(np.median(page[:30])) - int(np.median(page[40:160, 100:125])) > 150


@pytest.mark.parametrize(
    ("dtype", "bits", "sample_format", "ink", "paper"),
    [
        (np.float32, 32, FLOAT, 0.0, 1.0),
        (np.float32, 32, FLOAT, 0.02, 0.04),
        (np.float32, 32, FLOAT, 20, 240),
        (np.float32, 32, FLOAT, -3e6, 8e6),
        (np.int32, 32, SIGNED, -400, 900),
        (np.int32, 32, SIGNED, 100, 4000),
        (np.uint32, 32, UNSIGNED, 2**30, 2**32 - 1),
        (np.int16, 16, SIGNED, -20_000, 20_000),
    ],
)
def test_32_bits_signs_and_floats_are_read_by_their_own_range(
    dtype, bits, sample_format, ink, paper
):
    encoded = tiff_of(strokes(ink, paper).astype(dtype), bits, sample_format)
    found = ink_and_paper(decode(encoded))
    assert found[1] - found[0] > 150


def test_what_is_no_number_is_paper_and_infinity_is_white():
    values = strokes().astype(np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    gray = decode(tiff_of(values, 32, FLOAT)).gray
    assert gray[0, :3].tolist() == [255, 255, 0]
    assert (
        decode(tiff_of(np.full((HEIGHT, WIDTH), np.nan, np.float32), 32, FLOAT)).gray.min() == 255
    )


@pytest.mark.parametrize("values", [np.float32(0), np.float32(-7), np.float32(3e38)])
def test_a_flat_page_of_floats_stays_flat(values):
    encoded = tiff_of(np.full((HEIGHT, WIDTH), values, np.float32), 32, FLOAT)
    assert np.ptp(decode(encoded).gray) == 0


def test_deep_tiff_whose_white_is_zero_comes_out_white():
    encoded = tiff_of(strokes(1.0, 0.0).astype(np.float32), 32, FLOAT, white_is_zero=True)
    assert ink_and_paper(decode(encoded)) == (0, 255)


def test_twelve_bits_of_a_tiff_span_black_to_white():
    packed = b"\x00\x0f\xff"  # 0 and 4095
    assert decode(tiff_of_one_strip(2, 1, 12, packed)).gray.tolist() == [[0, 255]]


@pytest.mark.parametrize("channels", [3, 4])
def test_few_bits_in_a_color_file_of_16_are_read_by_their_own_range(channels):
    levels = np.repeat(strokes(200, 3900)[..., None], channels, axis=2)
    levels[..., 3:] = 4095
    page = decode(with_opencv(levels.astype(np.uint16), ".png"))
    ink, paper = ink_and_paper(page)
    assert paper - ink > 150
    assert page.gain > 10


def test_few_bits_of_gray_and_alpha_are_read_by_their_own_range():
    rows = np.stack([strokes(200, 3900), np.full((HEIGHT, WIDTH), 4095)], axis=2).astype(">u2")
    encoded = bytearray(png(WIDTH, HEIGHT, 16, b"".join(b"\0" + row.tobytes() for row in rows)))
    encoded[25] = 4  # the color type: gray and alpha
    encoded[29:33] = struct.pack(">L", zlib.crc32(encoded[12:29]))
    ink, paper = ink_and_paper(decode(bytes(encoded)))
    assert paper - ink > 150


def test_a_dark_color_page_of_16_bits_stays_dark():
    levels = np.random.default_rng(1).integers(0, 700, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    assert decode(with_opencv(levels, ".png")).gray.max() <= 40


def test_sixteen_bit_levels_are_as_exact_as_by_division():
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(decode(with_opencv(levels, ".png")).gray, levels // 257)


def test_a_wide_page_is_converted_a_band_at_a_time():
    levels = np.tile(np.arange(0, 65_536, 64, dtype=np.uint16), (3000, 1))
    gray = decode(with_pillow(Image.fromarray(levels), "TIFF")).gray
    np.testing.assert_array_equal(gray, levels // 257)
    np.testing.assert_array_equal(
        gray, cv2.imdecode(np.frombuffer(with_opencv(gray, ".png"), np.uint8), cv2.IMREAD_GRAYSCALE)
    )
