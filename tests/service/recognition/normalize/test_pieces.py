"""Steps on pieces of a wide page, against the same steps on the whole page."""

import tracemalloc

import cv2
import numpy as np
import pytest

from service.recognition.normalize import normalize, pieces
from service.recognition.normalize.background import remove_background
from service.recognition.normalize.cut import stretch
from service.recognition.normalize.ink_mask import find_blots, find_ink, stroke_width
from service.recognition.normalize.polarity import find_polarity

WHOLE = pieces.PIECE


@pytest.fixture
def page():
    """Strokes and a shade on noisy paper, 40 rows by 500 columns."""
    rng = np.random.default_rng(1)
    shade = np.linspace(120, 240, 500)[None] + rng.normal(0, 12, (40, 500))
    page = np.clip(shade, 0, 255).astype(np.uint8)
    for left in range(2, 498, 9):
        cv2.line(page, (left, 8), (left + int(rng.integers(-6, 7)), 33), 30, 2)
    return page


@pytest.mark.parametrize("columns", [33, 64, 100, 499])
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_pieces_of_a_page_give_what_the_whole_page_gives(monkeypatch, page, rows, columns):
    page = page[:rows]
    whole = steps(page)
    monkeypatch.setattr(pieces, "PIECE", columns)
    for name, of_pieces in steps(page).items():
        assert np.array_equal(of_pieces, whole[name]), name


def steps(page):
    """What steps make of a page, by their names."""
    polarity = find_polarity(page)
    ink = remove_background(page, polarity)
    mask = ink > 60
    return {
        "polarity": [polarity.value],
        "background": ink,
        "blots": find_blots(page, polarity, mask),
        "stroke width": stroke_width(mask),
        "stretch": stretch(ink.copy()),
    }


def test_pieces_cover_each_column_once():
    page = np.zeros((2, 2 * WHOLE + 5), np.uint8)
    for seen, kept, piece in pieces.pieces(page, 9):
        assert page[:, seen][:, kept].shape == page[:, piece].shape
        page[:, piece] += 1
    assert (page == 1).all()


def test_levels_are_stretched_by_their_own_level_alone():
    rng = np.random.default_rng(2)
    line = rng.integers(0, 256, (48, 60)).astype(np.uint8)
    stretched = stretch(line.copy())
    for level in np.unique(line):
        assert len(np.unique(stretched[line == level])) == 1
    assert stretched.min() == 0
    assert stretched.max() == 255


def test_ink_of_less_contrast_than_is_made_out_is_none():
    page = np.zeros((20, 20), np.uint8)
    assert not find_ink(page).any()
    page[5:9, 5:9] = 11
    assert not find_ink(page).any()
    page[5:9, 5:9] = 12
    assert (find_ink(page) == (page == 12)).all()


def test_normalizing_a_wide_page_holds_few_bytes_of_each_pixel(page):
    wide = np.tile(page, (1, 1000))
    tracemalloc.start()
    try:
        normalize(wide)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * wide.size
