import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from training.lecture.kinds import (
    AveragePool,
    Divisive,
    FilterBank,
    LogProbPool,
    LpPool,
    MaxPool,
    ReLU,
    Subtractive,
    Whitening,
    sparsity,
    squares,
)
from training.lecture.learning import initialize, randomness


def noise(*shape, seed=1):
    return torch.randn(shape, dtype=torch.float64, generator=randomness(seed))


def bank(inputs=1, filters=4, kernel=5):
    made = FilterBank(inputs, filters, kernel).double()
    initialize(made, randomness(2))
    return made


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (lambda: Whitening(noise(30, 1, 4, 4)), (2, 1, 4, 4)),
        (Subtractive, (1, 2, 6, 6)),
        (Divisive, (1, 2, 6, 6)),
        (lambda: bank(2, 3, 3), (1, 2, 5, 5)),
        (ReLU, (3, 7)),
        (MaxPool, (1, 2, 4, 4)),
        (AveragePool, (1, 2, 4, 4)),
        (lambda: LpPool(2), (1, 2, 4, 4)),
        (lambda: LpPool(5), (1, 2, 4, 4)),
        (lambda: LogProbPool(2), (1, 2, 4, 4)),
    ],
)
def test_gradients_are_the_numerical_ones(kind, shape):
    assert gradcheck(kind(), (noise(*shape, seed=3).requires_grad_(),))


def test_whitened_pixels_have_no_correlation_and_unit_variance():
    mixed = noise(2000, 9) @ noise(9, 9, seed=2)
    images = mixed.reshape(-1, 1, 3, 3)
    white = Whitening(images, epsilon=1e-9)(images).flatten(1)
    torch.testing.assert_close(white.mean(0), torch.zeros(9, dtype=torch.float64))
    spread = white.T @ white / len(white)
    torch.testing.assert_close(spread, torch.eye(9, dtype=torch.float64), atol=1e-6, rtol=0)


def test_what_never_varies_is_not_blown_up_by_whitening():
    images = noise(100, 1, 3, 3)
    images[:, :, 0, 0] = 7
    white = Whitening(images, epsilon=0.1)(images)
    assert white[:, :, 0, 0].abs().max() < 1e-9


def test_subtractive_normalization_removes_even_light_and_keeps_a_fine_pattern():
    even = torch.full((1, 1, 12, 12), 3.0)
    torch.testing.assert_close(Subtractive()(even), torch.zeros_like(even), atol=1e-6, rtol=0)
    checks = (torch.arange(12)[:, None] + torch.arange(12)) % 2 * 2.0 - 1
    kept = Subtractive()(checks[None, None])
    assert float((kept * checks).mean()) > 0.9


def test_divisive_normalization_does_not_mind_light_and_contrast():
    image = noise(1, 1, 16, 16)
    torch.testing.assert_close(Divisive()(5 * image + 2), Divisive()(image), atol=1e-6, rtol=1e-6)


def test_divisive_normalization_evens_out_contrast_but_does_not_blow_up_the_faint():
    image = noise(1, 1, 16, 32)
    image[..., :16] *= 10
    image[..., 16:] *= 0.1
    even = Divisive()(image)
    strong, faint = even[..., :12].std(), even[..., 20:].std()
    assert image[..., :12].std() / image[..., 20:].std() > 50
    assert 0.5 < strong < 2
    assert faint < strong


def test_a_bank_of_as_many_filters_as_pixels_loses_nothing_and_a_smaller_one_does():
    patches = noise(50, 25)
    for filters, whole in ((8, False), (25, True), (40, True)):
        made = bank(1, filters)
        assert made.rank() == min(filters, 25)
        assert made.overcompleteness == filters / 25
        projected = made(patches.reshape(-1, 1, 5, 5)).flatten(1)
        assert torch.allclose(made.restore(projected), patches, atol=1e-6) is whole


def test_relu_lets_through_what_is_positive_and_half_of_noise_becomes_zero():
    values = noise(20, 500)
    torch.testing.assert_close(ReLU()(values), torch.where(values > 0, values, 0.0))
    zeros, measure = sparsity(ReLU()(values))
    assert zeros == pytest.approx(0.5, abs=0.02)
    assert measure > sparsity(values)[1]


def test_sparsity_is_0_where_all_are_alike_and_1_where_one_is_not_zero():
    assert sparsity(torch.ones(2, 9))[1] == pytest.approx(0, abs=1e-6)
    alone = torch.zeros(2, 9)
    alone[:, 3] = -5
    assert sparsity(alone) == pytest.approx((8 / 9, 1), abs=1e-6)


def test_squares_are_cut_side_by_side():
    cut = squares(torch.arange(16.0).reshape(1, 1, 4, 4))
    assert cut.shape == (1, 1, 2, 2, 4)
    assert cut[0, 0, 0, 1].tolist() == [2, 3, 6, 7]


def test_l_p_is_a_sum_at_1_a_norm_at_2_and_the_greatest_at_infinity():
    values = noise(4, 3, 8, 8)
    cut = squares(values)
    torch.testing.assert_close(LpPool(1)(values), cut.abs().sum(-1))
    torch.testing.assert_close(LpPool(2)(values), cut.norm(dim=-1))
    torch.testing.assert_close(LpPool(4000)(values), cut.abs().amax(-1), atol=1e-2, rtol=1e-3)


def test_l_p_neither_overflows_nor_stumbles_over_nothing():
    large = torch.full((1, 1, 2, 2), 1e30)
    torch.testing.assert_close(LpPool(64)(large), torch.full((1, 1, 1, 1), 1e30), rtol=0.05, atol=0)
    nothing = torch.zeros(1, 1, 2, 2, requires_grad=True)
    LpPool(2)(nothing).sum().backward()
    assert torch.isfinite(nothing.grad).all()


def test_log_prob_is_the_mean_at_0_and_the_maximum_at_infinity():
    values = noise(4, 3, 8, 8)
    torch.testing.assert_close(LogProbPool(1e-5)(values), AveragePool()(values), atol=1e-4, rtol=0)
    torch.testing.assert_close(LogProbPool(1e5)(values), MaxPool()(values), atol=1e-4, rtol=0)


def test_log_prob_of_equal_values_is_that_value_which_it_is_not_without_the_logarithm():
    same = torch.full((1, 1, 2, 2), 0.7, dtype=torch.float64)
    assert LogProbPool(3)(same).item() == pytest.approx(0.7)
    assert (3 * same).exp().mean().item() / 3 != pytest.approx(0.7, abs=0.1)


@given(
    values=st.lists(st.floats(-50, 50), min_size=4, max_size=4),
    sharper=st.floats(0.01, 20),
    factor=st.floats(1.1, 5),
)
def test_log_prob_lies_between_mean_and_maximum_and_rises_with_b(values, sharper, factor):
    square = torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 2)
    soft, sharp = (float(LogProbPool(b)(square)) for b in (sharper, sharper * factor))
    mean, greatest = float(AveragePool()(square)), float(MaxPool()(square))
    assert mean - 1e-9 <= soft <= sharp + 1e-9 <= greatest + 2e-9


@given(values=st.lists(st.floats(-50, 50), min_size=4, max_size=4), p=st.floats(1, 20))
def test_l_p_falls_with_p_and_never_below_the_greatest(values, p):
    square = torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 2)
    low, high = (float(LpPool(power)(square)) for power in (p, p + 1))
    assert low >= high - 1e-9
    assert high >= max(map(abs, values)) - 1e-9
