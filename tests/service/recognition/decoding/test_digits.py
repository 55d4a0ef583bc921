from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.decoder import decode
from service.recognition.decoding.digits import RUNNERS_UP, find_digits
from tests.support.score_maps import CONTRACT, NONE, every_string, random_scores, scores_of

WEIGHTS = [1.0, 0.1, 0.0]  # of touching digits


@pytest.mark.parametrize("touching", WEIGHTS)
@given(seed=st.integers(0, 10**6), positions=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_a_digit_is_weighed_against_every_other_label_and_none_in_its_place(
    seed, positions, touching
):
    scores = random_scores(seed, positions=positions)
    strings = every_string(scores, touching)
    reading = decode(scores, CONTRACT, touching=touching)
    for place, digit in enumerate(reading.digits):
        before, after = reading.text[:place], reading.text[place + 1 :]
        shares = {
            label: strings.get(before + label.replace("none", "") + after, 0.0)
            for label in CONTRACT.labels
        }
        total = sum(shares.values())
        assert digit.confidence == pytest.approx(shares[digit.label] / total, rel=1e-6)
        others = sorted((p for label, p in shares.items() if label != digit.label), reverse=True)
        found = [other.confidence for other in digit.runners_up]
        assert found == pytest.approx([p / total for p in others[:RUNNERS_UP]], abs=1e-9)


@given(seed=st.integers(0, 10**6), positions=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_digits_lie_where_the_best_path_of_the_text_has_their_runs(seed, positions):
    scores = random_scores(seed, positions=positions, digits="01")
    reading = decode(scores, CONTRACT, touching=0.1)
    chances = np.exp(scores)
    best, runs = -1.0, []
    for path in product([0, 1, NONE], repeat=positions):
        mass = np.prod([chances[position, label] for position, label in enumerate(path)])
        found = []
        for position, label in enumerate(path):
            if label != NONE and position > 0 and path[position - 1] == label:
                found[-1][2] = position
            elif label != NONE:
                mass *= 0.1 if position > 0 and path[position - 1] != NONE else 1.0
                found.append([str(label), position, position])
        if "".join(label for label, _, _ in found) == reading.text and mass > best:
            best, runs = mass, found
    assert [[digit.label, digit.first, digit.last] for digit in reading.digits] == runs
    for digit in reading.digits:
        assert digit.first <= digit.position <= digit.last


def test_a_digits_place_is_the_middle_of_what_sees_it():
    (digit,) = decode(scores_of("...555.."), CONTRACT).digits
    assert (digit.first, digit.last) == (3, 5)
    assert digit.position == pytest.approx(4)


def test_runners_up_come_in_the_order_of_their_probability():
    chances = np.full(11, 0.01)
    chances[[3, 8, 5, NONE]] = 0.6, 0.2, 0.1, 0.05
    reading = decode(np.log(chances / chances.sum())[None].astype(np.float32), CONTRACT)
    (digit,) = reading.digits
    assert [other.label for other in digit.runners_up] == ["8", "5", "none"]
    assert len(digit.runners_up) == RUNNERS_UP
    assert digit.runners_up[0].confidence == pytest.approx(0.2 / chances.sum())
    assert reading.confidence == pytest.approx(0.6 / chances.sum())


@pytest.mark.parametrize("touching", WEIGHTS)
@pytest.mark.parametrize("text", ["0", "01", "11", "010", "0011"])
@given(seed=st.integers(0, 10**6), positions=st.integers(1, 6))
@settings(max_examples=8, deadline=None)
def test_a_digits_center_is_weighed_by_the_paths_on_which_it_is_there(
    touching, text, seed, positions
):
    scores = random_scores(seed, positions=positions, digits="01")
    chances = np.exp(scores)
    there = np.zeros((len(text), positions))  # masses of the paths with a digit at a position
    for path in product([0, 1, NONE], repeat=positions):
        mass = np.prod([chances[position, label] for position, label in enumerate(path)])
        spelled, of = "", []
        for label, before in zip(path, [NONE, *path], strict=False):
            if label not in (before, NONE):
                spelled += str(label)
                mass *= touching if before != NONE else 1.0
            of.append(len(spelled) - 1 if label != NONE else None)
        if spelled == text:
            for position, place in enumerate(of):
                if place is not None:
                    there[place, position] += mass
    if not there.any():
        return  # the text does not fit
    lattice = Lattice.of([scores], [CONTRACT], touching=touching)
    for digit, masses in zip(find_digits(lattice, text, 100), there, strict=True):
        run = slice(digit.first - 100, digit.last - 99)
        expected = np.average(np.arange(positions)[run], weights=masses[run])
        assert digit.position == pytest.approx(100 + expected)
