"""Score maps to readings: the text, its digits, and how sure they are. Pure numpy.

Paths, texts and sums are those of connectionist temporal classification (Graves et al. 2006):
a path names a label at every position; a run of one digit is one digit, `none` is the blank
between digits; a text's probability is the sum over the paths that say it. Most sums run over
when a digit begins and ends, and are cumulative sums in disguise: see `_stay`.
"""

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.constraints import DEAD, DIGITS, Constraint
from service.contract import NONE, ModelContract
from service.scorer import Scores

RUNNERS_UP = 3
STRINGS = 5  # the most probable ones, the reading included

# The weight of a path for each digit that it sets at the position next to another's, without
# `none` between: 1 is plain CTC, for models trained with it; 0 forbids it. A model trained on
# windows alone gives one digit two names, side by side, more often than it sees two. On 1,000
# strips of validation digits, exact strings: 1: 83%, 0.1: 88%, 0.01: 87%, 0: 86%; this is the
# strictest within one standard error of the best.
TOUCHING = 0.01

SEARCHED = 1024  # positions; longer maps are cut, so that time and memory grow with length only
SECTION = 128  # positions of such a piece, at most
BUDGET = 4096  # strings that a search may extend, spread evenly over their possible lengths
CELLS = 300_000  # positions × states of an automaton for which completions are summed

_BLANK = len(DIGITS)  # the row of `none`, below those of the digits
_LEAST = -1e6  # stands for minus infinity, which sums and differences do not bear
_NOTHING = _LEAST / 2  # log-masses below hold such a position: a network's are far above
_TIE = 9  # decimals of a log-probability; strings that agree in them are a tie

Floats = npt.NDArray[np.float64]


class Outcome(StrEnum):
    """What a constraint did to a reading."""

    FREE = "free"  # the most probable string of all satisfies it
    CHANGED = "changed"  # the reading is the most probable string that satisfies it
    IMPOSSIBLE = "impossible"  # no string that satisfies it was found; the reading does not
    UNSEARCHED = "unsearched"  # over SEARCHED positions, and the reading does not satisfy it


@dataclass(frozen=True)
class Alternative:
    """What a digit could be instead: a label, or `none` for no digit, and its probability."""

    label: str
    confidence: float


@dataclass(frozen=True)
class FoundDigit:
    """One digit of a reading.

    Its confidence compares the text with the ten texts that differ from it in this digit alone,
    by another label or by its absence: this text's share of their probability, each summed over
    its alignments. It is the digit's posterior given the rest of the text.
    """

    label: str
    confidence: float  # 0 to 1
    first: int  # the first position of the digit's run, on the text's best path
    last: int  # the last one, inclusive
    position: float  # its centre: the mean of its run, weighted by the chance of being in it
    runners_up: tuple[Alternative, ...]  # the likeliest of the ten other texts' labels


class Candidate(NamedTuple):
    """A text, and its probability given the scores."""

    text: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """What a row of scores says."""

    text: str  # with whatever the constraint's pattern writes between the digits
    confidence: float  # the text's probability given the scores, not calibrated
    digits: tuple[FoundDigit, ...]
    alternatives: tuple[Candidate, ...] = ()  # the next texts, the most probable first
    exact: bool = True  # these are the most probable texts; else, the best that were found
    outcome: Outcome | None = None  # without a constraint, None
    allowed: float = 1.0  # what all texts that the constraint allows have of probability, at most


