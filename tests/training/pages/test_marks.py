import numpy as np
import pytest

from training.pages import marks

EVERY = sorted(
    {
        mark
        for kinds in (marks.SEPARATORS, marks.TRAILING, marks.LEADING, marks.CURRENCY)
        for mark, _ in kinds
    }
    | {marks.letter},
    key=lambda mark: mark.__name__,
)


@pytest.mark.parametrize("mark", EVERY, ids=lambda mark: mark.__name__)
def test_a_mark_begins_at_0_and_keeps_to_its_line(mark):
    for seed in range(20):
        strokes = mark(np.random.default_rng(seed))
        assert strokes.dtype == np.float32
        assert strokes.shape[1:] == (2, 2)
        assert -0.25 < strokes[..., 0].min() < 0.15
        assert strokes[..., 1].min() > -1.4
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


def test_a_mark_is_chosen_by_its_share():
    rng = np.random.default_rng(0)
    kinds = ((marks.dot, 3.0), (marks.dash, 1.0))
    dots = sum(marks.choose(kinds, rng) is marks.dot for _ in range(1000))
    assert 700 < dots < 800
