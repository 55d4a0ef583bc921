import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config import Config
from training.networks import NONE, RECEPTIVE_FIELD, STRIDE
from training.pages.strips import (
    IGNORED,
    MARGIN,
    Strip,
    Style,
    clutter,
    compose,
    position_labels,
    random_strip,
    soil,
    to_page,
    training_strip,
)

SEEDS = range(60)


def rng_of(seed):
    return np.random.default_rng(seed)


def bar(first, last, row=0):
    """Ink in the columns [first, last), four rows of it: overlapping bars can be distinguished."""
    image = np.zeros((32, 32), np.uint8)
    image[4 * row : 4 * row + 4, first:last] = 255
    return image


def ink_of_row(strip, row):
    columns = np.flatnonzero(strip.pixels[4 * row])
    return int(columns[0]), int(columns[-1]) + 1


def gaps_of(ends):
    return [after[0] - before[1] for before, after in itertools.pairwise(ends)]


def strip_of(centers, digits=None):
    digits = range(len(centers)) if digits is None else digits
    pixels = np.zeros((32, 400), np.uint8)
    return Strip(pixels, np.array(list(digits), np.int64), np.array(centers, np.float64))


# --- composing


@pytest.mark.parametrize("lead", [MARGIN, 0, 7])
def test_the_first_digit_s_ink_begins_after_the_lead(lead):
    strip = compose([bar(11, 20)], [3], [], lead)
    assert ink_of_row(strip, 0) == (lead, lead + 9)


@pytest.mark.parametrize("gap", [12, 5, 1, 0, -1, -4])
def test_the_ink_of_neighbors_is_as_far_apart_as_asked(gap):
    images = [bar(10, 20, row=0), bar(12, 18, row=1), bar(8, 24, row=2)]
    strip = compose(images, [1, 2, 3], [gap, gap])
    ends = [ink_of_row(strip, row) for row in range(3)]
    assert gaps_of(ends) == [gap, gap]
    assert [last - first for first, last in ends] == [10, 6, 16]


def test_broken_gaps_are_kept_to_half_a_pixel():
    gaps = [1.3, 1.3, 1.3, 1.3, -0.7, 2.5]
    strip = compose([bar(12, 20, row) for row in range(7)], [0] * 7, gaps)
    ends = [ink_of_row(strip, row) for row in range(7)]
    assert np.abs(np.subtract(gaps_of(ends), gaps)).max() <= 0.5


def test_a_center_is_the_middle_of_its_digit_s_window():
    images = [bar(12, 20, row=0), bar(10, 22, row=1), bar(15, 17, row=2)]  # all in the middle
    strip = compose(images, [7, 8, 9], [3, 4])
    middles = [sum(ink_of_row(strip, row)) / 2 for row in range(3)]
    assert strip.centers.tolist() == middles


def test_a_strip_ends_a_margin_after_its_last_ink():
    strip = compose([bar(12, 20), bar(12, 20, row=1)], [0, 1], [6])
    assert strip.pixels.shape == (32, MARGIN + 8 + 6 + 8 + MARGIN)


def test_a_strip_is_never_narrower_than_one_window():
    assert compose([bar(15, 17)], [1], [], lead=0).pixels.shape == (32, RECEPTIVE_FIELD)


def test_however_deep_the_overlap_the_centers_keep_their_order_a_stride_apart():
    strip = compose([bar(12, 20)] * 4, [1, 2, 3, 4], [-40, -40, -40])
    assert np.diff(strip.centers).tolist() == [STRIDE] * 3


def test_overlapping_ink_adds_up_and_erases_nothing():
    faint = bar(12, 20) // 2
    strip = compose([bar(12, 20), faint], [1, 2], [-4])
    assert strip.pixels[0, MARGIN : MARGIN + 12].tolist() == [255] * 8 + [127] * 4


def test_the_text_spells_the_digits_from_left_to_right():
    assert compose([bar(12, 20)] * 4, [0, 0, 9, 5], [1, 1, 1]).text == "0095"


def test_one_gap_too_many_is_refused():
    with pytest.raises(ValueError, match="zip"):
        compose([bar(12, 20)] * 2, [1, 2], [1, 1])


def test_a_random_strip_shows_digits_of_its_set_in_order(digits):
    for seed in range(10):
        strip = random_strip(digits, rng_of(seed), 6, Config())
        assert len(strip.text) == 6
        assert (np.diff(strip.centers) >= STRIDE).all()
        for digit, center in zip(strip.digits, strip.centers, strict=True):
            left = int(center) - 16
            window = np.pad(strip.pixels, ((0, 0), (32, 32)))[:, left + 32 : left + 64]
            same = digits.images[digits.labels == digit]
            assert (same <= window).all(axis=(1, 2)).any()


# --- labels


