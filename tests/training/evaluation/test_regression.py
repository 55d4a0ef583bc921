import numpy as np
import pytest
from scipy.special import logit

from tests.support.drawn import odds_drawn
from training.errors import DatasetError
from training.evaluation.regression import FEWEST, fit


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (0.5, -0.7), (2, 1)])
def test_the_fit_finds_the_scale_and_offset_that_strings_were_drawn_with(scale, offset):
    found = fit(*odds_drawn(20_000, scale, offset))
    assert found == pytest.approx((scale, offset), abs=0.1)


def test_strings_that_confidence_tells_apart_without_fail_have_a_finite_fit():
    probabilities = np.array([0.1] * 50 + [0.9] * 50)
    scale, offset = fit(logit(probabilities), probabilities > 0.5)
    assert 0 < scale < 10
    assert abs(offset) < 10


@pytest.mark.parametrize(
    ("strips", "good"), [(FEWEST - 1, 20), (FEWEST, FEWEST), (FEWEST, 0), (0, 0)]
)
def test_too_few_strips_or_only_one_kind_are_refused(strips, good):
    right = np.arange(strips) < good
    with pytest.raises(DatasetError, match=f"on {strips} strips, {good} of them read right; exp"):
        fit(np.linspace(0.1, 0.9, strips), right)


def test_confidences_that_point_the_wrong_way_are_refused():
    odds, right = odds_drawn(500, 1, 0)
    with pytest.raises(DatasetError, match="less probable readings are right more often"):
        fit(odds, ~right)
