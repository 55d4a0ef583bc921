import re
from itertools import chain, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imaging.decode import decode as decode_image
from service.recognition import model_metadata
from service.recognition.decoding import completions, ctc_search
from service.recognition.decoding.constraints import all_of, allowed, length, luhn, mod97, verhoeff
from service.recognition.decoding.decoder import decode, decode_views, log_probability
from service.recognition.decoding.reading import Outcome
from service.recognition.decoding.regex import pattern
from service.recognition.model import Scorer
from service.recognition.model_metadata import VERSION, ModelMetadata
from service.recognition.normalize import normalize
from service.recognition.readers import ALONE, FIRST
from tests.conftest import STRIPS
from tests.support.score_maps import CONTRACT, EVERY, every_string, random_scores, scores_of

SCORER = Scorer()
WEIGHTS = [1.0, 0.1, 0.0]  # of touching digits


def ranked(strings):
    return sorted(strings.items(), key=lambda pair: (-pair[1], pair[0]))


def listed(reading):
    return [(reading.text, reading.confidence), *reading.alternatives]


def assert_same(found, expected):
    assert [text for text, _ in found] == [text for text, _ in expected]
    assert [p for _, p in found] == pytest.approx([p for _, p in expected], rel=1e-6)


# Reading strings.


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("1.1.0.0", "1100"),
        ("..11..11..00.00..", "1100"),
        (".1..", "1"),
        ("7777", "7"),
        ("77.11", "71"),
        ("....", ""),
        (".", ""),
        ("0", "0"),
    ],
)
@pytest.mark.parametrize("touching", [*WEIGHTS, model_metadata.TOUCHING])
def test_runs_are_digits_and_none_between_keeps_equal_ones_apart(path, text, touching):
    assert decode(scores_of(path), CONTRACT, touching=touching).text == text


def test_plain_ctc_reads_two_runs_side_by_side_as_two_digits():
    assert decode(scores_of("77771111"), CONTRACT, touching=1.0).text == "71"


def test_two_names_for_one_place_are_one_digit_the_surer():
    scores = scores_of("..71..")
    scores[3] = np.log(np.full(11, 0.05))
    scores[3, 1] = np.log(0.5)
    assert decode(scores, CONTRACT).text == "7"


