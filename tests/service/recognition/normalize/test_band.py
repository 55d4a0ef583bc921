"""Broken digits count whole where the band is sought."""

import numpy as np
import pytest

from service.recognition.normalize.band import find_band, join_broken
from service.recognition.normalize.ink_mask import boxes

DARK, FAINT = 90, 40  # gray levels above the paper


def broken(gap=4, between=FAINT, lower=8):
    """A digit of 24 rows, from row 6, of which `gap` are faint, or paper."""
    ink = np.zeros((40, 60), np.uint8)
    ink[6 : 30 - lower - gap, 8:20] = DARK
    ink[30 - lower : 30, 10:22] = DARK
    ink[30 - lower - gap : 30 - lower, 12:16] = between
    return ink, ink > FAINT


def band_of(ink, mask):
    return find_band(join_broken(boxes(mask), ink, mask), len(ink))


@pytest.mark.parametrize("gap", [1, 4, 7])
def test_a_digit_that_broke_in_two_is_as_high_as_both_pieces_together(gap):
    ink, mask = broken(gap)
    assert find_band(boxes(mask), len(ink)) != (6, 30)
    assert band_of(ink, mask) == (6, 30)


def test_pieces_with_paper_between_them_stay_apart():
    ink, mask = broken(between=0)
    np.testing.assert_array_equal(join_broken(boxes(mask), ink, mask), boxes(mask))


def test_a_stroke_under_a_digit_is_no_piece_of_it():
    ink, mask = broken(gap=5, lower=2)
    np.testing.assert_array_equal(join_broken(boxes(mask), ink, mask), boxes(mask))


def test_neighbors_are_not_joined():
    ink = np.zeros((40, 60), np.uint8)
    ink[4:16, 8:14], ink[18:30, 15:22], ink[:, 6:24] = DARK, DARK, np.maximum(ink[:, 6:24], FAINT)
    mask = ink > FAINT
    np.testing.assert_array_equal(join_broken(boxes(mask), ink, mask), boxes(mask))


def test_where_there_is_texture_nothing_is_joined():
    ink = np.full((40, 60), FAINT, np.uint8)
    for row in range(0, 36, 5):
        for column in range(0, 54, 6):
            ink[row : row + 3, column : column + 4] = DARK
    mask = ink > FAINT
    np.testing.assert_array_equal(join_broken(boxes(mask), ink, mask), boxes(mask))
