import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.imaging.decode import decode
from service.recognition.normalize import DIGIT_HEIGHT, Polarity, normalize
from service.recognition.normalize.background import remove_background
from service.recognition.normalize.band import find_band
from service.recognition.normalize.ink_mask import boxes, find_ink
from service.recognition.normalize.polarity import find_polarity
from service.recognition.normalize.rules import find_rules
from service.recognition.normalize.size import WORKING_HEIGHT, shrink
from service.recognition.views import HEIGHT, MARGIN
from tests.conftest import STRIPS


def band_of(mask, ruled=False):
    return find_band(boxes(mask), mask.shape[0], ruled)


def page_with_bars(height=100, width=300, top=30, bottom=70, paper=230, ink=30):
    """Three upright strokes on paper, at columns 50, 150 and 250."""
    page = np.full((height, width), paper, np.uint8)
    for x in (50, 150, 250):
        page[top:bottom, x - 3 : x + 3] = ink
    return page


@pytest.mark.parametrize(("paper", "ink"), [(230, 30), (30, 230), (140, 100), (100, 140)])
def test_dark_and_light_ink_give_the_same_strip(paper, ink):
    page = page_with_bars(paper=paper, ink=ink)
    strip = normalize(page).strip()
    assert strip.polarity is (Polarity.DARK_ON_LIGHT if ink < paper else Polarity.LIGHT_ON_DARK)
    assert np.array_equal(strip.pixels, normalize(page_with_bars()).strip().pixels)


def test_a_gradient_of_the_light_is_no_ink():
    page = page_with_bars().astype(np.float64) * np.linspace(1, 0.5, 300)
    strip = normalize(page.astype(np.uint8))
    assert strip.polarity is Polarity.DARK_ON_LIGHT
    columns = np.flatnonzero((strip.pixels > 128).any(axis=0))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    assert len(groups) == 3


@pytest.mark.parametrize("height", [40, 100, 400, 1500])
def test_the_band_of_the_text_is_scaled_to_the_digits_height(height):
    top, bottom = round(0.3 * height), round(0.7 * height)
    strip = normalize(page_with_bars(height, 3 * height, top, bottom)).strip()
    rows = np.flatnonzero((strip.pixels > 128).any(axis=1))
    assert strip.pixels.shape[0] == HEIGHT
    assert abs(len(rows) - DIGIT_HEIGHT) <= 1
    assert abs(rows.mean() + 0.5 - HEIGHT / 2) <= 1
    assert strip.band.top == pytest.approx(top, abs=0.02 * height)
    assert strip.band.bottom == pytest.approx(bottom, abs=0.02 * height)


@pytest.mark.parametrize("height", [60, 100, 700])
def test_ink_maps_back_to_the_source_pixels_it_came_from(height):
    page = np.full((height, 500), 230, np.uint8)
    left, top, right, bottom = 203, round(0.25 * height), 212, round(0.8 * height)
    page[top:bottom, left:right] = 30
    strip = normalize(page).strip()
    box = strip.ink_box(0, strip.pixels.shape[1])
    pixel = 1 / min(strip.scale_x, strip.scale_y)  # of the strip, in the source
    for found, true in zip(
        (box.left, box.top, box.right, box.bottom), (left, top, right, bottom), strict=True
    ):
        assert found == pytest.approx(true, abs=1.5 * pixel)


def test_a_box_without_ink_is_the_height_of_the_text():
    strip = normalize(page_with_bars()).strip()
    box = strip.ink_box(MARGIN + 1, MARGIN + 4)
    assert box.bottom - box.top == pytest.approx(DIGIT_HEIGHT / strip.scale_y)


def test_rules_are_removed_and_the_strokes_that_cross_them_stay():
    plain = page_with_bars()
    ruled = plain.copy()
    ruled[80:82] = 60
    ruled[50:52] = 60  # right through the digits
    difference = np.abs(
        normalize(plain).strip().pixels.astype(int) - normalize(ruled).strip().pixels
    )
    assert (difference > 128).mean() < 0.01


def test_rules_are_found_as_lines_alone():
    mask = np.zeros((60, 300), bool)
    mask[40:42] = True
    mask[10:55, 100:106] = True
    rules = find_rules(mask).mask
    assert rules[40:42, :95].all()
    assert not rules[10:39].any()
    assert not rules[10:55, 101:105].any()


@pytest.mark.parametrize("paper", [0, 128, 255])
def test_a_blank_page_gives_a_strip_of_zeros(paper):
    strip = normalize(np.full((50, 200), paper, np.uint8)).strip()
    assert not strip.pixels.any()
    assert (strip.band.top, strip.band.bottom) == (0, 50)


def test_faint_grain_is_no_ink():
    rng = np.random.default_rng(0)
    page = np.clip(rng.normal(220, 3, (80, 300)), 0, 255).astype(np.uint8)
    assert not find_ink(remove_background(page, Polarity.DARK_ON_LIGHT)).any()


def test_faint_ink_is_as_bright_as_strong_ink():
    strong, faint = normalize(page_with_bars()), normalize(page_with_bars(paper=220, ink=180))
    assert strong.pixels.max() == faint.pixels.max() == 255


