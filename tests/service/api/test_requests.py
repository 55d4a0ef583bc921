import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.requests import (
    MAX_ALTERNATIVES,
    MAX_CONSTRAINT_BYTES,
    to_constraint,
    to_options,
)
from service.errors import BadConstraint, BadOption
from service.pb import recognizer_pb2 as pb
from service.recognition.decoding import constraints
from service.recognition.decoding.constraints import MOST_DIGITS
from service.recognition.recognizer import Options

digits = st.text("0123456789", min_size=1, max_size=6)


def test_a_request_that_asks_nothing_asks_nothing():
    assert to_options(pb.RecognizeRequest()) == Options()


@pytest.mark.parametrize("message", [pb.Constraint(), pb.Constraint(length=pb.LengthRange())])
def test_a_constraint_that_demands_nothing_is_none(message):
    assert to_constraint(message) is None


@pytest.mark.parametrize(
    ("message", "yes", "no"),
    [
        (pb.Constraint(length=pb.LengthRange(min=2, max=3)), ["12", "123"], ["1", "1234"]),
        (pb.Constraint(length=pb.LengthRange(min=2)), ["12", "1" * 500], ["", "1"]),
        (pb.Constraint(length=pb.LengthRange(max=2)), ["", "12"], ["123"]),
        (pb.Constraint(pattern=r"\d-[45]"), ["14", "05"], ["13", "145"]),
        (pb.Constraint(allowed=["12", "3-4"]), ["12", "34"], ["1", "123"]),
        (pb.Constraint(check_digit=pb.CHECK_DIGIT_LUHN), ["79927398713"], ["79927398710"]),
        (pb.Constraint(check_digit=pb.CHECK_DIGIT_ISBN13), ["9780306406157"], ["9780306406158"]),
    ],
)
def test_each_field_demands_what_it_says(message, yes, no):
    constraint = to_constraint(message)
    assert all(constraint.allows(text) for text in yes)
    assert not any(constraint.allows(text) for text in no)


@given(st.lists(digits, min_size=1, max_size=20), st.integers(0, 6), st.integers(0, 6))
def test_all_fields_hold_together(values, least, more):
    most = max(least + more, 1)
    length = pb.LengthRange(min=least, max=most)
    message = pb.Constraint(length=length, pattern="[0-7]*", allowed=values)
    expected = {v for v in values if least <= len(v) <= most and not set(v) & set("89")}
    if expected:
        constraint = to_constraint(message)
        assert {value for value in values if constraint.allows(value)} == expected
    else:
        with pytest.raises(BadConstraint, match="no string satisfies all that is given: length, "):
            to_constraint(message)


def test_the_pattern_writes_before_the_list_does():
    constraint = to_constraint(pb.Constraint(pattern=r"\d-\d", allowed=["1/2", "3/4"]))
    assert constraint.write("34") == "3-4"
    assert to_constraint(pb.Constraint(allowed=["1/2", "3/4"])).write("34") == "3/4"


@pytest.mark.parametrize("scheme", [each for each in pb.CheckDigit.values() if each])
def test_every_check_digit_of_the_schema_has_its_automaton(scheme):
    word = pb.CheckDigit.Name(scheme).removeprefix("CHECK_DIGIT_").lower()
    expected = getattr(constraints, word)()
    built = to_constraint(pb.Constraint(check_digit=scheme))
    assert np.array_equal(built.steps, expected.steps)
    assert np.array_equal(built.accepts, expected.accepts)


@pytest.mark.parametrize(
    ("message", "field", "why"),
    [
        (pb.Constraint(length=pb.LengthRange(min=3, max=2)), "constraint.length", "3 to 2"),
        (
            pb.Constraint(length=pb.LengthRange(min=MOST_DIGITS + 1)),
            "constraint.length",
            f"≤ {MOST_DIGITS}",
        ),
        (pb.Constraint(pattern="[a-z]"), "constraint.pattern", "a class of something else"),
        (pb.Constraint(allowed=["12", "x"]), "constraint.allowed", "'x' is not written in"),
        (pb.Constraint(allowed=["12", ""]), "constraint.allowed", "'' is not written in"),
        (pb.Constraint(allowed=["1" * 256]), "constraint.allowed", "at most 255"),
        (pb.Constraint(check_digit=99), "constraint.check_digit", "99 is not known; .*LUHN"),
        (
            pb.Constraint(length=pb.LengthRange(max=5), check_digit=pb.CHECK_DIGIT_ISBN10),
            "constraint",
            "no string satisfies all that is given: length, check_digit",
        ),
        (pb.Constraint(allowed=["1"] * MAX_CONSTRAINT_BYTES), "constraint", "at most 1048576"),
    ],
)
def test_a_bad_constraint_names_its_field(message, field, why):
    with pytest.raises(BadConstraint, match=why) as raised:
        to_constraint(message)
    assert raised.value.field == field


def test_an_error_stays_short_whatever_was_sent():
    for message in (pb.Constraint(pattern="€" * 999 + "["), pb.Constraint(allowed=["x" * 10**5])):
        with pytest.raises(BadConstraint) as raised:
            to_constraint(message)
        assert len(str(raised.value)) < 500


def test_the_same_constraint_is_built_once():
    def asked():
        return pb.RecognizeRequest(constraint=pb.Constraint(pattern=r"\d{4}-\d{4}"))

    assert to_options(asked()).constraint is to_options(asked()).constraint
    other = to_options(pb.RecognizeRequest(constraint=pb.Constraint(pattern=r"\d{4}-\d{3}")))
    assert other.constraint is not to_options(asked()).constraint


def test_as_many_alternatives_as_allowed_can_be_requested():
    asked = pb.RecognizeRequest(alternatives=MAX_ALTERNATIVES)
    assert to_options(asked).alternatives == MAX_ALTERNATIVES
    with pytest.raises(BadOption, match="21 alternatives were requested; at most 20") as raised:
        to_options(pb.RecognizeRequest(alternatives=MAX_ALTERNATIVES + 1))
    assert raised.value.field == "alternatives"


@given(st.floats())
def test_an_error_rate_is_a_share_between_none_and_all(rate):
    request = pb.RecognizeRequest(accepted_error_rate=rate)
    if 0 < rate < 1:
        assert to_options(request).error_rate == rate
    else:
        with pytest.raises(BadOption, match="above 0 and below 1") as raised:
            to_options(request)
        assert raised.value.field == "accepted_error_rate"