def decode(
    scores: Scores,
    contract: ModelContract,
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    touching: float = TOUCHING,
) -> Reading:
    """Read a row of scores: its most probable text, by prefix search.

    The search is Graves et al. 2006, section 3.2, best first, over pairs of a prefix and a state
    of the constraint's automaton. Maps of over SEARCHED positions are cut where `none` is surest,
    as there, and read piece by piece; a constraint is then only checked.

    Args:
        scores: (positions, labels) log-probabilities.
        contract: the model's labels.
        constraint: what the text must satisfy.
        strings: how many texts to find at most, 1 or more, the reading included.
        touching: 0 to 1, the weight of two digits without `none` between; 1 is plain CTC.
    """
    if len(scores) > SEARCHED:
        return _decode_in_sections(scores, contract, constraint, strings, touching)
    lattice = _Lattice.of(scores, contract, touching)
    budget = BUDGET // len(scores)
    if constraint is None:
        found = _search(lattice, None, strings, budget)
        return _reading(lattice, found)
    free = _search(lattice, None, 1, budget)
    best = free.texts[0]
    held = _search(lattice, constraint, strings, budget)
    if constraint.allows(best.text):
        # An inexact search could have missed what the free one found.
        others = [each for each in held.texts if each.text != best.text]
        held = replace(held, texts=[best, *others][:strings])
        return _reading(lattice, held, Outcome.FREE, constraint)
    if held.texts:
        return _reading(lattice, held, Outcome.CHANGED, constraint)
    reading = _reading(lattice, free, Outcome.IMPOSSIBLE)
    return replace(reading, exact=free.exact and held.exact, allowed=held.mass)


def log_probability(
    scores: Scores, text: str, contract: ModelContract, touching: float = TOUCHING
) -> float:
    """Return the log-probability of a text of digits: CTC's forward sum over all its paths.

    Args:
        scores: (positions, labels) log-probabilities.
        text: digits only.
        contract: the model's labels.
        touching: as of `decode`; where it is not 1, all texts' weights are scaled to sum to 1.

    Returns:
        A natural logarithm; minus infinity if the text does not fit into the positions.
    """
    lattice = _Lattice.of(scores, contract, touching)
    state = lattice.empty
    for before, digit in zip([None, *text], text, strict=False):
        state = lattice.extend(state, before, digit)
    return state.whole - lattice.log_total if state.whole > _NOTHING else -math.inf


class _Prefix(NamedTuple):
    """Log-masses of the paths that, after so many positions, have said just this prefix."""

    digit: Floats  # (positions + 1,) ... and end on its last digit
    none: Floats  # (positions + 1,) ... and end on `none`

    @property
    def whole(self) -> float:
        return float(np.logaddexp(self.digit[-1], self.none[-1]))


@dataclass(frozen=True)
class _Lattice:
    """A score map, made ready for sums over paths."""

    logs: Floats  # (11, positions) log-probabilities of the digits, then of `none`
    ends: Floats  # (11, positions + 1) their sums over the positions before
    log_touching: float

    @classmethod
    def of(cls, scores: Scores, contract: ModelContract, touching: float) -> "_Lattice":
        order = [contract.labels.index(label) for label in (*DIGITS, NONE)]
        logs = np.maximum(scores.T[order].astype(np.float64), _LEAST)
        logs -= np.logaddexp.reduce(logs, axis=0)  # float32's rounding would make sums exceed 1
        ends = np.zeros((len(order), len(scores) + 1))
        np.cumsum(logs, axis=1, out=ends[:, 1:])
        return cls(logs, ends, float(np.log(touching)) if touching else -np.inf)

    @property
    def positions(self) -> int:
        return int(self.logs.shape[1])

    @property
    def empty(self) -> _Prefix:
        return _Prefix(np.full(self.positions + 1, -np.inf), self.ends[_BLANK])

    @cached_property
    def completions(self) -> "_Completions":
        """What follows a prefix where every string is allowed."""
        return _Completions(self, None)

    @property
    def log_total(self) -> float:
        """The log-mass of all paths: 0 for plain CTC."""
        return self.completions.log_mass(0)

    def starts(self, state: _Prefix, repeats: bool) -> Floats:
        """Return the log-masses after which another digit can begin; (positions + 1,).

        Args:
            state: the prefix before.
            repeats: the digit is the prefix's last, which `none` must keep apart.
        """
        if repeats:
            return state.none
        return np.logaddexp(state.none, state.digit + self.log_touching)

    def extend(self, state: _Prefix, before: str | None, digit: str) -> _Prefix:
        """Return the masses of a prefix with another digit after its last one."""
        on_digit = _stay(self.starts(state, digit == before), self.ends[int(digit)])
        return _Prefix(on_digit, _stay(on_digit, self.ends[_BLANK]))


