"""The constraints that the decoder searches under: length, list, check digits, and all at once.

Each is an automaton; several meet in `all_of`, the product automaton, of which only the states
that a string can reach are built. `regex.py` has those that a pattern describes.
"""

from collections.abc import Iterable
from functools import reduce

import numpy as np

from service.errors import BadConstraint, quoted
from service.recognition.decoding.automaton import (
    DEAD,
    DIGITS,
    Constraint,
    check_states,
    explore,
    is_foreign,
    trim,
)

MOST_DIGITS = 255  # in a length, a repeat or an allowed value


def length(least: int, most: int | None = None) -> Constraint:
    """Allow strings of at least so many digits, and at most so many where that is given.

    Raises:
        BadConstraint: a bound is negative, above MOST_DIGITS, or they cross.
    """
    if not 0 <= least <= (least if most is None else most) <= MOST_DIGITS:
        raise BadConstraint(
            f"the length is {least} to {'any' if most is None else most}; "
            f"expected 0 ≤ least ≤ most ≤ {MOST_DIGITS}"
        )
    last = least if most is None else most
    beyond = last if most is None else None
    return explore(
        [0], lambda seen, _: seen + 1 if seen < last else beyond, lambda seen: seen >= least
    )


def allowed(values: Iterable[str]) -> Constraint:
    """Allow the values of a list: a trie.

    Characters that are no digits are written and seen nowhere; of two values with the same
    digits, the first is the one written.

    Raises:
        BadConstraint: there is none, one has no digit or over MOST_DIGITS, or together they need
            too many states.
    """
    written: dict[str, str] = {}
    for value in values:
        written.setdefault("".join(c for c in value if c in DIGITS), value)
        if not any(c in DIGITS for c in value) or is_foreign(value):
            raise BadConstraint(
                f"the allowed value {quoted(value)} is not written in the digits 0 to 9"
            )
    longest = max(map(len, written), default=0)
    if longest > MOST_DIGITS:
        raise BadConstraint(
            f"an allowed value has {longest} digits; at most {MOST_DIGITS} are allowed"
        )
    if not written:
        raise BadConstraint("the list of allowed values is empty; expected at least one")
    steps = [[DEAD] * 10]
    ends = set()
    for digits in written:
        state = 0
        for digit in map(int, digits):
            if steps[state][digit] == DEAD:
                check_states(len(steps) + 1, "the list of allowed values")
                steps[state][digit] = len(steps)
                steps.append([DEAD] * 10)
            state = steps[state][digit]
        ends.add(state)
    accepts = np.isin(np.arange(len(steps)), list(ends))
    plain = all(digits == value for digits, value in written.items())
    return trim(np.array(steps, np.int32), accepts, (0,), None if plain else written.__getitem__)


def luhn() -> Constraint:
    """Allow strings of two or more digits whose last is their Luhn check digit.

    ISO/IEC 7812-1, annex B: every second digit from the right, the check digit not, is doubled.
    """

    def step(state: tuple[int, bool, int], digit: int) -> tuple[int, bool, int]:
        seen, doubled, total = state
        return min(seen + 1, 2), not doubled, (total + sum(divmod((1 + doubled) * digit, 10))) % 10

    starts = [(0, doubled, 0) for doubled in (False, True)]
    return explore(starts, step, lambda state: state == (2, True, 0))


def mod97() -> Constraint:
    """Allow numbers of three or more digits that leave 1 divided by 97: ISO 7064, MOD 97-10."""
    return explore(
        [(0, 0)],
        lambda state, digit: (min(state[0] + 1, 3), (10 * state[1] + digit) % 97),
        lambda state: state == (3, 1),
    )


def isbn10() -> Constraint:
    """Allow ISBNs of ten digits (ISO 2108:1992); those that end in X cannot be read.

    One ISBN-10 in eleven has the check digit X, for ten. There is no such label, so a strip with
    one is read as some other ISBN or found impossible.
    """
    return explore(
        [(0, 0)],
        lambda state, digit: (
            (state[0] + 1, (state[1] + (10 - state[0]) * digit) % 11) if state[0] < 10 else None
        ),
        lambda state: state == (10, 0),
    )


def isbn13() -> Constraint:
    """Allow ISBNs of thirteen digits (ISO 2108:2017), which begin with 978 or 979."""
    first = ("9", "7", "89")

    def step(state: tuple[int, int], digit: int) -> tuple[int, int] | None:
        seen, total = state
        if seen == 13 or (seen < len(first) and str(digit) not in first[seen]):
            return None
        return seen + 1, (total + (3 if seen % 2 else 1) * digit) % 10

    return explore([(0, 0)], step, lambda state: state == (13, 0))


def verhoeff() -> Constraint:
    """Allow strings of two or more digits whose last is their Verhoeff check digit.

    Verhoeff 1969, "Error detecting decimal codes": digits, permuted by their place from the right
    (eight permutations in turn), multiply to the identity of the dihedral group of order ten.
    """
    once = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    places = [tuple(range(10))]
    for _ in range(7):
        places.append(tuple(once[digit] for digit in places[-1]))

    def step(state: tuple[int, int, int], digit: int) -> tuple[int, int, int]:
        seen, place, product = state
        return min(seen + 1, 2), (place - 1) % 8, _dihedral(places[place][digit], product)

    starts = [(0, place, 0) for place in range(8)]
    return explore(starts, step, lambda state: state == (2, 7, 0))


def _dihedral(a: int, b: int) -> int:
    """Multiply two elements of the dihedral group of order ten; 5 to 9 are the reflections."""
    turn = (a + b if a < 5 else a - b) % 5
    return turn if (a < 5) == (b < 5) else turn + 5


SCHEMES = {each.__name__: each for each in (luhn, mod97, isbn10, isbn13, verhoeff)}  # check digits


def all_of(*constraints: Constraint) -> Constraint:
    """Allow what every one of some constraints allows: their product automaton.

    Where several write characters that are no digits, the first one's are written.

    Raises:
        BadConstraint: none is given, or the product needs too many states.
    """
    if not constraints:
        raise BadConstraint("no constraint is given; expected at least one")
    return reduce(_both, constraints)


def _both(left: Constraint, right: Constraint) -> Constraint:
    steps = left.steps.tolist(), right.steps.tolist()

    def step(pair: tuple[int, int], digit: int) -> tuple[int, int] | None:
        a, b = steps[0][pair[0]][digit], steps[1][pair[1]][digit]
        return None if DEAD in (a, b) else (a, b)

    return explore(
        [(a, b) for a in left.starts for b in right.starts],
        step,
        lambda pair: bool(left.accepts[pair[0]] and right.accepts[pair[1]]),
        left.spell or right.spell,
    )
