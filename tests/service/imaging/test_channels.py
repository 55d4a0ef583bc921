import io
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image

from service.imaging.channels import LUMINANCE, SAMPLED, thinned
from service.imaging.decode import decode
from service.imaging.page import Channel
from tests.conftest import STRIPS
from tests.support.encoded import with_pillow

WHITE, BLACK = (250, 248, 245), (25, 25, 30)
RED, PINK, GREEN, YELLOW = (228, 40, 45), (250, 200, 205), (90, 190, 110), (255, 240, 90)


def writing(name="card-number.bmp"):
    """The share of ink in each pixel of an example strip."""
    gray = np.asarray(Image.open(STRIPS / name).convert("L"), np.float64)
    return np.clip(1.2 * (gray.max() - gray) / np.ptp(gray) - 0.2, 0, 1)  # without its texture


def comb(height, width, thick=3, left=6):
    """The share of a comb's lines in each pixel: two rules and the strokes between them."""
    lines = np.zeros((height, width))
    top, bottom = height // 8, height - height // 8
    lines[top : top + thick, left:-left] = lines[bottom - thick : bottom, left:-left] = 1
    for x in np.linspace(left, width - left - thick, 9).astype(int):
        lines[top:bottom, x : x + thick] = 1
    return lines


def colored(paper, *layers, noise=2.0, seed=1):
    """Paint layers of (share, color) over paper; ink is darker where it lies on a form."""
    shape = layers[0][0].shape
    page = np.ones((*shape, 1)) * np.array(paper, float)
    for share, color in layers:
        page = page * (1 - share[..., None]) + np.minimum(page, color) * share[..., None]
        if np.mean(color) > np.mean(paper):
            page = page * (1 - share[..., None]) + np.array(color, float) * share[..., None]
    page += np.random.default_rng(seed).normal(0, noise, page.shape)
    return np.clip(np.rint(page), 0, 255).astype(np.uint8)


def painted(paper, ink, share):
    """Opaque ink."""
    color = np.array(paper, float) * (1 - share[..., None]) + np.array(ink) * share[..., None]
    color += np.random.default_rng(1).normal(0, 2, color.shape)
    return np.clip(np.rint(color), 0, 255).astype(np.uint8)


def contrast(gray, share):
    """The levels between paper and what has that share."""
    return abs(float(np.median(gray[share > 0.8])) - float(np.median(gray[share < 0.02])))


def encodings(page):
    yield with_pillow(page, "PNG")
    yield with_pillow(page, "JPEG", quality=85)


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((60, 80, 200), (200, 30, 35)),  # red on blue
        ((200, 90, 60), (30, 130, 140)),  # teal on orange
        (WHITE, (255, 245, 60)),  # yellow on white
        ((235, 225, 60), (250, 250, 250)),  # white on yellow
        ((30, 90, 40), (190, 30, 30)),  # red on a green board
        ((130, 130, 130), (230, 95, 140)),  # pink on gray
        ((100, 130, 100), (200, 60, 200)),  # magenta on green
    ],
)
def test_ink_with_the_papers_luminance_is_seen_in_a_channel(paper, ink):
    share = writing()
    for encoded in encodings(painted(paper, ink, share)):
        page = decode(encoded)
        assert page.channel is not Channel.LUMINANCE
        most = max(abs(a - b) for a, b in zip(paper, ink, strict=True))
        assert contrast(page.gray, share) >= 0.7 * most


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        (WHITE, BLACK),
        (WHITE, (30, 40, 150)),  # blue pen
        (WHITE, (90, 120, 220)),  # pale blue
        (WHITE, (200, 30, 40)),  # red pen
        (WHITE, (20, 120, 60)),  # green pen
        ((250, 220, 130), BLACK),  # a brown envelope
        ((255, 215, 220), (40, 50, 140)),  # pink paper
        ((30, 60, 45), (235, 240, 235)),  # chalk on a board
        ((40, 50, 120), (240, 220, 60)),  # yellow on navy
    ],
)
def test_ink_that_luminance_shows_is_read_from_luminance(paper, ink):
    for encoded in encodings(painted(paper, ink, writing())):
        page = decode(encoded)
        assert page.channel is Channel.LUMINANCE
        expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))
        np.testing.assert_array_equal(page.gray, expected)


@pytest.mark.parametrize(
    ("form", "ink"),
    [
        *product((RED, (240, 110, 90), PINK, (255, 170, 90), GREEN), (BLACK, (30, 40, 130))),
        ((90, 170, 235), BLACK),
    ],
)
def test_a_form_of_a_drop_out_color_goes_and_the_ink_stays(form, ink):
    share = writing()
    lines = comb(*share.shape)
    only = lines * (share < 0.02)
    for encoded in encodings(colored(WHITE, (lines, form), (share, ink))):
        page = decode(encoded)
        alone = contrast(page.gray, share)
        luminance = np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))
        assert alone >= 0.5 * contrast(luminance, share)
        assert contrast(page.gray, only) <= 0.2 * alone