def _stay(entering: Floats, ends: Floats) -> Floats:
    """Sum the ways to enter a label after s positions and stay on it until after t, for every t.

    The sum over s < t of exp(entering[s] + ends[t] - ends[s]) is a cumulative one, which spares
    the loop over positions. Its last axis is time.
    """
    sums = np.logaddexp.accumulate(entering[..., :-1] - ends[..., :-1], axis=-1)
    stayed = np.full(np.broadcast_shapes(entering.shape, ends.shape), -np.inf)
    stayed[..., 1:] = sums + ends[..., 1:]
    return stayed


def _stay_until(leaving: Floats, ends: Floats) -> Floats:
    """Sum the ways to stay on a label from after s positions and leave it after t > s."""
    return _stay(leaving[..., ::-1], -ends[..., ::-1])[..., ::-1]


class _Completions:
    """What follows a prefix: the mass of the paths on which it becomes an allowed string.

    With it, a prefix's bound is the mass of all allowed strings that begin with it, and a search
    enters nothing that cannot be completed in the positions left. It is the backward sum over
    positions × automaton states × labels; above CELLS of those, it is taken for 1 where the
    automaton can still accept within the positions left, for 0 elsewhere.
    """

    def __init__(self, lattice: _Lattice, constraint: Constraint | None) -> None:
        self.chances = np.exp(lattice.logs)  # (11, positions)
        self.constraint = constraint
        positions = lattice.positions
        self.left = positions - 1 - np.arange(positions)  # after each position
        self.scales = np.zeros(positions + 1)  # logarithms
        self.masses: Floats | None = None
        states = len(constraint.steps) if constraint else 1
        plain = constraint is None and lattice.log_touching == 0  # where all masses are 1
        if states and not plain and (constraint is None or positions * states <= CELLS):
            self.masses = self._sum(float(np.exp(lattice.log_touching)), states)
        self._weights: dict[int, Floats] = {}

    def _sum(self, touching: float, states: int) -> Floats:
        """Return the masses from each time, state, and label there; (positions + 1, states, 11).

        Those of time t are to be multiplied by exp(scales[t]).
        """
        chances, constraint = self.chances, self.constraint
        positions = chances.shape[1]
        masses = np.empty((positions + 1, states, _BLANK + 1))
        masses[-1] = constraint.accepts[:, None] if constraint else 1.0
        # Begin a digit: from another digit with the weight of touching, from `none` freely.
        begin = np.append(touching * (1 - np.eye(_BLANK)), np.ones((_BLANK, 1)), axis=1)
        after, digits = (constraint.steps if constraint else np.zeros((1, 10), int)), np.arange(10)
        dead = after == DEAD
        for t in range(positions - 1, -1, -1):
            later, now = masses[t + 1], masses[t]
            new = later[after, digits] * chances[:_BLANK, t]  # (states, 10)
            new[dead] = 0
            np.matmul(new, begin, out=now)
            now += later[:, _BLANK:] * chances[_BLANK, t]
            now[:, :_BLANK] += later[:, :_BLANK] * chances[:_BLANK, t]
            largest = now.max()
            if largest > 0:
                now /= largest
                self.scales[t] = self.scales[t + 1] + np.log(largest)
        return masses

    def log_mass(self, state: int) -> float:
        """Return the log-mass of all that an automaton's start leads to."""
        if self.masses is None:
            return 0.0
        with np.errstate(divide="ignore"):
            return float(np.log(self.masses[0, state, _BLANK]) + self.scales[0])

    def bounds(self, lattice: _Lattice, state: int, prefix: _Prefix, last: int | None) -> Floats:
        """Return the log-masses of allowed strings that begin with a prefix and one more digit.

        Returns:
            (10,) for each digit; minus infinity where there is no such string.
        """
        weights = self._weights_of(state)
        entering = lattice.starts(prefix, repeats=False)[:-1] + self.scales[1:]
        largest = entering.max()
        if largest < _NOTHING:
            return np.full(_BLANK, -np.inf)
        sums = weights @ np.exp(entering - largest)
        if last is not None:
            again = lattice.starts(prefix, repeats=True)[:-1] + self.scales[1:]
            sums[last] = weights[last] @ np.exp(again - largest)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(sums) + largest)

    def _weights_of(self, state: int) -> Floats:
        """Return the chance of each digit at each position times what completes it; (10, pos.)."""
        if self.constraint is None and self.masses is None:
            return self.chances[:_BLANK]
        if state not in self._weights:
            after = self.constraint.steps[state] if self.constraint else np.zeros(10, int)
            if self.masses is not None:
                completed = self.masses[1:, after, np.arange(10)].T * (after != DEAD)[:, None]
            else:
                assert self.constraint is not None
                needs = self.constraint.needs[after][:, None]
                completed = (needs <= self.left) & (after != DEAD)[:, None]
            self._weights[state] = self.chances[:_BLANK] * completed
        return self._weights[state]