@given(st.text("0123456789", max_size=12), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_any_string_written_apart_is_read_as_it_is(text, run, gap):
    path = "." * gap + "".join(label * run + "." * (gap + 1) for label in text)
    reading = decode(scores_of(path, sure=0.99), CONTRACT)
    assert reading.text == text
    assert len(reading.digits) == len(text)
    assert all(
        before.last < after.first
        for before, after in zip(reading.digits[:-1], reading.digits[1:], strict=True)
    )


def test_labels_are_found_wherever_the_metadata_has_them():
    labels = ("none", *"9876543210")
    order = [labels.index(label) for label in CONTRACT.labels]
    scores = random_scores(3)
    shuffled = np.empty_like(scores)
    shuffled[:, order] = scores
    other = ModelMetadata(VERSION, labels, 32, 4, "{}")
    assert decode(shuffled, other) == decode(scores, CONTRACT)


# Exactness, against every string.


@pytest.mark.parametrize("touching", WEIGHTS)
@given(seed=st.integers(0, 10**6), positions=st.integers(1, 5), peak=st.floats(0, 4))
@settings(max_examples=25, deadline=None)
def test_probabilities_are_the_sums_over_paths_and_sum_to_one(seed, positions, peak, touching):
    scores = random_scores(seed, positions=positions, peak=peak)
    strings = every_string(scores, touching)
    logs = [log_probability(scores, text, CONTRACT, touching) for text in strings]
    assert np.exp(logs) == pytest.approx(list(strings.values()), rel=1e-6)
    assert np.exp(logs).sum() == pytest.approx(1)


@pytest.mark.parametrize("touching", WEIGHTS)
@given(seed=st.integers(0, 10**6), positions=st.integers(1, 5), peak=st.floats(0.1, 4))
@settings(max_examples=25, deadline=None)
def test_a_search_for_every_string_finds_each_once_in_order(seed, positions, peak, touching):
    scores = random_scores(seed, positions=positions, peak=peak)
    reading = decode(scores, CONTRACT, strings=EVERY, touching=touching)
    assert reading.exact
    assert_same(listed(reading), ranked(every_string(scores, touching)))


CONSTRAINTS = {
    "length": length(2, 2),
    "range of lengths": length(1, 3),
    "at least": length(3),
    "too long but for one": length(5, 5),
    "pattern": pattern(r"(0|12)*\d?"),
    "list": allowed(["012", "1", "2200", "20", "777"]),
    "luhn": luhn(),
    "mod 97": mod97(),
    "verhoeff": verhoeff(),
    "product": all_of(length(2, 4), pattern(r"[01]*2\d*"), allowed(["012", "20", "1", "0212"])),
    "product with check digit": all_of(luhn(), length(0, 4), pattern(r"\d*0")),
}


@pytest.mark.parametrize("touching", WEIGHTS)
@pytest.mark.parametrize("summed", [True, False], ids=["completions summed", "not"])
@pytest.mark.parametrize("name", CONSTRAINTS)
@given(seed=st.integers(0, 10**6), positions=st.integers(1, 5), peak=st.floats(0.1, 4))
@settings(max_examples=12, deadline=None)
def test_a_constrained_search_finds_every_allowed_string_in_order(
    name, summed, seed, positions, peak, touching
):
    constraint = CONSTRAINTS[name]
    scores = random_scores(seed, positions=positions, peak=peak)
    strings = every_string(scores, touching)
    fitting = {text: p for text, p in strings.items() if constraint.allows(text)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completions, "CELLS", completions.CELLS if summed else 0)
        reading = decode(scores, CONTRACT, constraint, EVERY, touching)
    assert reading.exact
    if not fitting:
        assert reading.outcome is Outcome.IMPOSSIBLE
        assert reading.text == ranked(strings)[0][0]
        return
    assert_same(listed(reading), ranked(fitting))
    best = ranked(strings)[0][0]
    assert reading.outcome is (Outcome.FREE if best in fitting else Outcome.CHANGED)
    if summed:
        assert reading.allowed == pytest.approx(sum(fitting.values()))
    else:
        assert reading.allowed >= sum(fitting.values()) - 1e-9


@pytest.mark.parametrize("touching", WEIGHTS)
@given(seed=st.integers(0, 10**6), strings=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_fewer_strings_requested_are_the_first_of_all(seed, strings, touching):
    scores = random_scores(seed, positions=4)
    few = listed(decode(scores, CONTRACT, strings=strings, touching=touching))
    assert few == listed(decode(scores, CONTRACT, strings=EVERY, touching=touching))[:strings]


@given(st.integers(0, 10**6), st.sampled_from(["", "1", "12", "2", "0110", "11"]))
@settings(max_examples=40, deadline=None)
def test_a_given_text_is_found_with_its_probability_where_it_fits(seed, text):
    scores = random_scores(seed, positions=3)
    constraint = pattern(text) if text else length(0, 0)
    reading = decode(scores, CONTRACT, constraint)
    log = log_probability(scores, text, CONTRACT)
    if log == -np.inf:
        assert reading.outcome is Outcome.IMPOSSIBLE
    else:
        assert (reading.text, reading.alternatives) == (text, ())
        assert reading.confidence == pytest.approx(np.exp(log), rel=1e-6)


# Constraints.


def test_text_is_written_as_the_pattern_writes_it():
    scores = scores_of(".1.2.3.4.5.6.")
    reading = decode(scores, CONTRACT, pattern(r"\d{3}-\d{3}"))
    assert (reading.text, reading.outcome) == ("123-456", Outcome.FREE)
    assert "".join(digit.label for digit in reading.digits) == "123456"
    assert all(re.fullmatch(r"\d{3}-\d{3}", text) for text, _ in reading.alternatives)


def test_a_constraint_is_searched_for_not_filtered_afterwards():
    # What is allowed is no more than one string in thousands, and far from the best.
    scores = scores_of(".1.2.3.4.5.6.7.8.")
    reading = decode(scores, CONTRACT, allowed(["90817263"]))
    assert (reading.text, reading.outcome) == ("90817263", Outcome.CHANGED)
    assert reading.exact


@pytest.mark.parametrize(
    "constraint", [length(4), pattern("11"), all_of(length(1), allowed(["12"]), pattern("34"))]
)
def test_what_cannot_fit_is_impossible_and_the_free_reading_is_returned(constraint):
    scores = scores_of("1.")
    reading = decode(scores, CONTRACT, constraint)
    assert reading.outcome is Outcome.IMPOSSIBLE
    free = decode(scores, CONTRACT)
    assert (reading.text, reading.confidence, reading.digits) == (
        free.text,
        free.confidence,
        free.digits,
    )
    assert reading.allowed == 0


def strips_in_views(name):
    """Return the score maps of an example strip in the recognizer's views."""
    line = normalize(decode_image((STRIPS / name).read_bytes()).gray)
    return [SCORER.score(line.strip(view).pixels)[0] for view in (FIRST, *chain(*ALONE))]


@pytest.mark.parametrize("views", [1, 5])
@pytest.mark.parametrize("name", ["postcode-ruled.png", "meter-light-on-dark.png"])
@pytest.mark.parametrize("off", [1, 2, 3])
def test_among_random_strings_the_likeliest_is_chosen(name, views, off, truths):
    """The truth is not among them: one of them has so many digits off, the others all."""
    rng = np.random.default_rng(off)
    maps = strips_in_views(name)[:views]
    metadata = SCORER.metadata
    for _ in range(3):
        digits = list(truths[name])
        for place in rng.choice(len(digits), off, replace=False):
            digits[place] = str((int(digits[place]) + rng.integers(1, 10)) % 10)
        size = (19, len(digits))
        values = sorted({"".join(digits), *map("".join, rng.integers(0, 10, size).astype(str))})
        logs = [
            np.logaddexp.reduce([log_probability(scores, value, metadata) for scores in maps])
            for value in values
        ]
        reading = decode_views(maps, metadata, allowed(values), strings=3)
        assert reading.text == values[int(np.argmax(logs))]
        expected = max(logs) - np.log(views)
        assert np.log(reading.confidence) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize(
    "name", ["length", "range of lengths", "pattern", "list", "luhn", "mod 97", "verhoeff"]
)
@pytest.mark.parametrize("against", [1, 20, 45])
def test_the_likeliest_allowed_text_is_found_however_improbable(name, views, against):
    """Every digit but 9 is improbable at every position: texts down to e^-200 and below."""
    constraint = all_of(CONSTRAINTS[name], pattern("[0-3]*"))
    maps = []
    for seed in range(views):
        scores = np.random.default_rng(seed).normal(size=(5, 11)) - against
        scores[:, 9] = 0
        maps.append(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    fitting = [
        "".join(digits)
        for size in range(1, 6)
        for digits in product("0123", repeat=size)
        if constraint.allows("".join(digits))
    ]
    logs = {
        text: np.logaddexp.reduce([log_probability(scores, text, CONTRACT) for scores in maps])
        for text in fitting
    }
    reading = decode_views(maps, CONTRACT, constraint, strings=100)
    assert logs[reading.text] == pytest.approx(max(logs.values()), abs=1e-6)
    assert reading.outcome is Outcome.CHANGED


# Ties, and limits.


@pytest.mark.parametrize("positions", [1, 3, 8])
@pytest.mark.parametrize("constraint", [None, luhn()])
def test_ties_fall_to_the_smaller_text_every_time(positions, constraint):
    scores = np.full((positions, 11), -np.log(11), np.float32)
    reading = decode(scores, CONTRACT, constraint)
    assert reading == decode(scores.copy(), CONTRACT, constraint)
    pairs = listed(reading)
    assert pairs == sorted(pairs, key=lambda pair: (-round(pair[1], 12), pair[0]))


def test_a_search_beyond_its_budget_says_so_and_still_reads(monkeypatch):
    monkeypatch.setattr(ctc_search, "BUDGET", 0)
    scores = np.log(np.random.default_rng(0).dirichlet(np.full(11, 0.5), size=12))
    for constraint in (None, length(3, 3)):
        reading = decode(scores, CONTRACT, constraint)
        assert not reading.exact
        assert constraint is None or constraint.allows(reading.text)


def test_no_probability_overflows_where_completions_are_not_summed(monkeypatch):
    monkeypatch.setattr(completions, "CELLS", 0)
    scores = np.log(np.random.default_rng(0).dirichlet(np.full(11, 0.3), size=900) + 1e-12)
    assert decode(scores, CONTRACT, luhn()).allowed == 1.0
