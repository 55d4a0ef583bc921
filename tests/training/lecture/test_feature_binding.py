import numpy as np
import pytest

from training.lecture import shipped
from training.lecture.feature_binding import PATHS, STEP, Hand, crossing, follow, width, write
from training.networks import LABELS


@pytest.fixture(scope="module")
def net():
    return shipped.network()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_path_begins_as_one_digit_and_ends_as_the_other(net, path):
    scores = np.array(follow(net, path, Hand())["scores"])
    assert LABELS[scores[0].argmax()] == path.before
    assert LABELS[scores[-1].argmax()] == path.after


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_stroke_moves_half_a_pixel_a_step_into_its_place(path):
    assert path.distances[0] == path.reach
    assert path.distances[-1] == 0
    np.testing.assert_allclose(np.diff(path.distances), -STEP)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_fixed_strokes_stay(path):
    far, near = (write(path, distance, Hand()) for distance in (60, 0))
    assert (near >= far).all()
    assert near.sum(dtype=int) > far.sum(dtype=int)


def test_hands_differ_and_are_the_seed_s():
    first, again = (Hand.random(np.random.default_rng(1)) for _ in range(2))
    assert first == again
    assert first != Hand()


def test_a_crossing_is_found_between_steps_and_for_good():
    assert crossing(np.array([0.0, 0.2, 0.6, 1.0]), 0.4) == pytest.approx(1.5)
    assert crossing(np.array([0.0, 0.9, 0.1, 0.9]), 0.5) == pytest.approx(2.5)
    assert crossing(np.array([0.9, 0.8]), 0.5) == 0


def test_an_even_rise_is_as_wide_as_its_way():
    assert width(np.linspace(0, 1, 11)) == pytest.approx(8 * STEP)


def test_maps_are_at_the_start_and_at_the_end_of_their_way(net):
    found = follow(net, PATHS[0], Hand())
    for name in ("conv 1", "fc 1"):
        assert found[name][0] == [0]
        assert found[name][-1] == [pytest.approx(1)]
