"""What a string must satisfy, as automata that the decoder searches together with the scores.

Every constraint is one deterministic finite automaton over the ten digits. They meet in `all_of`,
the product automaton, of which only the states that a string can reach are built. States from
which nothing acceptable can be reached are cut off, so that a search never enters one.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from service.errors import BadConstraint

DIGITS = "0123456789"
DEAD = -1  # the state after a digit that is not allowed
MOST_DIGITS = 255  # in a length or a repeat
MOST_STATES = 50_000  # of an automaton
MOST_PATTERN = 1000  # characters, and states of the automaton that a pattern spells
MOST_WORK = 200_000  # states of a pattern, met while it is made deterministic
MOST_NESTED = 50  # groups within groups

State = TypeVar("State", bound=Hashable)
Steps = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Constraint:
    """A deterministic automaton; every one of its states can reach an accepting one.

    Several starts are several automata in one: from no two of them is the same string accepted.
    That is how a check digit counted from the right is checked from the left: one start for each
    place at which the first digit can stand.
    """

    steps: Steps  # (states, 10): the state after each digit, or DEAD
    accepts: npt.NDArray[np.bool_]  # (states,)
    needs: npt.NDArray[np.int32]  # (states,) the fewest digits from there to an accepting state
    starts: tuple[int, ...]  # none where nothing is allowed
    spell: Callable[[str], str] | None = None  # allowed digits -> text with all that is written

    def allows(self, digits: str) -> bool:
        """Say whether a string of digits is accepted."""
        for state in self.starts:
            for digit in digits:
                state = int(self.steps[state, int(digit)])  # noqa: PLW2901
                if state == DEAD:
                    break
            else:
                if self.accepts[state]:
                    return True
        return False

    def write(self, digits: str) -> str:
        """Return allowed digits as they are written: with a pattern's hyphens, say."""
        return self.spell(digits) if self.spell else digits


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
    return _explore(
        [0], lambda seen, _: seen + 1 if seen < last else beyond, lambda seen: seen >= least
    )


def allowed(values: Iterable[str]) -> Constraint:
    """Allow the values of a list: a trie.

    Characters that are no digits are written and seen nowhere; of two values with the same
    digits, the first is the one written.

    Raises:
        BadConstraint: there is none, one has no digit, or together they need too many states.
    """
    written: dict[str, str] = {}
    for value in values:
        written.setdefault("".join(c for c in value if c in DIGITS), value)
        if not any(c in DIGITS for c in value) or _foreign(value):
            raise BadConstraint(f"the allowed value {value!r} is not written in the digits 0 to 9")
    if not written:
        raise BadConstraint("the list of allowed values is empty; expected at least one")
    steps = [[DEAD] * 10]
    ends = set()
    for digits in written:
        state = 0
        for digit in map(int, digits):
            if steps[state][digit] == DEAD:
                _check_states(len(steps) + 1, "the list of allowed values")
                steps[state][digit] = len(steps)
                steps.append([DEAD] * 10)
            state = steps[state][digit]
        ends.add(state)
    accepts = np.isin(np.arange(len(steps)), list(ends))
    plain = all(digits == value for digits, value in written.items())
    return _trimmed(
        np.array(steps, np.int32), accepts, (0,), None if plain else written.__getitem__
    )


def luhn() -> Constraint:
    """Allow strings of two or more digits whose last is their Luhn check digit.

    ISO/IEC 7812-1, annex B: every second digit from the right, the check digit not, is doubled.
    """

    def step(state: tuple[int, bool, int], digit: int) -> tuple[int, bool, int]:
        seen, doubled, total = state
        return min(seen + 1, 2), not doubled, (total + sum(divmod((1 + doubled) * digit, 10))) % 10

    starts = [(0, doubled, 0) for doubled in (False, True)]
    return _explore(starts, step, lambda state: state == (2, True, 0))