@pytest.mark.parametrize(
    ("distance", "label"),
    [
        (0, 7),
        (1.5, 7),
        (2, 7),
        (2.01, IGNORED),
        (3, IGNORED),
        (4, IGNORED),
        (4.01, NONE),
        (8, NONE),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_a_position_s_label_goes_by_its_distance_from_the_digit(distance, label, side):
    looked_at = 3 * STRIDE + RECEPTIVE_FIELD / 2
    assert position_labels(strip_of([looked_at + side * distance], [7]), 10)[3] == label


def test_the_labels_of_a_whole_strip_by_hand():
    # Positions look at the columns 16, 20, 24, 28, 32, 36, 40, 44, 48.
    labels = position_labels(strip_of([16, 30, 41], [4, 0, 4]), 9)
    assert labels.tolist() == [4, IGNORED, NONE, 0, 0, NONE, 4, IGNORED, NONE]


def test_between_touching_digits_each_position_takes_the_nearer_one():
    labels = position_labels(strip_of([20, 25, 29], [1, 2, 3]), 6)
    assert labels.tolist() == [IGNORED, 1, 2, 3, IGNORED, NONE]


def test_a_strip_without_digits_is_none_throughout():
    assert position_labels(strip_of([]), 5).tolist() == [NONE] * 5


def test_a_digit_beyond_the_last_position_labels_nothing():
    assert position_labels(strip_of([100], [3]), 5).tolist() == [NONE] * 5


@settings(deadline=None)  # a busy machine is no fault of the labels
@given(
    st.integers(16 * 8, 48 * 8),
    st.lists(st.integers(STRIDE * 8, 30 * 8), max_size=8),
)
def test_every_digit_is_answered_for_by_a_position_whatever_its_offset(first, distances):
    centers = np.cumsum([first, *distances]) / 8  # eighths of a pixel, at least a stride apart
    strip = strip_of(centers)
    labels = position_labels(strip, int(centers[-1]) // STRIDE)
    assert [int(label) for label in dict.fromkeys(labels[labels >= 0]) if label != NONE] == list(
        range(len(centers))
    )


@settings(deadline=None)  # a busy machine is no fault of the labels
@given(st.integers(16 * 8, 48 * 8), st.lists(st.integers(61, 30 * 8), max_size=8))
def test_a_label_is_a_digit_only_within_half_a_stride_of_its_center(first, distances):
    centers = np.cumsum([first, *distances]) / 8
    for position, label in enumerate(position_labels(strip_of(centers), 60)):
        nearest = np.abs(centers - (position * STRIDE + 16)).min()
        assert (label not in (NONE, IGNORED)) == (nearest <= STRIDE / 2)
        assert (label == NONE) == (nearest > STRIDE)


# --- training strips


@pytest.mark.parametrize("width", [64, 96, 256, 300])
def test_a_training_strip_has_exactly_the_width_of_the_config(digits, width):
    config = dataclasses.replace(Config(), strip_width=width)
    for seed in range(8):
        strip = training_strip(digits, rng_of(seed), config)
        assert strip.pixels.shape == (32, width)
        assert strip.pixels.dtype == np.uint8
        assert len(strip.digits) == len(strip.centers) > 0


def test_a_training_strip_is_decided_by_its_generator(digits, config):
    strips = [training_strip(digits, rng_of(seed), config) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(strips[0].pixels, strips[1].pixels)
    np.testing.assert_array_equal(strips[0].centers, strips[1].centers)
    assert (strips[0].pixels != strips[2].pixels).any()


def test_a_training_strip_has_ink_where_its_digits_are_centered(digits, config):
    for seed in range(20):
        strip = training_strip(digits, rng_of(seed), config)
        for center in strip.centers[(strip.centers > 16) & (strip.centers < 80)]:
            window = strip.pixels[:, int(center) - 10 : int(center) + 10]
            assert window.max() > 100


def test_clutter_only_adds_ink_and_leaves_the_strip_as_it_was(digits):
    for seed in SEEDS:
        strip = random_strip(digits, rng_of(seed), 6, dataclasses.replace(Config(), gap_max=30))
        before = strip.pixels.copy()
        cluttered = clutter(strip.pixels, strip, rng_of(seed))
        assert cluttered.shape == before.shape
        assert (cluttered >= before).all()
        np.testing.assert_array_equal(strip.pixels, before)


def test_clutter_is_added_to_some_strips_and_not_to_all(digits):
    strip = random_strip(digits, rng_of(0), 6, dataclasses.replace(Config(), gap_max=30))
    changed = [(clutter(strip.pixels, strip, rng_of(seed)) != strip.pixels).any() for seed in SEEDS]
    assert 0 < sum(changed) < len(SEEDS)


def test_clutter_leaves_digits_that_touch_without_marks_between_them():
    strip = compose([bar(12, 20, row=3)] * 5, [1] * 5, [0] * 4)
    for seed in SEEDS:
        added = clutter(strip.pixels, strip, rng_of(seed)) != strip.pixels
        assert not added[6:26].any()  # a rule above or below may come


def test_soil_fades_ink_by_no_more_than_four_tenths():
    even = np.full((32, 200), 200, np.uint8)
    levels = [soil(even, rng_of(seed)).mean() for seed in SEEDS]
    assert 0.6 * 200 - 1 < min(levels) < 0.7 * 200
    assert 0.9 * 200 < max(levels) < 200.5


def test_soil_adds_grain_to_about_half_the_strips_and_leaves_its_input():
    even = np.full((32, 200), 200, np.uint8)
    grainy = [soil(even, rng_of(seed)).std() > 0 for seed in SEEDS]
    assert len(SEEDS) / 4 < sum(grainy) < len(SEEDS) * 3 / 4
    assert (even == 200).all()


# --- pages


def test_a_page_is_dark_ink_on_light_paper_at_the_style_s_zoom():
    strip = compose([bar(12, 20, row=4)], [1], [])
    style = Style(zoom=3, margin=5)
    page = to_page(strip, style, rng_of(0))
    width = strip.pixels.shape[1]
    assert page.shape == (3 * (32 + 2 * 5), 3 * width, 3)
    assert page.dtype == np.uint8
    row, column = 3 * (5 + 18), 3 * (MARGIN + 4)
    assert np.abs(page[row, column].astype(int) - style.ink).max() < 30
    assert np.abs(page[:30].mean(axis=(0, 1)) - style.paper).max() < 3
