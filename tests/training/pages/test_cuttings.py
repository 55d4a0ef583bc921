import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from service.recognition.views import FIELD, MARGIN
from training.config import StripConfig
from training.data.scans import LabeledLine, LineSet
from training.pages.cuttings import Cuttings, clearest, cut, set_line, upright, written_over
from training.pages.page import cut_page

OFF = StripConfig.only()


def rng_of(seed):
    return np.random.default_rng(seed)


def line_of(text, touching=False):
    """A line whose digits are bars, the wider the greater, 24 pixels apart."""
    width = 2 * MARGIN + 24 * len(text)
    pixels = np.zeros((FIELD, width), np.uint8)
    for index, digit in enumerate(text):
        center = MARGIN + 12 + 24 * index
        pixels[14:34, center - 2 - int(digit) // 2 : center + 2 + int(digit) // 2] = 255
    if touching:
        pixels[20:26, MARGIN + 12 : width - MARGIN - 12] = 255
    return LabeledLine(pixels, 0.0, text)


class Reader:
    """Says the text that it is given, each digit at its bar."""

    metadata = SimpleNamespace(none=10, center=lambda position: position * 4 + 16)

    def __init__(self, text, sure=0.9):
        self.text, self.sure = text, sure

    def score(self, strip):
        positions = (strip.shape[1] - 32) // 4 + 1
        scores = np.full((1, positions, 11), np.log(0.001), np.float32)
        scores[0, :, 10] = np.log(0.9)
        for index, digit in enumerate(self.text):
            at = round((FIELD // 4 + MARGIN + 12 + 24 * index - 16) / 4)
            scores[0, at] = np.log(0.001)
            scores[0, at, int(digit)] = np.log(self.sure)
        return scores


@pytest.fixture(scope="module")
def cuttings():
    lines = [line_of("01234"), line_of("56789")]
    parts = [Cuttings.of(LineSet.of([line]), Reader(line.text)) for line in lines]
    return Cuttings(
        np.concatenate([part.pixels for part in parts], axis=1),
        np.concatenate([parts[0].starts, parts[0].starts[-1] + parts[1].starts[1:]]),
        np.concatenate([part.labels for part in parts]),
    )


def test_a_line_that_is_read_right_is_cut_into_its_digits():
    pieces = list(cut(line_of("384"), Reader("384")))
    assert [label for _, label in pieces] == [3, 8, 4]
    assert [image.shape for image, _ in pieces] == [(FIELD, 6), (FIELD, 12), (FIELD, 8)]
    assert all(image[14:34].all() for image, _ in pieces)


@pytest.mark.parametrize("reader", [Reader("385"), Reader("38"), Reader("384", sure=0.5)])
def test_a_line_that_is_read_wrong_or_unsurely_is_not_cut(reader):
    assert list(cut(line_of("384"), reader)) == []


def test_digits_that_touch_are_not_cut_apart():
    assert list(cut(line_of("384", touching=True), Reader("384"))) == []


def test_the_slant_is_taken_away_before_cutting():
    leaning = np.zeros((FIELD, 80), np.uint8)
    for row in range(14, 34):
        left = 40 + round(0.5 * (24 - row))
        leaning[row, left : left + 3] = 255
    columns = (upright(LabeledLine(leaning, 0.5, "1")) > 128).any(axis=0)
    assert columns.sum() <= 5
    steep = LabeledLine(leaning, 1.4, "1")  # no hand leans so far: a wrong estimate
    assert (upright(steep) > 128).any(axis=0).sum() > 10


def test_the_clearest_column_is_the_middle_of_the_clear_ones():
    ink = np.array([9, 9, 0, 0, 0, 9, 500], np.int64)
    assert clearest(ink, 0, 7) == 3
    assert clearest(ink, -5, 2) in (0, 1)
    assert clearest(ink, 30, 40) == 6


def test_cuttings_of_lines_that_cannot_be_cut_are_none():
    none = Cuttings.of(LineSet.of([line_of("12")]), Reader("99"))
    assert len(none) == 0
    assert not none.complete()


def test_ten_classes_are_complete(cuttings):
    assert len(cuttings) == 10
    assert cuttings.complete()


def test_a_set_line_shows_its_digits_from_left_to_right(cuttings):
    cover = set_line("191", cuttings, rng_of(0), OFF)
    assert cover.dtype == np.float32
    assert 0 <= cover.min() <= cover.max() <= 1
    columns = (cover > 0.5).any(axis=0).astype(int)
    runs = np.flatnonzero(np.diff(np.concatenate([[0], columns, [0]])))
    widths = runs[1::2] - runs[::2]
    assert len(widths) == 3
    assert widths[1] > max(widths[0], widths[2])


def test_a_set_line_is_decided_by_its_generator(cuttings):
    config = StripConfig()
    first, same, other = (set_line("2024", cuttings, rng_of(n), config) for n in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert first.shape != other.shape or (first != other).any()


def test_strokes_are_written_over_in_the_share_of_lines_that_is_named(cuttings):
    cover = set_line("45", cuttings, rng_of(0), OFF)
    assert written_over(cover, rng_of(1), 0) is cover
    assert (written_over(cover, rng_of(1), 1) != cover).any()


@pytest.mark.parametrize("config", [StripConfig(), StripConfig.cells()])
def test_pages_of_cuttings_are_pages_with_their_text(cuttings, config):
    for seed in range(20):
        page = cut_page(cuttings, rng_of(seed), config)
        assert page.gray.dtype == np.uint8
        assert page.gray.std() > 0
        assert page.text.isdigit()


def test_a_cutting_in_a_cell_is_no_higher_than_the_cell(cuttings):
    config = dataclasses.replace(StripConfig.only("cell"), digits=(1, 3))
    assert max(cut_page(cuttings, rng_of(n), config).gray.shape[0] for n in range(30)) <= 64