def test_one_tall_stroke_or_a_dot_does_not_decide_the_band():
    mask = np.zeros((100, 400), bool)
    for x in range(40, 360, 40):
        mask[40:70, x : x + 12] = True
    band = band_of(mask)
    mask[10:95, 370:374] = True  # a tall stroke
    mask[66:70, 20:24] = True  # a dot
    assert band_of(mask) == band == (40, 70)


def test_a_level_stroke_alone_is_no_text():
    mask = np.zeros((60, 200), bool)
    mask[40:43, 20:90] = True
    assert band_of(mask) is None
    mask[10:30, 120:125] = True
    assert band_of(mask) == (10, 30)


def test_small_digits_that_hold_together_are_text():
    mask = np.zeros((192, 600), np.uint8)
    for left in range(40, 120, 10):
        cv2.ellipse(mask, (left, 96), (5, 6), 0, 0, 360, 1, 2)
    assert band_of(mask > 0) == (89, 104)


def test_pieces_of_removed_lines_are_no_text():
    mask = np.zeros((60, 200), bool)
    mask[50:54, 20:23] = True
    assert band_of(mask, ruled=True) is None
    assert band_of(mask) == (50, 54)


def test_a_small_page_is_not_taken_for_paper_where_ink_meets_its_edge():
    page = np.full((30, 40), 240, np.uint8)
    page[:, 18:23] = 20
    assert find_polarity(page) is Polarity.DARK_ON_LIGHT
    assert normalize(page).strip().pixels.max() == 255


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70))),
)
def test_any_page_gives_a_strip_with_room_at_its_ends(page):
    strip = normalize(page).strip()
    height, width = strip.pixels.shape
    assert height == HEIGHT
    assert width >= 2 * MARGIN + 1
    assert not strip.pixels[:, :MARGIN].any()
    assert not strip.pixels[:, -MARGIN:].any()
    assert strip.source_point(MARGIN, 0)[0] == pytest.approx(0)
    assert strip.source_point(width - MARGIN, 0)[0] == pytest.approx(page.shape[1])


def test_size_of_the_scan_hardly_changes_the_strip():
    page = decode((STRIPS / "amount-blue-ink.jpg").read_bytes()).gray
    double = cv2.resize(page, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    small, large = normalize(page).strip().pixels, normalize(double).strip().pixels
    width = min(small.shape[1], large.shape[1])
    assert abs(small.shape[1] - large.shape[1]) <= 3
    correlation = np.corrcoef(small[:, :width].ravel(), large[:, :width].ravel())[0, 1]
    assert correlation > 0.9


@pytest.mark.parametrize("shape", [(1, 50_000), (100, 20_000)])
def test_specks_do_not_blow_a_page_up(shape):
    page = np.full(shape, 240, np.uint8)
    page[shape[0] // 2, 10::40] = 0
    assert normalize(page).strip().pixels.shape[1] <= 4 * shape[1] + 2 * MARGIN


@pytest.mark.parametrize("aspect", [0.25, 0.48, 1.0, 1.9, 4.0])
@pytest.mark.parametrize("rows", [40, 150, 700])
def test_extents_are_in_the_source_image_whatever_the_shape_of_its_pixels(aspect, rows):
    top, bottom = round(rows * 0.3), round(rows * 0.7)
    stroke, columns = round((bottom - top) / aspect / 4) + 3, round(rows * 4 / aspect)
    gray = np.full((rows, columns), 255, np.uint8)
    for left in (columns // 4, columns // 2):
        gray[top:bottom, left : left + stroke] = 0
    strip = normalize(gray, aspect).strip()
    box = strip.ink_box(0, strip.pixels.shape[1])
    down, across = 1 / strip.scale_y, 1 / strip.scale_x  # source pixels to one of the strip
    assert (strip.source_width, strip.source_height) == (columns, rows)
    assert (box.top, box.bottom) == pytest.approx((top, bottom), abs=down + 1)
    ends = (columns // 4, columns // 2 + stroke)
    assert (box.left, box.right) == pytest.approx(ends, abs=across + 1)
    assert across / down == pytest.approx(1 / aspect, rel=0.05)


def test_making_pixels_square_never_adds_columns():
    for aspect in (0.25, 0.5, 2.0, 4.0):
        for height in (8, 100, 1000):
            page = shrink(np.full((height, 300), 255, np.uint8), aspect)
            assert page.shape[1] <= 300
            assert page.shape[0] <= WORKING_HEIGHT
            if page.shape[0] > 1:
                square = page.shape[1] / page.shape[0]
                assert square == pytest.approx(300 * aspect / height, rel=0.1)


def test_a_line_keeps_the_page_it_was_found_on_and_what_was_erased_there():
    gray = np.full((400, 1600), 230, np.uint8)
    gray[100:280, 801:831] = 30
    gray[320:328] = 60
    page = normalize(gray).page
    rows, columns = np.nonzero(page.mask)
    corners = [[columns.min(), columns.max() + 1], [rows.min(), rows.max() + 1], [1, 1]]
    (left, right), (top, bottom) = page.to_source @ np.array(corners)
    assert (left, top, right, bottom) == pytest.approx((801, 100, 831, 280), abs=5)
    assert page.erased.any(axis=0).all()
    assert not (page.mask & page.erased).any()
