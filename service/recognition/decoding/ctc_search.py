"""Score maps to readings: the text, its digits, and how sure they are. Pure numpy.

The sums over alignments that this searches by are `service.recognition.decoding.ctc_lattice`'s.
"""

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from service.recognition.decoding.automaton import DIGITS, Constraint
from service.recognition.decoding.ctc_lattice import (
    BLANK,
    NOTHING,
    Completions,
    Floats,
    Lattice,
    Prefix,
    stay,
    stay_until,
    suffixes,
)
from service.recognition.model import Scores
from service.recognition.model_metadata import NONE, ModelMetadata

RUNNERS_UP = 3
STRINGS = 5  # the most probable ones, the reading included

SEARCHED = 1024  # positions; longer maps are cut, so that time and memory grow with length only
SECTION = 128  # positions of such a piece, at most
BUDGET = 4096  # strings that a search may extend, spread evenly over their possible lengths

_TIE = 9  # decimals of a log-probability; strings that agree in them are a tie


class Outcome(StrEnum):
    """What a constraint did to a reading."""

    FREE = "free"  # the most probable string of all satisfies it
    CHANGED = "changed"  # the reading is the most probable string that satisfies it
    IMPOSSIBLE = "impossible"  # no string that satisfies it was found; the reading does not
    UNSEARCHED = "unsearched"  # over SEARCHED positions, and the reading does not satisfy it


SATISFIED = (None, Outcome.FREE, Outcome.CHANGED)


@dataclass(frozen=True)
class RunnerUp:
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
    position: float  # its center: the mean of its run, weighted by the chance of being in it
    runners_up: tuple[RunnerUp, ...]  # the likeliest of the ten other texts' labels


class Alternative(NamedTuple):
    """A text, and its probability given the scores."""

    text: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """The most probable text of a line, its digits and its alternatives."""

    text: str  # with whatever the constraint's pattern writes between the digits
    confidence: float  # the text's probability given the scores, not calibrated
    digits: tuple[FoundDigit, ...]
    alternatives: tuple[Alternative, ...] = ()  # the next texts, the most probable first
    exact: bool = True  # these are the most probable texts; else, the best that were found
    outcome: Outcome | None = None  # without a constraint, None
    allowed: float = 1.0  # upper bound on the probability of the texts that the constraint allows
    view: int = 0  # which of the score maps the digits are placed in: the text's likeliest

    @property
    def satisfied(self) -> bool:
        """Whether the text satisfies the constraint, where there is one."""
        return self.outcome in SATISFIED


def decode(
    scores: Scores,
    metadata: ModelMetadata,
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    touching: float | None = None,
) -> Reading:
    """Read a row of scores: its most probable text, by prefix search.

    The search is Graves et al. 2006, section 3.2, best first, over pairs of a prefix and a state
    of the constraint's automaton. Maps of over SEARCHED positions are cut where `none` is surest,
    as there, and read piece by piece; a constraint is then only checked.

    Args:
        scores: (positions, labels) log-probabilities.
        metadata: the model's labels, and how it was trained.
        constraint: what the text must satisfy.
        strings: how many texts to find at most, 1 or more, the reading included.
        touching: 0 to 1, the weight of two digits without `none` between; 1 is plain CTC, None
            the metadata's.
    """
    return decode_views([scores], metadata, constraint, strings, touching)


def decode_views(
    maps: Sequence[Scores],
    metadata: ModelMetadata,
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    touching: float | None = None,
) -> Reading:
    """Read a line that was scored several ways: each text has the mean of its probabilities.

    Args:
        maps: (positions, labels) log-probabilities each; over SEARCHED positions, one alone.
        metadata: as of `decode`, and so on.
        constraint: what the text must satisfy.
        strings: how many texts to find at most in each map.
        touching: as of `decode`.

    Raises:
        ValueError: several maps, one of them too long to be searched whole.
    """
    if len(maps) == 1 and len(maps[0]) > SEARCHED:
        touching = metadata.touching if touching is None else touching
        return _decode_in_sections(maps[0], metadata, constraint, strings, touching)
    views = [search(scores, metadata, constraint, strings, touching) for scores in maps]
    return locate(vote(views, constraint, strings), views, constraint)


@dataclass(frozen=True)
class SearchedView:
    """One view of a line: its score map, and the texts found in it."""

    lattice: Lattice
    free: "_Found"
    held: "_Found | None"  # under the constraint, where there is one


