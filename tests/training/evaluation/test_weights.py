"""Calibrating on what a review labeled: the unsure rows of a batch, and a sample of the rest."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, logit

from service.recognition.calibration import Calibration, Evidence
from training.data.labels import read_labels
from training.data.scans import Scan
from training.errors import DatasetError
from training.evaluation.calibrate import calibration, promise
from training.evaluation.metrics import Read, accepted, reliability
from training.evaluation.regression import fit
from training.evaluation.thresholds import thresholds
from training.evaluation.weights import check_sample, effective


def drawn(count, seed=1):
    """Confidences, and whether strings are right: less often where there is ink beside them.

    That ink, as a tick, sends a string to review however sure its digits are.

    Returns:
        Confidences, which strings are right, and which are to review.
    """
    rng = np.random.default_rng(seed)
    odds = rng.normal(3, 2, count)
    ink = rng.random(count) < 0.15
    right = rng.random(count) < expit(0.8 * odds - 0.5 - 2.5 * ink)
    return expit(odds), right, ink | (odds < 2)


def reads_of(probabilities, right, weights):
    return [
        Read(f"{n}", "1", "1" if good else "2", float(p), Evidence(float(p)), weight=float(w))
        for n, (p, good, w) in enumerate(zip(probabilities, right, weights, strict=True))
    ]


def reviewed(batch, sample, seed=2):
    """All strings to review, and a sample of the others; with what each stands for."""
    probabilities, right, unsure = batch
    sure = np.flatnonzero(~unsure)
    audit = np.random.default_rng(seed).choice(sure, sample, replace=False)
    weights = np.concatenate([np.ones(unsure.sum()), np.full(sample, len(sure) / sample)])
    chosen = np.concatenate([np.flatnonzero(unsure), audit])
    return probabilities[chosen], right[chosen], weights


def test_equal_weights_count_one_each_and_others_less():
    assert effective(np.full(7, 3.0)) == pytest.approx(np.ones(7))
    weights = effective(np.array([1.0] * 100 + [50.0] * 10))
    assert weights.sum() == pytest.approx(600**2 / (100 + 10 * 2500))
    assert weights[-1] == pytest.approx(50 * weights[0])


def test_a_weighted_fit_finds_what_the_whole_batch_says_and_an_unweighted_one_does_not():
    batch = drawn(60_000)
    some, good, weights = reviewed(batch, 3000)
    whole, weighted, plain = (
        np.array(found)
        for found in (
            fit(logit(batch[0]), batch[1]),
            fit(logit(some), good, weights=effective(weights)),
            fit(logit(some), good),
        )
    )
    assert np.abs(weighted - whole).max() < 0.08
    assert np.abs(plain - whole).max() > 0.15


def test_weighted_thresholds_keep_their_promise_on_the_batch():
    """On average over forty batches; they accept nearly as much as they may."""
    kept = []
    for seed in range(40):
        batch = probabilities, right, _ = drawn(5000, seed)
        some, good, weights = reviewed(batch, 400, seed)
        found = {e.error_rate: e.confidence for e in thresholds(some, good, effective(weights))}
        sure = probabilities >= found[0.1]
        kept.append((sure & ~right).sum() / sure.sum())
    assert 0.07 < np.mean(kept) <= 0.1


def test_without_its_weights_a_review_accepts_less_than_it_may():
    batch = probabilities, *_ = drawn(60_000)
    some, good, weights = reviewed(batch, 3000)
    covered = []
    for counted in (None, effective(weights)):
        found = {each.error_rate: each.confidence for each in thresholds(some, good, counted)}
        covered.append((probabilities >= found[0.1]).mean())
    assert covered[1] - covered[0] > 0.1


def test_a_strip_that_counts_twice_is_as_two():
    probabilities, right, _ = drawn(400)
    weights = np.where(np.arange(400) < 100, 2.0, 1.0)
    twice = np.repeat(np.arange(400), weights.astype(int))
    assert fit(logit(probabilities), right, weights=weights) == pytest.approx(
        fit(logit(probabilities[twice]), right[twice]), abs=1e-4
    )
    for one, other in zip(
        accepted(probabilities, right, weights),
        accepted(probabilities[twice], right[twice]),
        strict=True,
    ):
        assert one == pytest.approx(other)
    one = reliability(np.full(400, 0.5), right, weights).error
    assert one == pytest.approx(reliability(np.full(500, 0.5), right[twice]).error)


def test_few_strips_that_stand_for_nearly_all_are_refused_with_how_much_they_tell():
    probabilities, right, _ = drawn(120)
    weights = effective(np.array([1.0] * 115 + [1000.0] * 5))
    with pytest.raises(
        DatasetError,
        match=r"120 strips, \d+ of them read right \(weighted, they "
        r"tell as much as 5 drawn evenly\); expected 30 or more",
    ):
        fit(logit(probabilities), right, weights=weights)


def test_a_calibration_weighs_what_it_reads():
    batch = probabilities, right, _ = drawn(60_000)
    some, good, weights = reviewed(batch, 3000)
    whole = reads_of(probabilities, right, np.ones(len(right)))
    weighted, plain = (
        promise("all", whole, calibration(reads_of(some, good, counted), "x", Calibration())).error
        for counted in (effective(weights), np.ones(len(some)))
    )
    assert weighted < 0.015
    assert plain > 0.04


def scans(*rows):
    return [Scan(f"{n}.png", "1", b"", 0, why, weight) for n, (why, weight) in enumerate(rows)]


def test_rows_that_were_unsure_alone_are_no_sample(tmp_path):
    with pytest.raises(DatasetError, match=r"all 2 labels are of rows that were to review"):
        check_sample(tmp_path, scans(("review", None), ("review", None)))


def test_an_unfinished_review_is_no_sample(tmp_path):
    with pytest.raises(DatasetError, match="the review is not finished"):
        check_sample(tmp_path, scans(("review", None), ("audit", None)))


@pytest.mark.parametrize(
    "rows", [(("", None),), (("review", 1.0), ("audit", 9.5)), (("review", 1.0),)]
)
def test_labels_that_stand_for_their_batch_are_taken(tmp_path, rows):
    check_sample(tmp_path, scans(*rows))


def test_labels_of_a_review_have_their_weights(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "file,text,why,weight\na.png,1,review,1\nb.png,2,audit,12.5\nc.png,3,review,\n"
    )
    assert [(label.why, label.weight) for label in read_labels(table)] == [
        ("review", 1.0),
        ("audit", 12.5),
        ("review", None),
    ]


@pytest.mark.parametrize("weight", ["0", "-1", "inf", "nan", "x"])
def test_a_weight_that_is_none_is_refused_with_its_line(tmp_path, weight):
    table = tmp_path / "labels.csv"
    table.write_text(f"file,text,why,weight\na.png,1,review,{weight}\n")
    with pytest.raises(DatasetError, match="line 2"):
        list(read_labels(table))


def test_a_read_counts_one_unless_it_is_said():
    assert {each.name: each.default for each in dataclasses.fields(Read)}["weight"] == 1.0
