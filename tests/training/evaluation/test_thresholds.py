import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.recognition.calibration import Threshold
from tests.support.drawn import drawn
from training.evaluation.thresholds import ERROR_RATES, carried, thresholds

trusted = st.lists(
    st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.integers(0, 30).map(bool)),
    min_size=1,
    max_size=300,
)


@given(trusted)
def test_thresholds_are_the_least_that_keep_their_rule(rows):
    confidences = np.array([confidence for confidence, _ in rows])
    right = np.array([good for _, good in rows])
    found = {each.error_rate: each.confidence for each in thresholds(confidences, right)}
    for rate in ERROR_RATES:
        keeping = []
        for least in confidences:
            taken = confidences >= least
            if ((~right[taken]).sum() + 1) / (taken.sum() + 1) <= rate:
                keeping.append(least)
        assert found.get(rate) == (min(keeping) if keeping else None)


def test_rates_that_the_strips_cannot_support_are_left_out():
    # 1 in 100 needs 99 right ones: (0 + 1) / (99 + 1).
    for strips, least in ((98, 0.02), (99, 0.01)):
        found = thresholds(np.full(strips, 0.9), np.full(strips, True))
        assert min(each.error_rate for each in found) == least
    assert thresholds(np.array([0.9]), np.array([True])) == ()


def test_thresholds_stand_by_falling_error_rate_and_rising_confidence():
    probabilities, right = drawn(20_000, 1, 0)
    found = thresholds(probabilities, right)
    rates = [each.error_rate for each in found]
    confidences = [each.confidence for each in found]
    assert rates == sorted(rates, reverse=True)
    assert confidences == sorted(confidences)
    assert len(found) >= 4


def test_thresholds_keep_their_promise_on_strings_drawn_alike():
    found = thresholds(*drawn(20_000, 1, 0, seed=1))
    confidences, right = drawn(20_000, 1, 0, seed=2)
    for each in found:
        if each.error_rate >= 0.01:
            taken = confidences >= each.confidence
            assert (~right[taken]).mean() < 1.3 * each.error_rate


def test_thresholds_that_few_strips_cannot_support_are_carried_unless_contradicted():
    before = [Threshold(0.05, 0.8), Threshold(0.01, 0.95)]
    confidences = np.full(60, 0.97)
    kept = carried(before, (), confidences, np.full(60, True))
    assert [(each.error_rate, each.confidence) for each in kept] == [(0.05, 0.8), (0.01, 0.95)]
    assert all(each.low == 0 and 0.04 < each.high < 0.07 for each in kept)
    assert carried(before, (), confidences, np.arange(60) >= 20) == ()