@dataclass(frozen=True)
class _Found:
    texts: list[Candidate]  # digits only, the most probable first
    exact: bool
    mass: float  # the probability of all texts that were allowed, at most


def _search(lattice: _Lattice, constraint: Constraint | None, strings: int, budget: int) -> _Found:
    """Find the most probable texts, best first, by bounds that no text exceeds.

    Args:
        lattice: the scores.
        constraint: what the texts must satisfy.
        strings: how many to find at most.
        budget: how many prefixes of one length to extend, at least 1. One more, and the search
            is inexact: the prefix is dropped, and so is a text that could have been next.
    """
    completions = _Completions(lattice, constraint) if constraint else lattice.completions
    total = lattice.log_total
    starts = constraint.starts if constraint else (0,)
    masses = [completions.log_mass(start) for start in starts]
    # Whole texts wait among the prefixes, for no prefix to be left that could beat them. Ties
    # fall to the smaller text. [(cost, is a text, digits, state, masses of the prefix before)]
    heap: list[tuple[float, bool, str, int, _Prefix | None]] = [
        (-mass, False, "", start, None)
        for start, mass in zip(starts, masses, strict=True)
        if mass > -np.inf
    ]
    heapq.heapify(heap)
    extended: Counter[int] = Counter()
    texts: list[Candidate] = []
    exact = True
    while heap and len(texts) < strings:
        cost, is_text, digits, state, before = heapq.heappop(heap)
        if is_text:
            texts.append(Candidate(digits, min(float(np.exp(-cost - total)), 1.0)))
            continue
        if extended[len(digits)] == max(budget, 1):
            exact = False
            continue
        extended[len(digits)] += 1
        prefix, last = lattice.empty, None
        if before is not None:
            prefix = lattice.extend(before, digits[-2:-1], digits[-1])
            last = int(digits[-1])
        if (constraint is None or constraint.accepts[state]) and prefix.whole > _NOTHING:
            heapq.heappush(heap, (round(-prefix.whole, _TIE), True, digits, state, None))
        bounds = completions.bounds(lattice, state, prefix, last).tolist()
        for digit, bound in enumerate(bounds):
            if bound > -np.inf:
                after = int(constraint.steps[state, digit]) if constraint else 0
                # A little more than the bound: rounding must not put a text before its tie.
                cost = -bound - 10.0**-_TIE
                heapq.heappush(heap, (cost, False, digits + DIGITS[digit], after, prefix))
    mass = np.exp(min(np.logaddexp.reduce(masses) - total, 0.0)) if masses else 0.0
    return _Found(texts, exact, float(mass))


