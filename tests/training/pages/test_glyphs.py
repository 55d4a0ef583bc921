import numpy as np
import pytest

from training.pages.glyphs import SHAPES, curve, drawn


def test_every_digit_has_several_shapes():
    assert sorted(SHAPES) == list(range(10))
    assert min(len(shapes) for shapes in SHAPES.values()) >= 3


@pytest.mark.parametrize("digit", range(10))
def test_a_drawn_digit_is_about_as_high_as_a_line_and_stands_on_it(digit):
    for seed in range(20):
        points = drawn(digit, np.random.default_rng(seed)).reshape(-1, 2)
        assert 0.85 < np.ptp(points[:, 1]) < 1.25
        assert abs(points[:, 1].max()) < 0.15


def test_a_drawn_digit_is_decided_by_its_generator_and_never_twice_the_same():
    first, same, other = (drawn(8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert first.shape != other.shape or (first != other).any()


def test_a_curve_goes_through_its_points_in_one_piece():
    points = [(0, 0), (1, 0.5), (0.2, 1), (0, 2)]
    segments = curve(points)
    np.testing.assert_array_equal(segments[1:, 0], segments[:-1, 1])
    for point in points:
        assert np.abs(segments.reshape(-1, 2) - point).sum(axis=1).min() < 1e-6


def test_a_curve_through_two_points_is_one_segment():
    np.testing.assert_array_equal(curve([(0, 0), (3, 4)]), [[[0, 0], [3, 4]]])
