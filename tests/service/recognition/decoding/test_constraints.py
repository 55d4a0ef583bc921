import re
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from service.errors import BadConstraint
from service.recognition.decoding.automaton import DEAD, MOST_STATES
from service.recognition.decoding.constraints import (
    MOST_DIGITS,
    all_of,
    allowed,
    isbn10,
    isbn13,
    length,
    luhn,
    mod97,
    verhoeff,
)
from service.recognition.decoding.regex import MOST_PATTERN, pattern

digit_strings = st.text("0123456789", max_size=16)

# Check digits once more, straight from their definitions.


def luhn_holds(text):
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(text[::-1])]
    return len(text) >= 2 and sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def mod97_holds(text):
    return len(text) >= 3 and int(text) % 97 == 1


def isbn10_holds(text):
    weighted = sum(
        weight * int(digit) for weight, digit in zip(range(10, 0, -1), text, strict=False)
    )
    return len(text) == 10 and weighted % 11 == 0


def isbn13_holds(text):
    weighted = sum((1, 3)[place % 2] * int(digit) for place, digit in enumerate(text))
    return len(text) == 13 and text[:3] in {"978", "979"} and weighted % 10 == 0


# The tables as they are printed everywhere, against our group.
VERHOEFF_PRODUCTS = [
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
]  # fmt: skip
VERHOEFF_PLACES = [
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
]  # fmt: skip


def verhoeff_holds(text):
    check = 0
    for place, digit in enumerate(text[::-1]):
        check = int(VERHOEFF_PRODUCTS[check][int(VERHOEFF_PLACES[place % 8][int(digit)])])
    return len(text) >= 2 and check == 0


CHECKS = [
    (luhn(), luhn_holds),
    (mod97(), mod97_holds),
    (isbn10(), isbn10_holds),
    (isbn13(), isbn13_holds),
    (verhoeff(), verhoeff_holds),
]


@pytest.mark.parametrize(("constraint", "holds"), CHECKS)
@given(digits=digit_strings)
def test_check_digits_are_those_of_their_definitions(constraint, holds, digits):
    assert constraint.allows(digits) == holds(digits)


@pytest.mark.parametrize(("constraint", "holds"), CHECKS)
@given(body=st.text("0123456789", min_size=1, max_size=15), prefix=st.sampled_from(["", "978"]))
def test_check_digits_complete_strings_exactly_where_their_definitions_do(
    constraint, holds, body, prefix
):
    for last in "0123456789":
        assert constraint.allows(prefix + body + last) == holds(prefix + body + last)


@pytest.mark.parametrize(
    ("constraint", "number"),
    [
        (luhn(), "79927398713"),  # Wikipedia's example
        (luhn(), "4111111111111111"),
        (isbn10(), "0306406152"),
        (isbn13(), "9780306406157"),
        (verhoeff(), "2363"),
        (verhoeff(), "123451"),
        (mod97(), "3214282912345698765432161182"),  # IBAN GB82 WEST ..., its letters as numbers
    ],
)
def test_known_numbers_hold_and_one_wrong_digit_is_seen(constraint, number):
    assert constraint.allows(number)
    for place, digit in product(range(len(number)), "0123456789"):
        if digit != number[place]:
            assert not constraint.allows(number[:place] + digit + number[place + 1 :])


def test_isbn10_with_check_digit_x_cannot_be_read():
    body = "080442957"  # 0-8044-2957-X
    assert not any(isbn10().allows(body + digit) for digit in "0123456789")


@given(digit_strings, st.integers(0, 9), st.none() | st.integers(0, 9))
def test_length_bounds_the_number_of_digits(digits, least, more):
    constraint = length(least, None if more is None else least + more)
    assert constraint.allows(digits) == (
        least <= len(digits) and (more is None or len(digits) <= least + more)
    )


@pytest.mark.parametrize("bounds", [(-1, 3), (3, 2), (0, MOST_DIGITS + 1), (MOST_DIGITS + 1, None)])
def test_impossible_lengths_are_refused(bounds):
    with pytest.raises(BadConstraint, match=f"expected 0 ≤ least ≤ most ≤ {MOST_DIGITS}"):
        length(*bounds)


@given(st.lists(st.text("0123", min_size=1, max_size=4), min_size=1, max_size=8))
def test_a_list_allows_its_values_and_nothing_else(values):
    constraint = allowed(values)
    for size in range(5):
        for digits in map("".join, product("0123", repeat=size)):
            assert constraint.allows(digits) == (digits in values)


def test_a_list_writes_its_values_as_they_were_given():
    constraint = allowed(["12-34", "56.7", "1-234"])
    assert constraint.write("1234") == "12-34"
    assert constraint.write("567") == "56.7"


@pytest.mark.parametrize("values", [[], [""], ["12", "ab"], ["٣"]])
def test_lists_without_digits_are_refused(values):
    with pytest.raises(BadConstraint):
        allowed(values)


def test_a_list_that_needs_too_many_states_is_refused():
    with pytest.raises(BadConstraint, match=str(MOST_STATES)):
        allowed(f"{number:08}" for number in range(0, 100_000_000, 997))


