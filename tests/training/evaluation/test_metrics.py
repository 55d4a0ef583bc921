from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.metrics import (
    BINS,
    RATES,
    Accepted,
    Length,
    Read,
    Repeated,
    StripFigures,
    accepted,
    by_length,
    clopper_pearson,
    confusions,
    coverage,
    estimate,
    reliability,
    repeated,
)
from training.networks import LABELS, NONE

texts = st.text("0123456789", max_size=6)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=20)
# Few different confidences, so that ties are common.
trusted = st.lists(
    st.tuples(st.integers(0, 8).map(lambda n: n / 8), st.booleans()), min_size=1, max_size=60
)


def reads(*pairs):
    return [Read("", truth, text, 1.0) for truth, text in pairs]


def arrays(rows):
    confidences, right = zip(*rows, strict=True)
    return np.array(confidences), np.array(right)


# --- exact strings and edits


@pytest.mark.parametrize(
    ("pairs", "exact", "error_rate"),
    [
        ([("123", "123")], 1, 0),
        ([("123", "124")], 0, 1 / 3),  # a substitution
        ([("123", "13")], 0, 1 / 3),  # a deletion
        ([("123", "1223")], 0, 1 / 3),  # an insertion
        ([("123", "")], 0, 1),
        ([("1", "234")], 0, 3),  # more edits than characters
        ([("", "")], 1, 0),  # no characters
        ([("12", "12"), ("3456", "3556"), ("78", "78"), ("90", "09")], 0.5, 3 / 10),
    ],
)
def test_strip_figures_count_exact_strings_and_edits_per_character(pairs, exact, error_rate):
    figures = StripFigures.of(reads(*pairs))
    assert figures.strips == len(pairs)
    assert figures.exact.value == exact
    assert figures.character_error_rate.value == pytest.approx(error_rate)


def test_the_interval_of_a_share_is_that_of_its_standard_error():
    right = np.array([1.0] * 800 + [0.0] * 200)
    found = estimate(right, np.ones(1000), np.random.default_rng(1))
    error = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.8 - error, abs=0.004)
    assert found.high == pytest.approx(0.8 + error, abs=0.004)


def test_figures_are_decided_by_the_seed():
    some = reads(*[("12", "12"), ("34", "35")] * 10)
    assert StripFigures.of(some, 1) == StripFigures.of(some, 1)


# --- confusions


def test_confusions_tell_taken_missed_and_invented_digits_apart():
    table = confusions(reads(("123", "173"), ("4567", "467"), ("89", "809")))
    expected = np.zeros((len(LABELS), len(LABELS)), int)
    for digit in (1, 3, 4, 6, 7, 8, 9):
        expected[digit, digit] += 1
    expected[2, 7] = expected[5, NONE] = expected[NONE, 0] = 1
    np.testing.assert_array_equal(table, expected)


@given(pairs)
def test_confusions_count_every_digit_written_and_read_and_every_edit(pairs):
    some = reads(*pairs)
    table = confusions(some)
    assert table[NONE, NONE] == 0
    for digit in range(10):
        assert table[digit].sum() == sum(truth.count(str(digit)) for truth, _ in pairs)
        assert table[:, digit].sum() == sum(text.count(str(digit)) for _, text in pairs)
    assert table.sum() - table.trace() == sum(read.edits for read in some)


# --- lengths and equal neighbors


def test_figures_by_length_are_those_of_the_strings_of_that_length():
    some = reads(("12", "12"), ("123", "12"), ("34", "3"), ("456", "456"))
    assert by_length(some) == (Length(2, 2, 0.5, 0.25), Length(3, 2, 0.5, 1 / 6))


def test_equal_neighbors_are_compared_with_others_of_their_lengths():
    some = reads(
        *[("11", "1")] * 3,  # two digits: 3 with, none right, and 2 without, one right
        *[("12", "12"), ("12", "2")],
        *[("100", "100")],  # three: 1 with, right, and 1 without, right
        *[("123", "123")],
        *[("4004", "44")],  # nothing to be compared with
        *[("56789", "5")],
    )
    assert repeated(some) == Repeated(4, 0.25, (3 * 0.5 + 1 * 1) / 4)


def test_where_no_neighbors_are_equal_there_is_nothing_to_compare():
    assert repeated(reads(("121", "121"))) == Repeated(0, None, None)


# --- calibration


