r"""Patterns, a small regular subset such as `\d{5}(-\d{4})?`, to automata."""

import re
from dataclasses import dataclass
from functools import cache

from service.errors import BadConstraint, quoted
from service.recognition.decoding.automaton import DIGITS, Constraint, explore, is_foreign
from service.recognition.decoding.constraints import MOST_DIGITS

MOST_PATTERN = 1000  # characters, and states of the automaton that a pattern spells
MOST_WORK = 200_000  # states of a pattern, met while it is made deterministic
MOST_NESTED = 50  # groups within groups


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
                f"the pattern {quoted(text)} spells over {MOST_PATTERN} places; "
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
            raise BadConstraint(f"the pattern {quoted(text)} needs too many states; simplify it")
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
    return explore([start], step, lambda states: final in states, spell if writes else None)


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
            f"the pattern {quoted(self.text)} has {seen} at character {self.at + 1}; {_ALLOWED}"
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
        if is_foreign(character):
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