# Patterns of what is supported, as text; each is a valid expression for `re` too.
atoms = st.sampled_from(["0", "1", "2", r"\d", "[01]", "[1-2]", "[02-3]"])
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{0,1}", "{1,}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)
SHORT = ["".join(digits) for size in range(5) for digits in product("0123", repeat=size)]


@settings(max_examples=150)
@given(patterns)
def test_patterns_allow_what_re_matches(text):
    constraint = pattern(text)
    expected = re.compile(text)
    for digits in SHORT:
        assert constraint.allows(digits) == bool(expected.fullmatch(digits))


written_patterns = st.recursive(
    st.sampled_from(["0", "1", r"\d", "-", r"\.", "/", "a"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(written_patterns)
def test_what_a_pattern_writes_matches_it_and_holds_the_digits(text):
    constraint = pattern(text)
    for digits in SHORT[:50]:
        if constraint.allows(digits):
            written = constraint.write(digits)
            assert re.fullmatch(text, written)
            assert "".join(c for c in written if c.isdigit()) == digits


def test_a_hyphen_is_written_but_takes_no_digit():
    postcode = pattern(r"\d{5}(-\d{4})?")
    assert postcode.allows("12345")
    assert postcode.allows("123456789")
    assert not postcode.allows("1234567")
    assert postcode.write("12345") == "12345"
    assert postcode.write("123456789") == "12345-6789"
    assert pattern(r"(\d{1,3})(\.\d{3})*,\d\d").write("123456789") == "1.234.567,89"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("(1", "no ) for a ("),
        ("1)", "a ) that closes nothing"),
        ("1.2", "a bare '.'"),
        ("*1", "a bare '*'"),
        ("1**", "a repeat of a repeat"),
        ("1+?", "a repeat of a repeat"),
        ("[ab]", "a class of something else than digits"),
        ("[^0]", "a class of something else than digits"),
        ("[]", "a class of something else than digits"),
        ("[3-1]", "the range 3-1"),
        ("1{3,2}", "the repeat {3,2}"),
        ("1{999}", "the repeat {999}"),
        ("1{,2}", "a bare '{'"),
        (r"\w", "a backslash before what needs none"),
        ("1\\", "a backslash before what needs none"),
        ("^1$", "a bare '^'"),
        ("(" * 60 + "1" + ")" * 60, "a group within 50 others"),
        ("٣", "of another script"),
    ],
)
def test_a_bad_pattern_is_refused_with_what_was_seen_and_what_is_allowed(text, seen):
    with pytest.raises(BadConstraint) as caught:
        pattern(text)
    assert seen in str(caught.value)
    assert r"allowed are digits, \d" in str(caught.value)
    assert (caught.value.reason, caught.value.field) == ("BAD_CONSTRAINT", "constraint")


@pytest.mark.parametrize(
    "text", ["1" * (MOST_PATTERN + 1), "(1{100}){100}", r"\d*1\d{20}", "(1|)" * 240]
)
def test_patterns_that_need_too_much_are_refused_or_built_in_bounds(text):
    try:
        constraint = pattern(text)
    except BadConstraint:
        return
    assert len(constraint.steps) <= MOST_STATES


@given(st.text(r"01\d[](){}?*+|,-.^$a", max_size=12))
def test_any_text_is_a_pattern_or_a_bad_constraint(text):
    try:
        constraint = pattern(text)
    except BadConstraint:
        return
    assert all(0 <= start < len(constraint.steps) for start in constraint.starts)


PARTS = [
    length(2, 3),
    length(3),
    pattern(r"\d*[02]"),
    pattern("(0|12)*"),
    allowed(["00", "012", "1212", "20", "3"]),
    luhn(),
]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3))
def test_constraints_together_allow_what_each_allows(parts):
    parts = [*parts, verhoeff()]
    together = all_of(*parts)
    for digits in SHORT:
        assert together.allows(digits) == all(part.allows(digits) for part in parts)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3))
def test_every_state_needs_exactly_as_many_digits_as_it_says(parts):
    together = all_of(*parts)
    for state, needs in enumerate(together.needs[:300]):
        reached = np.array([state])
        for _ in range(needs):
            assert not together.accepts[reached].any()
            reached = np.setdiff1d(together.steps[reached], [DEAD])
        assert together.accepts[reached].any()


@given(digits=digit_strings)
def test_starts_of_one_automaton_share_no_string(digits):
    assume(digits)
    for constraint in (luhn(), verhoeff()):
        accepted = 0
        for start in constraint.starts:
            state = start
            for digit in map(int, digits):
                state = constraint.steps[state, digit]
            accepted += bool(constraint.accepts[state])
        assert accepted <= 1


def test_what_nothing_satisfies_has_no_start():
    assert all_of(length(1), allowed(["12"]), pattern("34")).starts == ()
    assert not all_of(length(1, 1), luhn()).allows("0")


def test_together_the_first_that_writes_is_followed():
    both = all_of(length(4), pattern(r"\d\d-\d\d"), pattern(r"\d/\d*"))
    assert both.write("1234") == "12-34"


def test_together_too_many_states_are_refused():
    with pytest.raises(BadConstraint, match="needs over"):
        all_of(mod97(), verhoeff(), luhn(), length(0, 30))
    with pytest.raises(BadConstraint, match="expected at least one"):
        all_of()
