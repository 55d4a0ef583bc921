"""The most probable texts of a line, with proof that they are: CTC prefix search, best first."""

import heapq
from collections import Counter
from dataclasses import dataclass

import numpy as np

from service.recognition.decoding.automaton import DIGITS, Constraint
from service.recognition.decoding.completions import Completions
from service.recognition.decoding.ctc_lattice import BLANK, NOTHING, Floats, Lattice, Prefix
from service.recognition.decoding.reading import Alternative

MAJORITY = 0.5  # of all probability: no other text can have more than a text with more than that
BUDGET = 4096  # strings that a search may extend, spread evenly over their possible lengths

_TIE = 9  # decimals of a log-probability; strings that agree in them are a tie


@dataclass(frozen=True)
class Found:
    """The most probable texts of a lattice."""

    texts: tuple[Alternative, ...]  # digits only, the most probable first
    exact: bool = True  # no text could be more probable for all that was left out
    mass: float = 1.0  # upper bound on the probability of all texts that were allowed


def log_probability(lattice: Lattice, text: str) -> float:
    """Return the log-probability of a text, summed over all alignments (Graves et al. 2006).

    Args:
        lattice: of the views, whose probabilities are averaged by their shares.
        text: digits, without literals.

    Returns:
        The natural logarithm; minus infinity if no view has room for so many digits.
    """
    masses = lattice.log_masses(text)
    return _mean(lattice, np.where(masses > NOTHING, masses, -np.inf) - lattice.log_totals)


def most_probable(lattice: Lattice, best: Alternative | None = None) -> Found:
    """Find the most probable text; it is not searched for where that can be proved without.

    A text with more than half of all probability is the most probable one.

    Args:
        lattice: the scores.
        best: what `likeliest` found in them, if it is known.
    """
    best = best or likeliest(lattice)
    return Found((best,)) if best.probability > MAJORITY else search(lattice, None, 1)


def likeliest(lattice: Lattice) -> Alternative:
    """Return the most probable of the texts on the views' best paths, without a search.

    One text a view is tried: that of its most probable labels, position by position. The most
    probable text of all is hardly ever another one, and cannot be where this one has a probability
    of more than MAJORITY: the other texts share what is left.
    """
    best = Alternative("", -1.0)
    for text in likeliest_paths(lattice):
        log = round(log_probability(lattice, text), _TIE)
        best = max(best, Alternative(text, min(float(np.exp(log)), 1.0)), key=lambda each: each[1])
        if best.probability > MAJORITY:
            break
    return best


def likeliest_paths(lattice: Lattice) -> list[str]:
    """Return what the likeliest label of every position says, each text once."""
    texts = []
    for path in lattice.logs.argmax(axis=1).tolist():
        changes = zip(path, [BLANK, *path], strict=False)
        texts.append("".join(DIGITS[at] for at, before in changes if at not in (before, BLANK)))
    return list(dict.fromkeys(texts))


def search(
    lattice: Lattice, constraint: Constraint | None, strings: int, budget: int | None = None
) -> Found:
    """Find the most probable texts, best first, by bounds that no text exceeds.

    The search is Graves et al. 2006, section 3.2, best first, over pairs of a prefix and a state
    of the constraint's automaton, and over all views at once. It is inexact where the budget does
    not suffice: prefixes are dropped, and with them texts that could have been next.

    Args:
        lattice: the scores.
        constraint: what the texts must satisfy.
        strings: how many to find at most.
        budget: prefixes of each length to extend, at least 1; None shares BUDGET out evenly.
    """
    budget = max(BUDGET // lattice.positions, 1) if budget is None else budget
    completions = Completions(lattice, constraint)
    totals = lattice.log_totals
    starts = constraint.starts if constraint else (0,)
    masses = [_mean(lattice, completions.log_masses(start) - totals) for start in starts]
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
            texts.append(Alternative(digits, min(float(np.exp(-cost)), 1.0)))
            continue
        if extended[len(digits)] == budget:
            exact = False
            continue
        extended[len(digits)] += 1
        prefix, last = lattice.empty, None
        if before is not None:
            last = int(digits[-1])
            prefix = lattice.extend(before, last, digits[-1] == digits[-2:-1])
        if constraint is None or constraint.accepts[state]:
            whole = prefix.whole
            if whole.max() > NOTHING:
                cost = -round(_mean(lattice, whole - totals), _TIE)
                heapq.heappush(heap, (cost, True, digits, state, None))
        bounds = _means(lattice, completions.bounds(state, prefix, last) - totals[:, None])
        for digit, bound in enumerate(bounds):
            if bound > -np.inf:
                after = int(constraint.steps[state, digit]) if constraint else 0
                # A little more than the bound: rounding must not put a text before its tie.
                cost = -bound - 10.0**-_TIE
                heapq.heappush(heap, (cost, False, digits + DIGITS[digit], after, prefix))
    mass = np.exp(min(np.logaddexp.reduce(masses), 0.0)) if masses else 0.0
    return Found(tuple(texts), exact, float(mass))


def _mean(lattice: Lattice, logs: Floats) -> float:
    """Return the logarithm of the mean over the views; of (views,) logarithms."""
    return float(np.logaddexp.reduce(logs + lattice.log_shares))


def _means(lattice: Lattice, logs: Floats) -> list[float]:
    """Return the same of (views, texts) logarithms."""
    if len(logs) == 1:
        return list(map(float, logs[0]))
    return list(map(float, np.logaddexp.reduce(logs + lattice.log_shares[:, None], axis=0)))
