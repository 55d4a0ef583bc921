import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.lecture.equivariance import LAYERS, inexactness, moved, registration


def bumps(width=64, rows=3):
    rng = np.random.default_rng(1)
    columns = np.arange(width)
    centers = rng.uniform(24, 40, (rows, 1))
    return np.exp(-0.5 * ((columns - centers) / 2.5) ** 2)


@settings(max_examples=30)
@given(shift=st.integers(-800, 800))
def test_registration_finds_a_shift_to_a_hundredth_of_a_unit(shift):
    maps = bumps()
    assert registration(maps, moved(maps, shift / 100)) == pytest.approx(shift / 100, abs=0.011)


def test_maps_that_did_not_move_are_registered_at_0():
    assert registration(bumps(), bumps()) == pytest.approx(0, abs=1e-9)


def test_a_whole_move_is_a_roll_and_back_again_nothing_is_left():
    maps = bumps()
    np.testing.assert_allclose(moved(maps, 5), np.roll(maps, 5, axis=-1), atol=1e-6)
    assert inexactness(maps, np.roll(maps, 5, axis=-1), 5) < 1e-6
    assert inexactness(maps, np.roll(maps, 5, axis=-1), 4) > 0.1


def test_the_layers_fields_and_strides_fold_from_the_network():
    assert LAYERS == {
        "conv 1": (5, 1),
        "pool 1": (6, 2),
        "conv 2": (14, 2),
        "pool 2": (16, 4),
        "fc 1": (32, 4),
        "scores": (32, 4),
    }


def test_maps_move_as_far_as_their_stride_says(quick):
    slopes = quick.figures(5)["slopes"]
    for name, (_, stride) in LAYERS.items():
        assert slopes[name]["mean"] == pytest.approx(1 / stride, abs=0.02), name


def test_a_move_is_exact_at_multiples_of_the_stride_only(quick):
    rest = quick.figures(5)["rest"]
    assert max(rest["conv 1"]) < 0.01
    for name in ("pool 2", "scores"):
        assert rest[name][4] < 0.01
        assert rest[name][2] > 0.05


def test_only_padded_borders_break_a_move_by_one_stride(quick):
    borders = quick.figures(5)["borders"]
    assert borders["padded"][0] > 0.05
    assert borders["padded"][-1] > 0.05
    assert max(borders["padded"][3:-3]) < 0.01
    assert max(borders["unpadded"]) < 0.01
