import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contract import VERSION, ModelContract
from service.decoder import RUNNERS_UP, decode

CONTRACT = ModelContract(VERSION, (*"0123456789", "none"), 32, 4, "{}")
NONE = CONTRACT.none


def scores_of(path, sure=0.9):
    """Scores under which each position says its label with probability `sure`."""
    scores = np.full((len(path), 11), (1 - sure) / 10)
    labels = [NONE if label == "." else int(label) for label in path]
    scores[np.arange(len(path)), labels] = sure
    return np.log(scores).astype(np.float32)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("1.1.0.0", "1100"),
        ("..11..11..00.00..", "1100"),
        (".1..", "1"),
        ("7777", "7"),
        ("77.11", "71"),
        ("7711", "71"),
        ("....", ""),
        (".", ""),
        ("0", "0"),
    ],
)
def test_runs_are_digits_and_none_between_keeps_equal_ones_apart(path, text):
    assert decode(scores_of(path), CONTRACT).text == text


def test_two_names_for_one_place_are_one_digit_the_surer():
    scores = scores_of("..71..")
    scores[3] = np.log(np.full(11, 0.05))
    scores[3, 1] = np.log(0.5)
    assert decode(scores, CONTRACT).text == "7"


def test_a_digits_place_is_the_middle_of_what_sees_it():
    (digit,) = decode(scores_of("...555.."), CONTRACT).digits
    assert (digit.first, digit.last) == (3, 5)
    assert digit.position == pytest.approx(4)


def test_confidence_is_the_product_of_the_digits():
    reading = decode(scores_of(".1.2."), CONTRACT)
    assert reading.confidence == pytest.approx(0.81, abs=1e-6)
    assert [digit.confidence for digit in reading.digits] == pytest.approx([0.9, 0.9])


def test_confidence_of_an_empty_reading_is_that_of_its_least_sure_none():
    scores = scores_of("...")
    scores[1] = scores_of(".", sure=0.6)
    assert decode(scores, CONTRACT).confidence == pytest.approx(0.6)


def test_runners_up_come_in_the_order_of_their_probability():
    chances = np.full(11, 0.01)
    chances[[3, 8, 5, NONE]] = 0.6, 0.2, 0.1, 0.05
    reading = decode(np.log(chances / chances.sum())[None].astype(np.float32), CONTRACT)
    (digit,) = reading.digits
    assert [other.label for other in digit.runners_up] == ["8", "5", "none"]
    assert len(digit.runners_up) == RUNNERS_UP
    assert digit.runners_up[0].confidence == pytest.approx(0.2 / chances.sum())


@given(st.text("0123456789", max_size=12), st.integers(1, 3), st.integers(1, 3))
def test_any_string_written_apart_is_read_as_it_is(text, run, gap):
    path = "." * gap + "".join(label * run + "." * (gap + 1) for label in text)
    reading = decode(scores_of(path), CONTRACT)
    assert reading.text == text
    assert len(reading.digits) == len(text)
    assert all(
        before.last < after.first
        for before, after in zip(reading.digits[:-1], reading.digits[1:], strict=True)
    )
