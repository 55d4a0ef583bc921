import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.recognition.normalize import normalize
from training.config import Config, StripConfig
from training.networks import NONE, RECEPTIVE_FIELD, STRIDE
from training.pages.strips import (
    IGNORED,
    MARGIN,
    Strip,
    Style,
    clutter,
    compose,
    position_labels,
    random_page,
    random_strip,
    soil,
    to_page,
    training_strip,
    with_ghost,
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


# --- made pages

EVERYTHING = "1125900710"  # what some effect or other needs: 1, 2, 5, 7, 9, zeros side by side
OFF = StripConfig.only()


def pages_of(digits, config, seeds=range(6)):
    return [random_page(digits, rng_of(seed), config, EVERYTHING) for seed in seeds]


def test_a_page_is_decided_by_its_generator(digits):
    first, same, other = (random_page(digits, rng_of(seed), StripConfig()) for seed in (1, 1, 2))
    assert first.text == same.text
    np.testing.assert_array_equal(first.gray, same.gray)
    assert first.gray.shape != other.gray.shape or (first.gray != other.gray).any()


def test_a_page_is_gray_dark_on_light_and_as_large_as_scans_of_fields_are(digits):
    for seed in SEEDS:
        page = random_page(digits, rng_of(seed), StripConfig())
        height, width = page.gray.shape
        assert page.gray.dtype == np.uint8
        assert 15 <= height <= 140
        assert 8 <= width <= 1000
        assert np.median(page.gray) > page.gray.min() + 20


TEXTS = {"small", "outer_ones", "blank", "lone"}  # switches that decide what is written


@pytest.mark.parametrize("effect", sorted(set(StripConfig.switches()) - TEXTS))
def test_every_switch_changes_pages_and_never_their_text(digits, effect):
    needed = ("small_zeros",) if effect == "raised_zeros" else ()
    off = pages_of(digits, StripConfig.only(*needed))
    on = pages_of(digits, StripConfig.only(*needed, effect))
    assert {page.text for page in on} == {EVERYTHING}
    assert any(
        before.gray.shape != after.gray.shape or (before.gray != after.gray).any()
        for before, after in zip(off, on, strict=True)
    )


def test_with_every_switch_off_a_page_is_even_paper_and_even_ink(digits):
    for page in pages_of(digits, OFF):
        paper, ink = np.median(page.gray), page.gray.min()
        assert ((page.gray == paper) | (page.gray == ink)).mean() > 0.7
        assert (page.gray <= paper).all()


def test_with_every_switch_on_a_page_can_still_be_made(digits):
    config = StripConfig.only(*StripConfig.switches())
    for seed in SEEDS:
        assert random_page(digits, rng_of(seed), config).gray.std() > 0


def test_a_cell_is_as_low_as_a_photograph_leaves_it(digits):
    heights = [page.gray.shape[0] for page in pages_of(digits, StripConfig.only("cell"), SEEDS)]
    assert max(heights) <= 64
    assert 0.4 < np.mean(np.array(heights) == 34) < 0.8


def test_a_page_that_cuts_digits_off_has_ink_at_its_upper_or_lower_edge(digits):
    config = dataclasses.replace(StripConfig.only("cut_off"), margins=(0.3, 0.5))
    cut = [
        (np.concatenate([page.gray[0], page.gray[-1]]) < np.median(page.gray) - 20).any()
        for page in pages_of(digits, config, SEEDS)
    ]
    assert np.mean(cut) > 0.7


def test_a_ghost_is_fainter_than_the_writing_and_right_of_it():
    cover = np.zeros((40, 60), np.float32)
    cover[10:30, 8:50] = 1
    for seed in SEEDS:
        page = with_ghost(cover, 20, rng_of(seed))
        assert np.array_equal(page[:, :50], cover[:, :50])
        assert page.shape[1] >= 60
        assert 0 < page[:, 51:].max() < 0.35


def test_paper_without_writing_has_no_ghost():
    blank = np.zeros((40, 60), np.float32)
    assert with_ghost(blank, 20, rng_of(0)) is blank


def test_a_digitizer_s_page_is_white(digits):
    for page in pages_of(digits, StripConfig.only("white")):
        assert np.median(page.gray) == 255


def test_a_washed_page_has_less_contrast(digits):
    def contrast(config):
        return np.mean([np.ptp(page.gray.astype(int)) for page in pages_of(digits, config)])

    assert contrast(StripConfig.only("washed")) < 0.8 * contrast(OFF)


def test_a_blank_page_has_no_text_and_no_ink(digits):
    page = random_page(digits, rng_of(3), StripConfig.only("blank"))
    assert page.text == ""
    assert np.ptp(page.gray) == 0


def test_a_page_of_lone_marks_has_ink_and_no_text(digits):
    for seed in SEEDS:
        page = random_page(digits, rng_of(seed), StripConfig.only("lone"))
        assert page.text == ""
        assert np.ptp(page.gray) > 20


def test_pages_of_the_other_two_kinds_can_be_made_and_read_as_scans(digits):
    for config in (StripConfig.cells(), StripConfig.digitized()):
        for seed in range(20):
            page = random_page(digits, rng_of(seed), config)
            assert page.gray.dtype == np.uint8
            shortest = 0 if config.blank or config.lone else config.digits[0]
            assert shortest <= len(page.text) <= config.digits[1]
            normalize(page.gray)


def test_a_tight_page_is_smaller_than_a_loose_one(digits):
    loose = [page.gray.size for page in pages_of(digits, OFF)]
    tight = [page.gray.size for page in pages_of(digits, StripConfig.only("tight"))]
    assert sum(tight) < sum(loose)


def test_a_neighboring_line_s_strokes_come_in_at_the_upper_or_lower_border(digits):
    peeking = {True: 0, False: 0}
    for strange in (True, False):
        effects = ["stranger"] if strange else []
        config = dataclasses.replace(StripConfig.only(*effects), margins=(0.3, 0.5))
        for page in pages_of(digits, config, SEEDS):
            borders = np.concatenate([page.gray[0], page.gray[-1]])
            peeking[strange] += bool((borders < np.median(page.gray) - 20).any())
    assert peeking[False] == 0
    assert peeking[True] > len(SEEDS) / 2


def test_normalization_finds_the_digits_of_a_plain_page(digits):
    for page in pages_of(digits, OFF):
        strip = normalize(page.gray)
        assert strip.pixels.any()
        assert strip.band.bottom - strip.band.top > 0.3 * page.gray.shape[0]