def mod97() -> Constraint:
    """Allow numbers of three or more digits that leave 1 divided by 97: ISO 7064, MOD 97-10."""
    return _explore(
        [(0, 0)],
        lambda state, digit: (min(state[0] + 1, 3), (10 * state[1] + digit) % 97),
        lambda state: state == (3, 1),
    )


def isbn10() -> Constraint:
    """Allow ISBNs of ten digits (ISO 2108:1992); those that end in X cannot be read.

    One ISBN-10 in eleven has the check digit X, for ten. There is no such label, so a strip with
    one is read as some other ISBN or found impossible.
    """
    return _explore(
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

    return _explore([(0, 0)], step, lambda state: state == (13, 0))


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
    return _explore(starts, step, lambda state: state == (2, 7, 0))


def _dihedral(a: int, b: int) -> int:
    """Multiply two elements of the dihedral group of order ten; 5 to 9 are the reflections."""
    turn = (a + b if a < 5 else a - b) % 5
    return turn if (a < 5) == (b < 5) else turn + 5


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

    return _explore(
        [(a, b) for a in left.starts for b in right.starts],
        step,
        lambda pair: bool(left.accepts[pair[0]] and right.accepts[pair[1]]),
        left.spell or right.spell,
    )


def _explore(
    starts: Sequence[State],
    step: Callable[[State, int], State | None],
    accepts: Callable[[State], bool],
    spell: Callable[[str], str] | None = None,
) -> Constraint:
    """Tabulate every state that is reached from the starts."""
    index = {start: number for number, start in enumerate(starts)}
    states = list(starts)
    steps: list[list[int]] = []
    for state in states:  # grows as it goes
        row = []
        for digit in range(10):
            after = step(state, digit)
            if after is not None and after not in index:
                index[after] = len(states)
                states.append(after)
                _check_states(len(states), "the constraint")
            row.append(DEAD if after is None else index[after])
        steps.append(row)
    accepting = np.array([accepts(state) for state in states], np.bool_)
    table = np.array(steps, np.int32).reshape(-1, 10)
    return _trimmed(table, accepting, tuple(range(len(starts))), spell)


def _trimmed(
    steps: Steps,
    accepts: npt.NDArray[np.bool_],
    starts: tuple[int, ...],
    spell: Callable[[str], str] | None = None,
) -> Constraint:
    """Cut off the states from which no accepting state is reached."""
    never = len(steps)  # more digits than the longest way to an accepting state has
    needs = np.append(np.where(accepts, 0, never), never).astype(np.int32)  # [DEAD] is never
    while True:
        nearer = np.minimum(needs[:-1], needs[steps].min(axis=1, initial=never) + 1)
        if (nearer == needs[:-1]).all():
            break
        needs[:-1] = nearer
    alive = needs < never
    number = np.where(alive, np.cumsum(alive) - 1, DEAD).astype(np.int32)
    kept = alive[:-1]
    return Constraint(
        number[steps[kept]],
        accepts[kept],
        needs[:-1][kept],
        tuple(int(number[start]) for start in starts if alive[start]),
        spell,
    )


def _check_states(states: int, what: str) -> None:
    if states > MOST_STATES:
        raise BadConstraint(
            f"{what} needs over {MOST_STATES} states; at most that many are allowed"
        )


def _foreign(text: str) -> bool:
    """Say whether there are digits of other scripts, which would be taken for mere writing."""
    return any(c.isdigit() and c not in DIGITS for c in text)


# Patterns.


@dataclass(frozen=True)
class _One:
    digits: frozenset[int]  # that can stand here


@dataclass(frozen=True)
class _Written:
    character: str  # that is no digit


@dataclass(frozen=True)
class _Joined:
    parts: "tuple[_Node, ...]"


@dataclass(frozen=True)
class _Either:
    parts: "tuple[_Node, ...]"


@dataclass(frozen=True)
class _Repeated:
    part: "_Node"
    least: int
    most: int | None


_Node = _One | _Written | _Joined | _Either | _Repeated
_ALLOWED = (
    r"allowed are digits, \d, classes such as [0-46], groups ( ), ?, *, +, {n}, {m,n}, {m,}, |, "
    r"and other characters as they are written, those of \[](){}?*+|.^$ after a backslash"
)


def pattern(text: str) -> Constraint:
    r"""Allow what a regular expression matches as a whole.

    Allowed are digits, `\d`, classes of digits such as `[0-46]`, groups, `?`, `*`, `+`, `{n}`,
    `{m,n}`, `{m,}` and `|`. Any other character, such as the hyphen of `\d{5}(-\d{4})?`, stands
    for nothing that is seen: it takes no position and no digit, and `Constraint.write` puts it
    into the text, where it belongs by the match that `re` would find first.

    Raises:
        BadConstraint: it is not such an expression, or needs too many states.
    """
    nodes = _Parser(text).parse()
    edges: list[list[tuple[frozenset[int] | str, int]]] = [[]]  # of each state, the first to try

    def state() -> int:
        edges.append([])
        if len(edges) > MOST_PATTERN:
            raise BadConstraint(
                f"the pattern {text!r} spells over {MOST_PATTERN} places; "
                "at most that many are allowed"
            )
        return len(edges) - 1

    def build(node: _Node, start: int) -> int:  # Thompson 1968; returns the state at its end
        match node:
            case _One(digits):
                edges[start].append((digits, state()))
            case _Written(character):
                edges[start].append((character, state()))
            case _Joined(parts):
                for part in parts:
                    start = build(part, start)
                return start
            case _Either(parts):
                ends = []
                for part in parts:
                    edges[start].append(("", state()))
                    ends.append(build(part, len(edges) - 1))
                end = state()
                for each in ends:
                    edges[each].append(("", end))
            case _Repeated(part, least, most):
                for _ in range(least):
                    start = build(part, start)
                skips = []
                for _ in range((most or least) - least):
                    edges[start].append(("", state()))
                    skips.append(start)
                    start = build(part, len(edges) - 1)
                if most is None:
                    loop = state()
                    edges[start].append(("", loop))
                    edges[loop].append(("", state()))
                    edges[build(part, len(edges) - 1)].append(("", loop))
                    start = loop
                end = state()
                for each in [*skips, start]:
                    edges[each].append(("", end))
        return len(edges) - 1

    final = build(nodes, 0)
    return _from_edges(text, edges, final)


def _from_edges(
    text: str, edges: list[list[tuple[frozenset[int] | str, int]]], final: int
) -> Constraint:
    """Make the edges of a pattern deterministic: the subset construction (Rabin, Scott 1959)."""
    work = 0

    @cache
    def closed(begin: frozenset[int]) -> frozenset[int]:
        nonlocal work
        states, todo = set(begin), list(begin)
        while todo:
            for symbol, after in edges[todo.pop()]:
                if isinstance(symbol, str) and after not in states:
                    states.add(after)
                    todo.append(after)
        work += len(states)
        if work > MOST_WORK:
            raise BadConstraint(f"the pattern {text!r} needs too many states; simplify it")
        # Only states at which a digit is awaited, and the end, tell sets apart.
        return frozenset(
            each
            for each in states
            if each == final or any(not isinstance(symbol, str) for symbol, _ in edges[each])
        )

    def step(states: frozenset[int], digit: int) -> frozenset[int] | None:
        after = frozenset(
            target
            for each in states
            for symbol, target in edges[each]
            if not isinstance(symbol, str) and digit in symbol
        )
        return closed(after) if after else None

    def spell(digits: str) -> str:
        """Walk the edges as a backtracking matcher does, no place twice for the same digit."""
        todo, seen = [(0, 0, "")], set()
        while todo:
            place, count, written = todo.pop()
            if (place, count) in seen:
                continue
            seen.add((place, count))
            if place == final and count == len(digits):
                return written
            for symbol, after in reversed(edges[place]):
                if isinstance(symbol, str):
                    todo.append((after, count, written + symbol))
                elif count < len(digits) and int(digits[count]) in symbol:
                    todo.append((after, count + 1, written + digits[count]))
        raise ValueError(f"{digits!r} does not match {text!r}")

    writes = any(isinstance(symbol, str) and symbol for out in edges for symbol, _ in out)
    start = closed(frozenset([0]))
    return _explore([start], step, lambda states: final in states, spell if writes else None)


class _Parser:
    """A recursive-descent parser; `at` is the next character."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_PATTERN:
            raise BadConstraint(
                f"the pattern has {len(text)} characters; at most {MOST_PATTERN} are allowed"
            )
        self.text, self.at, self.depth = text, 0, 0

    def parse(self) -> _Node:
        node = self.either()
        if self.at < len(self.text):
            raise self.error("a ) that closes nothing")
        return node

    def error(self, seen: str) -> BadConstraint:
        return BadConstraint(
            f"the pattern {self.text!r} has {seen} at character {self.at + 1}; {_ALLOWED}"
        )

    def take(self, character: str) -> bool:
        taken = self.text.startswith(character, self.at)
        self.at += taken
        return taken

    def either(self) -> _Node:
        parts = [self.joined()]
        while self.take("|"):
            parts.append(self.joined())
        return parts[0] if len(parts) == 1 else _Either(tuple(parts))

    def joined(self) -> _Node:
        parts: list[_Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self.repeated(self.atom()))
        return _Joined(tuple(parts))

    def repeated(self, part: _Node) -> _Node:
        found = re.compile(r"[?*+]|\{([0-9]{1,9})(,([0-9]{1,9})?)?\}").match(self.text, self.at)
        if not found:
            return part
        sign, low, comma, high = found[0], found[1], found[2], found[3]
        if sign in "?*+":
            least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}[sign]
        else:
            least = int(low)
            most = int(high) if high else None if comma else least
        if max(least, most or 0) > MOST_DIGITS or (most is not None and most < least):
            raise self.error(f"the repeat {sign}, not of 0 ≤ m ≤ n ≤ {MOST_DIGITS},")
        self.at = found.end()
        if self.at < len(self.text) and self.text[self.at] in "?*+{":
            raise self.error("a repeat of a repeat")
        return _Repeated(part, least, most)

    def atom(self) -> _Node:
        character = self.text[self.at]
        if self.take("("):
            self.depth += 1
            if self.depth > MOST_NESTED:
                raise self.error(f"a group within {MOST_NESTED} others")
            node = self.either()
            self.depth -= 1
            if not self.take(")"):
                raise self.error("no ) for a (")
            return node
        if self.take("["):
            return self.digit_class()
        if self.take("\\"):
            if self.take("d"):
                return _One(frozenset(range(10)))
            if self.at == len(self.text) or self.text[self.at].isalnum():
                self.at -= 1
                raise self.error("a backslash before what needs none")
        elif character in r"]{}?*+.^$":
            raise self.error(f"a bare {character!r}")
        character = self.text[self.at]
        if _foreign(character):
            raise self.error(f"the digit {character!r} of another script")
        self.at += 1
        return _One(frozenset([int(character)])) if character in DIGITS else _Written(character)

    def digit_class(self) -> _Node:
        found = re.compile(r"((?:[0-9](?:-[0-9])?|\\d)+)\]").match(self.text, self.at)
        if not found:
            raise self.error("a class of something else than digits")
        digits: set[int] = set()
        for first, last in re.findall(r"([0-9]|\\d)(?:-([0-9]))?", found[1]):
            low, high = (0, 9) if first == r"\d" else (int(first), int(last or first))
            if low > high:
                raise self.error(f"the range {low}-{high}, which is empty,")
            digits.update(range(low, high + 1))
        self.at = found.end()
        return _One(frozenset(digits))
