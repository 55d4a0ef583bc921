import dataclasses

import numpy as np
import pytest

from service.recognition.normalize import normalize
from training.config import StripConfig
from training.pages.page import random_page, with_ghost

SEEDS = range(60)


def rng_of(seed):
    return np.random.default_rng(seed)


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