def _reading(
    lattice: _Lattice,
    found: _Found,
    outcome: Outcome | None = None,
    constraint: Constraint | None = None,
) -> Reading:
    """Return the reading of what a search found."""
    best, *others = (
        Candidate(constraint.write(text) if constraint else text, probability)
        for text, probability in found.texts
    )
    return Reading(
        text=best.text,
        confidence=best.probability,
        digits=_find_digits(lattice, found.texts[0].text),
        alternatives=tuple(others),
        exact=found.exact,
        outcome=outcome,
        allowed=found.mass if constraint else 1.0,
    )


def _find_digits(lattice: _Lattice, text: str, offset: int = 0) -> tuple[FoundDigit, ...]:
    """Place the digits of a text, and weigh each against what else could stand there."""
    labels = [int(digit) for digit in text]
    prefixes = [lattice.empty]
    for before, digit in zip(["", *text], text, strict=False):
        prefixes.append(lattice.extend(prefixes[-1], before, digit))
    suffixes = _suffixes(lattice, labels)
    found = []
    for i, (first, stop) in enumerate(_best_runs(lattice, labels)):
        # Log-masses of all that comes before and after, for each digit in this one's place.
        entering = np.tile(lattice.starts(prefixes[i], repeats=False), (_BLANK, 1))
        leaving = np.tile(suffixes[i + 1].joined, (_BLANK, 1))  # both (10, positions + 1)
        if i > 0:
            entering[labels[i - 1]] = lattice.starts(prefixes[i], repeats=True)
        if i + 1 < len(labels):
            leaving[labels[i + 1]] = suffixes[i + 1].apart
            absent = np.logaddexp.reduce(entering[labels[i + 1]] + suffixes[i + 1].begun)
        else:
            absent = prefixes[i].whole
        through = _stay(entering, lattice.ends[:_BLANK]) + leaving
        masses = np.append(np.logaddexp.reduce(through, axis=1), absent)
        leave = leaving[labels[i]]
        inside = prefixes[i + 1].digit + np.logaddexp(
            leave, _stay_until(leave, lattice.ends[labels[i]])
        )
        inside = inside[first + 1 : stop + 1]  # (run,) having said the digit at each position
        position = np.average(np.arange(first, stop), weights=np.exp(inside - inside.max()))
        found.append(_digit(labels[i], masses, offset + first, offset + stop, offset + position))
    return tuple(found)


class _Suffix(NamedTuple):
    """Log-masses of the paths that say just this suffix after so many positions."""

    begun: Floats  # (positions + 1,) ... and begin its first digit there
    apart: Floats  # (positions + 1,) ... after `none`, once the digit before has ended there
    joined: Floats  # (positions + 1,) ... with `none` or without


def _suffixes(lattice: _Lattice, labels: Sequence[int]) -> list[_Suffix]:
    """Return the masses of what follows the first 0, 1, ... all digits of a text."""
    none = lattice.ends[_BLANK]
    done = none[-1] - none  # nothing but `none`, or nothing at all
    suffixes = [_Suffix(np.full_like(none, -np.inf), done, done)]
    for label, follower in zip(labels[::-1], [None, *labels[::-1]], strict=False):
        after = suffixes[-1].apart if label == follower else suffixes[-1].joined
        begun = _stay_until(after, lattice.ends[label])
        apart = _stay_until(begun, none)
        suffixes.append(_Suffix(begun, apart, np.logaddexp(apart, begun + lattice.log_touching)))
    return suffixes[::-1]