@dataclass(frozen=True)
class Ballot:
    """The texts that several views of a line vote for."""

    texts: tuple[Alternative, ...]  # digits only, the most probable first, at least one
    exact: bool  # no text could be more probable for all that was left out
    outcome: Outcome | None = None  # without a constraint, None
    allowed: float = 1.0  # upper bound on the probability of the texts that the constraint allows

    @property
    def best(self) -> Alternative:
        """The most probable text."""
        return self.texts[0]

    def probability(self, text: str) -> float:
        """Return a text's probability; 0 if it was not found."""
        return next((each.probability for each in self.texts if each.text == text), 0.0)

    @property
    def satisfied(self) -> bool:
        """Whether the texts satisfy the constraint, where there is one."""
        return self.outcome in SATISFIED

    def written(self, constraint: Constraint | None) -> tuple[Alternative, ...]:
        """Return the texts with the literals of the constraint inserted, if they satisfy it."""
        if constraint is None or not self.satisfied:
            return self.texts
        return tuple(Alternative(constraint.write(text), p) for text, p in self.texts)


def search(
    scores: Scores,
    metadata: ModelMetadata,
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    touching: float | None = None,
) -> SearchedView:
    """Find the most probable texts of one view, to vote on.

    Args:
        scores: (positions, labels) log-probabilities, at most SEARCHED positions.
        metadata: as of `decode`, and so on.
        constraint: what the text must satisfy.
        strings: how many texts to find at most.
        touching: as of `decode`.

    Raises:
        ValueError: there are more positions.
    """
    if len(scores) > SEARCHED:
        raise ValueError(f"only maps of up to {SEARCHED} positions can be searched whole")
    lattice = Lattice.of(scores, metadata, metadata.touching if touching is None else touching)
    budget = max(BUDGET // max(lattice.positions, 1), 1)
    held = _search(lattice, constraint, strings, budget) if constraint else None
    return SearchedView(lattice, _search(lattice, None, strings, budget), held)


def vote(
    views: Sequence[SearchedView],
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    weights: Sequence[float] | None = None,
) -> Ballot:
    """Give each text the weighted mean of its probabilities.

    Without a constraint, a text that is not among those found in a view counts as 0 there. Under
    one, the texts can be so improbable that only their logarithms differ, and each counts with
    what it has in every view.

    Args:
        views: at least one, all searched under the constraint.
        constraint: what the text must satisfy.
        strings: how many texts to keep at most.
        weights: of the views, positive; they need not sum to 1. None weighs all alike.
    """
    shares = np.ones(len(views)) if weights is None else np.array(weights, np.float64)
    shares /= shares.sum()
    free = _vote([view.free for view in views], shares, strings)
    if constraint is None:
        return Ballot(tuple(free.texts), free.exact)
    held = _vote_among(views, shares, strings)
    best = free.texts[0]
    if constraint.allows(best.text):
        # An inexact search could have missed what the free one found.
        others = [
            Alternative(text, min(probability, best.probability))
            for text, probability in held.texts
            if text != best.text
        ]
        return Ballot(tuple([best, *others][:strings]), held.exact, Outcome.FREE, held.mass)
    if held.texts:
        return Ballot(tuple(held.texts), held.exact, Outcome.CHANGED, held.mass)
    exact = free.exact and held.exact
    return Ballot(tuple(free.texts), exact, Outcome.IMPOSSIBLE, held.mass)


def locate(
    ballot: Ballot, views: Sequence[SearchedView], constraint: Constraint | None = None
) -> Reading:
    """Return the reading of the best text, its digits placed in the view that finds it likeliest.

    Args:
        ballot: what was voted for.
        views: in which the digits may be placed, at least one.
        constraint: that the text was to satisfy.
    """
    text = ballot.best.text
    view = 0
    if len(views) > 1:
        view = int(np.argmax([_log_probability(each.lattice, text) for each in views]))
    best, *others = ballot.written(constraint)
    return Reading(
        text=best.text,
        confidence=best.probability,
        digits=_find_digits(views[view].lattice, text),
        alternatives=tuple(others),
        exact=ballot.exact,
        outcome=ballot.outcome,
        allowed=ballot.allowed,
        view=view,
    )


def log_probability(
    scores: Scores, text: str, metadata: ModelMetadata, touching: float | None = None
) -> float:
    """Return the log-probability of a text of digits: CTC's forward sum over all its paths.

    Args:
        scores: (positions, labels) log-probabilities.
        text: digits only.
        metadata: the model's labels.
        touching: as of `decode`; where it is not 1, all texts' weights are scaled to sum to 1.

    Returns:
        A natural logarithm; minus infinity if the text does not fit into the positions.
    """
    touching = metadata.touching if touching is None else touching
    return _log_probability(Lattice.of(scores, metadata, touching), text)


def _log_probability(lattice: Lattice, text: str) -> float:
    state = lattice.empty
    for before, digit in zip([None, *text], text, strict=False):
        state = lattice.extend(state, before, digit)
    return state.whole - lattice.log_total if state.whole > NOTHING else -math.inf


@dataclass(frozen=True)
class _Found:
    texts: list[Alternative]  # digits only, the most probable first
    exact: bool
    mass: float  # the probability of all texts that were allowed, at most


def _vote(found: Sequence[_Found], shares: Floats, strings: int) -> _Found:
    """Find the texts of the highest mean probability, among the likeliest of each view.

    Args:
        found: in each view.
        shares: (views,) of the vote, summing to 1.
        strings: how many texts were sought in each view, and are kept.
    """
    if len(found) == 1:
        return found[0]
    means: dict[str, float] = {}
    unfound: dict[str, float] = {}  # what a text may have in views where it was not found
    least = [each.texts[-1].probability if len(each.texts) == strings else 0.0 for each in found]
    for each, share, left_out in zip(found, shares.tolist(), least, strict=True):
        for text, probability in each.texts:
            means[text] = means.get(text, 0.0) + share * probability
            unfound[text] = unfound.get(text, 0.0) + share * left_out
    texts = [Alternative(text, mean) for text, mean in means.items()]
    texts.sort(key=lambda each: (-round(each.probability, _TIE), each.text))
    nowhere = float(shares @ least)
    others = [each.probability + nowhere - unfound[each.text] for each in texts[1:]]
    exact = not texts or max([nowhere, *others]) <= texts[0].probability
    return _Found(
        texts[:strings],
        exact and all(each.exact for each in found),
        float(shares @ [each.mass for each in found]),
    )


def _vote_among(views: Sequence[SearchedView], shares: Floats, strings: int) -> _Found:
    """Find the texts of the highest mean probability that satisfy the constraint.

    Args:
        views: searched under the constraint.
        shares: (views,) of the vote, summing to 1.
        strings: how many texts were sought in each view, and are kept.
    """
    found = [view.held for view in views if view.held]
    if len(found) == 1:
        return found[0]

    def log_mean(logs: Sequence[float]) -> float:
        return float(np.logaddexp.reduce(np.log(shares) + logs))

    logs = {
        text: log_mean([_log_probability(view.lattice, text) for view in views])
        for text in {text for each in found for text, _ in each.texts}
    }
    ranked = sorted(logs, key=lambda text: (-round(logs[text], _TIE), text))
    unfound = log_mean(
        [
            _log_probability(view.lattice, each.texts[-1].text)
            if len(each.texts) == strings
            else -math.inf
            for view, each in zip(views, found, strict=True)
        ]
    )
    return _Found(
        [Alternative(text, math.exp(min(logs[text], 0.0))) for text in ranked[:strings]],
        all(each.exact for each in found) and (not ranked or unfound <= logs[ranked[0]]),
        float(shares @ [each.mass for each in found]),
    )


def _search(lattice: Lattice, constraint: Constraint | None, strings: int, budget: int) -> _Found:
    """Find the most probable texts, best first, by bounds that no text exceeds.

    Args:
        lattice: the scores.
        constraint: what the texts must satisfy.
        strings: how many to find at most.
        budget: how many prefixes of one length to extend, at least 1. One more, and the search
            is inexact: the prefix is dropped, and so is a text that could have been next.
    """
    completions = Completions(lattice, constraint) if constraint else lattice.completions
    total = lattice.log_total
    starts = constraint.starts if constraint else (0,)
    masses = [completions.log_mass(start) for start in starts]
    # Whole texts wait among the prefixes, for no prefix to be left that could beat them. Ties
    # fall to the smaller text. [(cost, is a text, digits, state, masses of the prefix before)]
    heap: list[tuple[float, bool, str, int, Prefix | None]] = [
        (-mass, False, "", start, None)
        for start, mass in zip(starts, masses, strict=True)
        if mass > -np.inf
    ]
    heapq.heapify(heap)
    extended: Counter[int] = Counter()
    texts: list[Alternative] = []
    exact = True
    while heap and len(texts) < strings:
        cost, is_text, digits, state, before = heapq.heappop(heap)
        if is_text:
            texts.append(Alternative(digits, min(float(np.exp(-cost - total)), 1.0)))
            continue
        if extended[len(digits)] == max(budget, 1):
            exact = False
            continue
        extended[len(digits)] += 1
        prefix, last = lattice.empty, None
        if before is not None:
            prefix = lattice.extend(before, digits[-2:-1], digits[-1])
            last = int(digits[-1])
        if (constraint is None or constraint.accepts[state]) and prefix.whole > NOTHING:
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


def _find_digits(lattice: Lattice, text: str, offset: int = 0) -> tuple[FoundDigit, ...]:
    """Place the digits of a text, and weigh each against what else could stand there."""
    labels = [int(digit) for digit in text]
    prefixes = [lattice.empty]
    for before, digit in zip(["", *text], text, strict=False):
        prefixes.append(lattice.extend(prefixes[-1], before, digit))
    following = suffixes(lattice, labels)
    found = []
    for i, (first, stop) in enumerate(_best_runs(lattice, labels)):
        # Log-masses of all that comes before and after, for each digit in this one's place.
        entering = np.tile(lattice.starts(prefixes[i], repeats=False), (BLANK, 1))
        leaving = np.tile(following[i + 1].joined, (BLANK, 1))  # both (10, positions + 1)
        if i > 0:
            entering[labels[i - 1]] = lattice.starts(prefixes[i], repeats=True)
        if i + 1 < len(labels):
            leaving[labels[i + 1]] = following[i + 1].apart
            absent = np.logaddexp.reduce(entering[labels[i + 1]] + following[i + 1].begun)
        else:
            absent = prefixes[i].whole
        through = stay(entering, lattice.ends[:BLANK]) + leaving
        masses = np.append(np.logaddexp.reduce(through, axis=1), absent)
        leave = leaving[labels[i]]
        inside = prefixes[i + 1].digit + np.logaddexp(
            leave, stay_until(leave, lattice.ends[labels[i]])
        )
        inside = inside[first + 1 : stop + 1]  # (run,) with the digit spelled at each position
        position = np.average(np.arange(first, stop), weights=np.exp(inside - inside.max()))
        found.append(_digit(labels[i], masses, offset + first, offset + stop, offset + position))
    return tuple(found)


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
            RunnerUp(names[index], float(shares[index])) for index in order[:RUNNERS_UP]
        ),
    )