def test_confidences_that_mean_what_they_say_have_no_calibration_error():
    rows = [(0.2, n < 2) for n in range(10)] + [(0.5, n < 5) for n in range(10)]
    rows += [(1.0, True)] * 10 + [(0.0, False)] * 10
    found = reliability(*arrays(rows))
    assert found.error == pytest.approx(0, abs=1e-12)
    assert [(each.strips, each.confidence) for each in found.bins] == [
        (10, 0.0),
        (10, pytest.approx(0.2)),
        (10, 0.5),
        (10, 1.0),
    ]


def test_a_single_confidence_is_off_by_its_distance_from_the_share_of_right_ones():
    assert reliability(*arrays([(0.9, n < 6) for n in range(10)])).error == pytest.approx(0.3)


def test_bins_have_equal_mass():
    rng = np.random.default_rng(1)
    found = reliability(rng.random(1500), rng.random(1500) < 0.5)
    assert len(found.bins) == BINS
    assert all(abs(each.strips - 100) <= 1 for each in found.bins)


@pytest.mark.parametrize("count", [60, 4000])
def test_what_exact_confidences_would_show_is_the_mean_of_what_they_show(count):
    rng = np.random.default_rng(1)
    confidences = rng.uniform(0.5, 1, count)
    shown = [reliability(confidences, rng.random(count) < confidences) for _ in range(50)]
    assert shown[0].chance == pytest.approx(np.mean([each.error for each in shown]), rel=0.1)


def test_confidences_of_zero_and_one_leave_nothing_to_chance():
    assert reliability(*arrays([(1.0, True)] * 5 + [(0.0, False)] * 5)).chance == 0


@given(trusted, st.randoms(use_true_random=False))
def test_bins_hold_every_strip_once_in_whatever_order(rows, random):
    found = reliability(*arrays(rows))
    assert sum(each.strips for each in found.bins) == len(rows)
    assert 0 <= found.error <= 1
    shuffled = random.sample(rows, len(rows))
    assert reliability(*arrays(shuffled)).error == pytest.approx(found.error)


# --- risk and coverage


@given(trusted)
def test_accepting_counts_all_strips_at_and_above_each_confidence(rows):
    confidences, right = arrays(rows)
    for least, many, wrong in zip(*accepted(confidences, right), strict=True):
        assert many == (confidences >= least).sum()
        assert wrong == (~right[confidences >= least]).sum()


@given(trusted)
def test_coverage_rises_along_the_curve_and_with_the_error_allowed(rows):
    confidences, right = arrays(rows)
    found = coverage(confidences, right)
    curve = found.curve
    assert curve[-1].coverage == 1
    assert curve[-1].risk == pytest.approx(1 - right.mean())
    assert all(a.coverage < b.coverage for a, b in pairwise(curve))
    assert all(a.confidence > b.confidence for a, b in pairwise(curve))
    covered = list(found.at.values())
    assert covered == sorted(covered)
    least, most = min(each.risk for each in curve), max(each.risk for each in curve)
    assert least - 1e-9 <= found.area <= most + 1e-9


@given(trusted)
def test_coverage_at_a_rate_is_the_greatest_with_no_more_risk(rows):
    confidences, right = arrays(rows)
    found = coverage(confidences, right)
    for rate, highest in zip(RATES, found.at.values(), strict=True):
        shares = [
            (confidences >= least).mean()
            for least in confidences
            if (~right[confidences >= least]).mean() <= rate
        ]
        assert highest == pytest.approx(max(shares, default=0))


def test_a_curve_computed_by_hand():
    found = coverage(*arrays([(0.9, True), (0.8, True), (0.8, False), (0.1, False)]))
    assert found.curve == (
        Accepted(0.9, 0.25, 0),
        Accepted(0.8, 0.75, 1 / 3),
        Accepted(0.1, 1, 0.5),
    )
    assert found.at == {"1%": 0.25, "2%": 0.25, "5%": 0.25}
    assert found.area == pytest.approx(0.5 / 3 + 0.25 * 0.5)


@pytest.mark.parametrize(("wrong", "many"), [(0, 20), (3, 100), (20, 20), (0, 0)])
def test_intervals_hold_the_share(wrong, many):
    low, high = clopper_pearson(wrong, many)
    assert 0 <= low <= wrong / max(many, 1) <= high <= 1


@pytest.mark.parametrize(("right", "low", "high"), [(1.0, 0.735, 1.0), (0.0, 0.0, 0.265)])
def test_a_dozen_strips_that_are_all_alike_prove_little(right, low, high):
    found = estimate(np.full(12, right), np.ones(12), np.random.default_rng(1))
    assert (found.value, found.low, found.high) == pytest.approx((right, low, high), abs=1e-3)
