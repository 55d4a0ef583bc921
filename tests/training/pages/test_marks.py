import cv2
import numpy as np
import pytest

from training.config import StripConfig
from training.pages import marks, stroke_effects

EVERY = sorted(
    {
        mark
        for kinds in (
            marks.SEPARATORS,
            marks.TRAILING,
            marks.LEADING,
            marks.CURRENCY,
            marks.STRAY,
            marks.LONE,
        )
        for mark, _ in kinds
    }
    | {marks.slash},
    key=lambda mark: mark.__name__,
)


@pytest.mark.parametrize("mark", EVERY, ids=lambda mark: mark.__name__)
def test_a_mark_begins_at_0_and_keeps_to_its_line(mark):
    for seed in range(20):
        strokes = mark(np.random.default_rng(seed))
        assert strokes.dtype == np.float32
        assert strokes.shape[1:] == (2, 2)
        assert -0.25 < strokes[..., 0].min() < 0.15
        assert strokes[..., 1].min() > -1.7
        assert strokes[..., 1].max() < 0.5


@pytest.mark.parametrize(
    ("mark", "top", "bottom"),
    [
        (marks.dot, -0.15, 0.15),
        (marks.comma, -0.15, 0.4),
        (marks.apostrophe, -1.15, -0.6),
        (marks.dash, -0.9, 0.2),
    ],
)
def test_a_small_mark_has_its_place(mark, top, bottom):
    for seed in range(40):
        strokes = mark(np.random.default_rng(seed))
        assert top < strokes[..., 1].min() <= strokes[..., 1].max() < bottom


def test_a_slash_leans_further_than_digits_do_so_that_it_is_no_1():
    for seed in range(40):
        strokes = marks.slash(np.random.default_rng(seed))
        width, height = np.ptp(strokes.reshape(-1, 2), axis=0)
        assert height > 1.05
        assert width > 0.28 * height


def test_slashes_after_an_amount_lean_so_that_they_are_no_ones():
    for seed in range(40):
        for stroke in marks.slashes(np.random.default_rng(seed)):
            (width, height) = np.abs(stroke[1] - stroke[0])
            assert width > 0.2 * height


def test_a_blot_is_filled_by_the_thinnest_pen():
    thinnest, tall = StripConfig().pen[0], 100
    for seed in range(20):
        strokes = marks.blot(np.random.default_rng(seed))
        moved = (strokes + np.array([0.1, 1.5], np.float32)) * tall
        cover = stroke_effects.ink([moved], (3 * tall, 2 * tall), thinnest * tall)
        _, outline = cv2.threshold(np.uint8(255 * cover), 127, 255, cv2.THRESH_BINARY)
        edges, _ = cv2.findContours(outline, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        assert len(edges) == 1  # one outline, and no hole in it


def test_a_thicker_pen_goes_over_some_marks_and_not_over_all():
    single = marks.curve([(0, 0), (0.3, -1)])
    sizes = {len(marks.thickened(single, np.random.default_rng(seed))) for seed in range(20)}
    assert sizes == {len(single), 4 * len(single)}


def test_a_mark_is_chosen_by_its_share():
    rng = np.random.default_rng(0)
    kinds = ((marks.dot, 3.0), (marks.dash, 1.0))
    dots = sum(marks.choose(kinds, rng) is marks.dot for _ in range(1000))
    assert 700 < dots < 800
