import numpy as np
import pytest
import torch

from training.lecture.chapter import Setting
from training.lecture.good_for import (
    BOX,
    build,
    correlation,
    permutation,
    permuted,
    permuted_box,
    stationarity,
    strongest,
)
from training.lecture.learning import initialize, randomness, tensors


@pytest.fixture
def setting(tmp_path):
    return Setting(tmp_path, quick=True)


def test_one_permutation_for_all_digits_that_loses_nothing(digits, setting):
    order = permutation(setting)
    mixed = permuted(digits, order)
    back = mixed.images.reshape(len(digits), -1)[:, np.argsort(order)].reshape(digits.images.shape)
    np.testing.assert_array_equal(back, digits.images)
    np.testing.assert_array_equal(mixed.labels, digits.labels)
    assert not np.array_equal(permutation(setting, 1), order)


def test_a_fully_connected_net_with_permuted_weights_cannot_tell(digits, setting):
    order = permutation(setting)
    images, _ = tensors(digits.images[:5] / 255, digits.labels[:5])
    mixed, _ = tensors(permuted(digits, order).images[:5] / 255, digits.labels[:5])
    net = build("fully connected", images)
    initialize(net, randomness(1))
    before = net(images)
    with torch.no_grad():
        net[1].weight.copy_(net[1].weight[:, order].clone())
    torch.testing.assert_close(net(mixed), before, atol=1e-4, rtol=1e-4)


def test_only_the_inked_box_is_permuted_where_pairs_are_compared(digits, setting):
    mixed = permuted_box(digits, setting)
    np.testing.assert_array_equal(
        np.sort(mixed[:, BOX, BOX].reshape(len(digits), -1)),
        np.sort(digits.images[:, BOX, BOX].reshape(len(digits), -1)),
    )


def test_correlation_is_1_at_0_and_noise_has_none_elsewhere():
    noise = np.random.default_rng(1).integers(0, 256, (3000, 32, 32), dtype=np.uint8)
    found = dict(correlation(noise))
    assert found[0] == pytest.approx(1)
    assert max(abs(found[distance]) for distance in range(1, 15)) < 0.02


def test_neighbors_in_digits_are_alike_and_far_pixels_are_not(quick):
    found = quick.figures(9)["correlation"]
    near, mixed = dict(found["as they are"]), dict(found["permuted"])
    assert near[1] > 0.5
    assert 0.3 > near[3] > near[8]
    assert abs(mixed[1]) < 0.15


def test_quarters_of_even_noise_are_alike_and_of_permuted_digits_are_not(quick):
    rng = np.random.default_rng(1)
    grain = rng.normal(0, 1, (200, 34, 34))
    smooth = sum(grain[:, y : y + 32, x : x + 32] for y in range(3) for x in range(3))
    assert stationarity((128 + 20 * smooth).clip(0, 255).astype(np.uint8)) > 0.95
    found = quick.figures(9)["stationarity"]
    assert found["as they are"] > 0.9 > found["permuted"]


def test_a_map_s_strongest_patch_is_where_it_answers():
    maps = np.zeros((9, 28, 28))
    maps[np.arange(9), 3, np.arange(9)] = np.arange(9) + 1
    images = np.zeros((9, 32, 32), np.uint8)
    images[np.arange(9), 3, np.arange(9)] = 7  # the patch's upper left corner
    patches = strongest(maps, images, field=5, stride=1)
    assert patches.shape == (8, 5, 5)
    assert (patches[:, 0, 0] == 7).all()
