"""Votes of several views, against the mean of every string's probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.recognition.decoding import ctc_search
from service.recognition.decoding.constraints import length, luhn
from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.ctc_search import likeliest_paths, log_probability, search
from service.recognition.decoding.reading import Outcome
from service.recognition.decoding.vote import vote
from tests.support.score_maps import CONTRACT, EVERY, every_string, random_scores, scores_of

VIEWS = {
    "seed": st.integers(0, 10**6),
    "lengths": st.lists(st.integers(1, 5), min_size=1, max_size=4),
    "peak": st.floats(0.1, 4),
    "touching": st.sampled_from([1.0, 0.1, 0.0]),
}


def views(seed, lengths, peak, touching):
    """Return a lattice of random views, and every string's mean probability, greatest first."""
    rng = np.random.default_rng(seed)
    maps = [random_scores(seed + n, "01", size, peak) for n, size in enumerate(lengths)]
    shares = rng.dirichlet(np.ones(len(maps)))
    means = {}
    for scores, share in zip(maps, shares, strict=True):
        for text, probability in every_string(scores, touching).items():
            means[text] = means.get(text, 0.0) + share * probability
    lattice = Lattice.of(maps, [CONTRACT] * len(maps), shares, touching)
    return lattice, sorted(means.items(), key=lambda pair: (-round(pair[1], 12), pair[0]))


def assert_same(found, expected):
    assert [p for _, p in found] == pytest.approx([p for _, p in expected], rel=1e-6, abs=1e-12)
    assert dict(found) == pytest.approx(dict(expected), rel=1e-6, abs=1e-12)


@given(**VIEWS)
@settings(max_examples=60, deadline=None)
def test_all_texts_are_found_with_their_mean_probability_greatest_first(**how):
    lattice, expected = views(**how)
    ballot = vote(lattice, None, EVERY)
    assert ballot.exact
    assert_same(ballot.texts, expected)


@given(**VIEWS)
@settings(max_examples=100, deadline=None)
def test_the_best_text_alone_is_the_first_of_all_whether_searched_or_proved(**how):
    lattice, expected = views(**how)
    ballot = vote(lattice)
    ((text, probability),) = ballot.texts
    assert ballot.exact
    assert probability == pytest.approx(expected[0][1], rel=1e-6)
    assert probability == pytest.approx(dict(expected)[text], rel=1e-6)


@given(**VIEWS)
@settings(max_examples=60, deadline=None)
def test_under_a_constraint_the_best_allowed_text_of_the_mean_is_found(**how):
    lattice, expected = views(**how)
    for constraint in (length(2, 2), luhn()):
        fitting = [pair for pair in expected if constraint.allows(pair[0])]
        ballot = vote(lattice, constraint, EVERY)
        if not fitting:
            assert ballot.outcome is Outcome.IMPOSSIBLE
            continue
        assert_same(ballot.texts, fitting)
        assert ballot.allowed == pytest.approx(sum(p for _, p in fitting))


@given(**VIEWS)
@settings(max_examples=40, deadline=None)
def test_a_part_of_the_views_is_as_if_there_were_no_others(**how):
    lattice, _ = views(**how)
    for view, size in enumerate(how["lengths"]):
        alone = Lattice.of(
            [random_scores(how["seed"] + view, "01", size, how["peak"])],
            [CONTRACT],
            touching=how["touching"],
        )
        lattice.log_masses("01")  # what is known already does not count otherwise
        part = lattice.part([view])
        for text in ("", "0", "01"):
            expected = log_probability(alone, text)
            assert log_probability(part, text) == pytest.approx(expected)
        assert search(part, None, 3) == search(alone, None, 3)


def test_a_text_with_more_than_half_of_all_probability_needs_no_search(monkeypatch):
    lattice = Lattice.of([scores_of(".1..2.3.", sure=0.99)], [CONTRACT])
    searched = vote(lattice, None, 2)
    monkeypatch.setattr(ctc_search, "search", None)
    proved = vote(lattice)
    assert proved.exact
    assert proved.best == searched.best
    assert proved.best.text == "123"


def test_a_text_of_less_than_half_is_searched_for():
    # Every position says 1 at .4, but the text 1 has less than the texts without it together.
    lattice = Lattice.of([random_scores(2, "012", 5, 1.0)], [CONTRACT])
    ballot = vote(lattice)
    assert ballot.best.probability < 0.5
    assert ballot.best == vote(lattice, None, 3).best


def test_each_view_s_likeliest_path_says_a_text_and_each_text_is_tried_once():
    maps = [scores_of(path) for path in (".1.2", ".1..2..", "....", "22.2")]
    assert likeliest_paths(Lattice.of(maps, [CONTRACT] * 4)) == ["12", "", "22"]
