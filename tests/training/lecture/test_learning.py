import math

import numpy as np
import pytest
import torch
from torch import nn

from training.lecture.learning import (
    error,
    initialize,
    interval,
    proportion,
    randomness,
    squared_error,
    tensors,
    train,
)
from training.lecture.wiring import Dense, Shared


def test_an_interval_is_student_s():
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - found.mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_a_share_s_interval_is_wilson_s_over_all_digits_tested():
    found = proportion([0.05, 0.15], 100)
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.06565, 0.14944), abs=1e-4)


def test_one_seed_tells_no_interval():
    assert interval([0.5]).low == -math.inf


def test_paths_of_numbers_have_randomness_of_their_own():
    draws = {
        float(torch.rand(1, generator=randomness(*path)))
        for path in [(1,), (2,), (1, 1), (1, 2), (1, 1, 1)]
    }
    assert len(draws) == 5


@pytest.mark.parametrize("reach", [None, 2.4])
def test_weights_are_drawn_by_what_a_unit_sees(reach):
    net = nn.Sequential(Dense(300, 50), Shared(9, 3, 6, 4, table=[[0, 1, 2]] * 4))
    initialize(net, randomness(1), reach)
    for layer, inputs in zip(net, (300, 27), strict=True):
        bound = math.sqrt(3 / inputs) if reach is None else reach / inputs
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


def test_the_squared_error_is_0_only_at_the_targets():
    targets = torch.tensor([[1.0, -1, -1], [-1, -1, 1]])
    labels = torch.tensor([0, 2])
    assert squared_error(targets, labels) == 0
    assert squared_error(-targets, labels) == 2


def test_training_is_repeatable_and_learns(digits):
    images, labels = tensors(digits.images / 255, digits.labels)

    def trained():
        net = nn.Sequential(Dense(1024, 10))
        initialize(net, randomness(1))
        passes = []
        train(
            net,
            images,
            labels,
            randomness(2),
            passes=3,
            batch=25,
            optimizer=torch.optim.Adam(net.parameters(), 1e-2),
            after_pass=passes.append,
        )
        assert passes == [1, 2, 3]
        return net

    first, second = trained(), trained()
    assert torch.equal(first[0].weight, second[0].weight)
    assert error(first, images, labels) < 0.2


def test_images_become_tensors_as_training_takes_them():
    images, labels = tensors(np.zeros((3, 4, 5), np.uint8), np.array([1, 2, 3], np.uint8))
    assert (images.shape, images.dtype, labels.dtype) == ((3, 1, 4, 5), torch.float32, torch.int64)