def _best_runs(lattice: Lattice, labels: Sequence[int]) -> list[tuple[int, int]]:
    """Return each digit's (first, stop) on the best path that says a text (Viterbi 1967)."""
    if not labels:
        return []
    none = lattice.ends[BLANK]
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
    """Return the best of what `stay` sums."""
    stayed = np.full_like(entering, -np.inf)
    stayed[1:] = np.maximum.accumulate(entering[:-1] - ends[:-1]) + ends[1:]
    return stayed


def _decode_in_sections(
    scores: Scores,
    metadata: ModelMetadata,
    constraint: Constraint | None,
    strings: int,
    touching: float,
) -> Reading:
    """Read a long row of scores in pieces, cut where `none` is surest.

    Each piece is read as if it were alone, which leaves out the texts with a digit across a cut:
    the reading is not exact, however sure the cuts are.
    """
    none = scores[:, metadata.none]
    cuts = [0]
    while len(scores) - cuts[-1] > SECTION:
        middle = cuts[-1] + SECTION // 2
        cuts.append(middle + int(none[middle : cuts[-1] + SECTION].argmax()))
    budget = max(BUDGET // len(scores), 1)
    texts = [Alternative("", 1.0)]
    digits: list[FoundDigit] = []
    for first, stop in zip(cuts, [*cuts[1:], len(scores)], strict=True):
        lattice = Lattice.of(scores[first:stop], metadata, touching)
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
        Alternative(constraint.write(each.text), each.probability)
        for each in texts[1:]
        if constraint.allows(each.text)
    )
    written = constraint.write(text)
    return replace(reading, text=written, alternatives=others, outcome=Outcome.FREE)


def _joined(left: list[Alternative], right: list[Alternative]) -> list[Alternative]:
    """Return the texts of two pieces together, the most probable first."""
    both = [
        Alternative(a.text + b.text, a.probability * b.probability) for a in left for b in right
    ]
    both.sort(key=lambda each: -each.probability)  # stable: of the two best, the first remains
    unique: dict[str, Alternative] = {}
    for each in both:
        unique.setdefault(each.text, each)
    return list(unique.values())