def _digit(label: int, masses: Floats, first: int, stop: int, position: float) -> FoundDigit:
    """Return a digit found, given the log-masses of what can stand in its place; (11,)."""
    shares = np.exp(masses - np.logaddexp.reduce(masses))
    order = [int(index) for index in np.argsort(-shares, kind="stable") if index != label]
    names = (*DIGITS, NONE)
    return FoundDigit(
        label=names[label],
        confidence=float(shares[label]),
        first=first,
        last=stop - 1,
        position=float(position),
        runners_up=tuple(
            Alternative(names[index], float(shares[index])) for index in order[:RUNNERS_UP]
        ),
    )


def _best_runs(lattice: _Lattice, labels: Sequence[int]) -> list[tuple[int, int]]:
    """Return each digit's (first, stop) on the best path that says a text (Viterbi 1967)."""
    if not labels:
        return []
    none = lattice.ends[_BLANK]
    on_none, on_digit = none, np.full_like(none, -np.inf)
    entered, touched, ended = [], [], []
    for label, before in zip(labels, [None, *labels], strict=False):
        touching = on_digit + (-np.inf if label == before else lattice.log_touching)
        entered.append(np.maximum(on_none, touching) - lattice.ends[label])
        touched.append(touching > on_none)
        on_digit = _best_stay(np.maximum(on_none, touching), lattice.ends[label])
        on_none = _best_stay(on_digit, none)
        ended.append(on_digit - none)
    runs = []
    stop = int(ended[-1].argmax())
    for i in range(len(labels) - 1, -1, -1):
        first = int(entered[i][:stop].argmax())
        runs.append((first, stop))
        if i > 0:
            stop = first if touched[i][first] else int(ended[i - 1][:first].argmax())
    return runs[::-1]


def _best_stay(entering: Floats, ends: Floats) -> Floats:
    """Return the best of what `_stay` sums."""
    stayed = np.full_like(entering, -np.inf)
    stayed[1:] = np.maximum.accumulate(entering[:-1] - ends[:-1]) + ends[1:]
    return stayed


def _decode_in_sections(
    scores: Scores,
    contract: ModelContract,
    constraint: Constraint | None,
    strings: int,
    touching: float,
) -> Reading:
    """Read a long row of scores in pieces, cut where `none` is surest.

    Each piece is read as if it were alone, which leaves out the texts with a digit across a cut:
    the reading is not exact, however sure the cuts are.
    """
    none = scores[:, contract.none]
    cuts = [0]
    while len(scores) - cuts[-1] > SECTION:
        middle = cuts[-1] + SECTION // 2
        cuts.append(middle + int(none[middle : cuts[-1] + SECTION].argmax()))
    budget = max(BUDGET // len(scores), 1)
    texts = [Candidate("", 1.0)]
    digits: list[FoundDigit] = []
    for first, stop in zip(cuts, [*cuts[1:], len(scores)], strict=True):
        lattice = _Lattice.of(scores[first:stop], contract, touching)
        found = _search(lattice, None, strings, budget)
        digits += _find_digits(lattice, found.texts[0].text, first)
        texts = _joined(texts, found.texts)[:strings]
    text = "".join(digit.label for digit in digits)
    reading = Reading(text, texts[0].probability, tuple(digits), tuple(texts[1:]), exact=False)
    if constraint is None:
        return reading
    if not constraint.allows(text):
        return replace(reading, outcome=Outcome.UNSEARCHED)
    others = tuple(
        Candidate(constraint.write(each.text), each.probability)
        for each in texts[1:]
        if constraint.allows(each.text)
    )
    written = constraint.write(text)
    return replace(reading, text=written, alternatives=others, outcome=Outcome.FREE)


def _joined(left: list[Candidate], right: list[Candidate]) -> list[Candidate]:
    """Return the texts of two pieces together, the most probable first."""
    both = [Candidate(a.text + b.text, a.probability * b.probability) for a in left for b in right]
    both.sort(key=lambda each: -each.probability)  # stable: of the two best, the first remains
    unique: dict[str, Candidate] = {}
    for each in both:
        unique.setdefault(each.text, each)
    return list(unique.values())