def test_a_tinted_field_with_white_boxes_goes_too():
    share = writing()
    tint = np.zeros(share.shape)
    tint[:14] = tint[-14:] = 1
    for x in range(0, share.shape[1], 120):
        tint[:, x : x + 24] = 1
    page = decode(with_pillow(colored(WHITE, (tint, (250, 140, 150)), (share, BLACK)), "PNG"))
    assert page.channel is Channel.RED
    assert contrast(page.gray, tint * (share < 0.02)) < 15


@pytest.mark.parametrize("ink", [RED, GREEN, (40, 60, 200)])
def test_colored_ink_beside_black_lines_is_not_taken_for_a_form(ink):
    share = writing()
    page = decode(with_pillow(colored(WHITE, (comb(*share.shape), BLACK), (share, ink)), "PNG"))
    assert contrast(page.gray, share * (comb(*share.shape) == 0)) >= 80


@pytest.mark.parametrize("mark", [BLACK, (30, 40, 130)])
def test_red_writing_in_a_red_frame_is_not_dropped_for_a_mark_of_another_color(mark):
    share = writing()
    frame = comb(*share.shape)
    speck = np.zeros(share.shape)
    speck[50:62, 300:308] = 1
    page = decode(
        with_pillow(colored(WHITE, (np.maximum(frame, share), RED), (speck, mark)), "PNG")
    )
    assert page.channel is Channel.LUMINANCE
    assert contrast(page.gray, share) >= 100


def test_red_writing_underlined_in_red_beside_black_print_is_not_dropped():
    share = writing()
    line = np.zeros(share.shape)
    line[-18:-14, 10:-10] = 1
    print_ = np.zeros(share.shape)
    for x in range(20, 200, 14):
        print_[6:16, x : x + 7] = 1
    page = decode(
        with_pillow(colored(WHITE, (np.maximum(line, share), RED), (print_, BLACK)), "PNG")
    )
    assert page.channel is Channel.LUMINANCE


def test_a_highlighter_over_black_ink_changes_nothing():
    share = writing()
    band = np.zeros(share.shape)
    band[20:110, 40:700] = 1
    page = decode(with_pillow(colored(WHITE, (band, YELLOW), (share, BLACK)), "PNG"))
    assert page.channel is Channel.LUMINANCE
    assert contrast(page.gray, share) >= 180


@pytest.mark.parametrize("paper", [WHITE, (60, 80, 200), (255, 215, 220)])
def test_blank_paper_of_any_color_is_read_from_luminance(paper):
    for encoded in encodings(painted(paper, paper, np.zeros((80, 300)))):
        assert decode(encoded).channel is Channel.LUMINANCE


def test_an_empty_form_is_read_from_luminance():
    lines = comb(80, 400)
    page = decode(with_pillow(colored(WHITE, (lines, RED), (lines, RED)), "PNG"))
    assert page.channel is Channel.LUMINANCE


def test_shaded_paper_is_read_from_luminance():
    share = writing()
    shade = np.linspace(1.0, 0.45, share.shape[1])[None, :, None]
    page = (painted((250, 235, 200), (40, 40, 45), share) * shade).astype(np.uint8)
    assert decode(with_pillow(page, "JPEG")).channel is Channel.LUMINANCE


@pytest.mark.parametrize("kind", ["P", "CMYK"])
def test_palettes_and_inks_of_print_have_channels_too(kind):
    share = (writing() > 0.5).astype(float)
    page = Image.fromarray(painted((60, 80, 200), (200, 30, 35), share))
    page = page.quantize(64) if kind == "P" else page.convert(kind)
    encoded = with_pillow(page, "TIFF")
    assert Image.open(io.BytesIO(encoded)).mode == kind
    assert contrast(decode(encoded).gray, share) >= 100


def test_a_sample_is_of_the_pages_own_colors_and_no_larger_than_allowed():
    page = np.zeros((3000, 2000, 3), np.uint8)
    page[::2] = 255
    pixels = np.asarray(thinned(Image.fromarray(page)))
    assert pixels[..., 0].size <= 1.01 * SAMPLED
    assert set(np.unique(pixels)) <= {0, 255}


def test_luminance_is_pillows():
    colors = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    levels = np.asarray(Image.fromarray(colors).convert("L"))
    np.testing.assert_allclose(levels, colors @ LUMINANCE, atol=1)


def test_the_same_image_gives_the_same_channel_in_any_process_state():
    share = writing()
    encoded = with_pillow(colored(WHITE, (comb(*share.shape), RED), (share, BLACK)), "PNG")
    cv2.setRNGSeed(99)
    first = decode(encoded)
    cv2.setRNGSeed(1234)
    np.testing.assert_array_equal(decode(encoded).gray, first.gray)


@pytest.mark.parametrize(
    "name", sorted(path.name for path in STRIPS.iterdir() if path.suffix != ".csv")
)
def test_the_examples_are_read_from_luminance(name):
    encoded = (STRIPS / name).read_bytes()
    page = decode(encoded)
    assert page.channel is Channel.LUMINANCE
    np.testing.assert_array_equal(
        page.gray, np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))
    )
