"""Sums over the paths through a score map.

Paths, texts and sums are those of connectionist temporal classification (Graves et al. 2006):
a path names a label at every position; a run of one digit is one digit, `none` is the blank
between digits; a text's probability is the sum over the paths that say it. Most sums run over
when a digit begins and ends, and are cumulative sums in disguise: see `stay`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.recognition.decoding.automaton import DEAD, DIGITS, Constraint
from service.recognition.model import Scores
from service.recognition.model_metadata import NONE, ModelMetadata

CELLS = 300_000  # positions × states of an automaton for which completions are summed

BLANK = len(DIGITS)  # the row of `none`, below those of the digits
LEAST = -1e6  # stands for minus infinity, which sums and differences do not bear
NOTHING = LEAST / 2  # log-masses below hold such a position: a network's are far above

Floats = npt.NDArray[np.float64]


class Prefix(NamedTuple):
    """Forward variables of a prefix: by position, log-masses of the paths that spell it."""

    digit: Floats  # (positions + 1,) ... and end on its last digit
    none: Floats  # (positions + 1,) ... and end on `none`

    @property
    def whole(self) -> float:
        """The log-mass of the paths that say just this prefix, to the end."""
        return float(np.logaddexp(self.digit[-1], self.none[-1]))


@dataclass(frozen=True)
class Lattice:
    """A score map, made ready for sums over paths."""

    logs: Floats  # (11, positions) log-probabilities of the digits, then of `none`
    ends: Floats  # (11, positions + 1) their sums over the positions before
    log_touching: float

    @classmethod
    def of(cls, scores: Scores, metadata: ModelMetadata, touching: float) -> "Lattice":
        """Prepare a score map of shape (positions, labels)."""
        order = [metadata.labels.index(label) for label in (*DIGITS, NONE)]
        logs = np.maximum(scores.T[order].astype(np.float64), LEAST)
        logs -= np.logaddexp.reduce(logs, axis=0)  # float32's rounding would make sums exceed 1
        ends = np.zeros((len(order), len(scores) + 1))
        np.cumsum(logs, axis=1, out=ends[:, 1:])
        return cls(logs, ends, float(np.log(touching)) if touching else -np.inf)

    @property
    def positions(self) -> int:
        """How many positions there are."""
        return int(self.logs.shape[1])

    @property
    def empty(self) -> Prefix:
        """The masses of the prefix that says nothing."""
        return Prefix(np.full(self.positions + 1, -np.inf), self.ends[BLANK])

    @cached_property
    def completions(self) -> "Completions":
        """What follows a prefix where every string is allowed."""
        return Completions(self, None)

    @property
    def log_total(self) -> float:
        """The log-mass of all paths: 0 for plain CTC."""
        return self.completions.log_mass(0)

    def starts(self, state: Prefix, repeats: bool) -> Floats:
        """Return the log-masses after which another digit can begin; (positions + 1,).

        Args:
            state: the prefix before.
            repeats: the digit is the prefix's last, which `none` must keep apart.
        """
        if repeats:
            return state.none
        return np.logaddexp(state.none, state.digit + self.log_touching)

    def extend(self, state: Prefix, before: str | None, digit: str) -> Prefix:
        """Return the masses of a prefix with another digit after its last one."""
        on_digit = stay(self.starts(state, digit == before), self.ends[int(digit)])
        return Prefix(on_digit, stay(on_digit, self.ends[BLANK]))


def stay(entering: Floats, ends: Floats) -> Floats:
    """Sum the ways to enter a label after s positions and stay on it until after t, for every t.

    The sum over s < t of exp(entering[s] + ends[t] - ends[s]) is a cumulative one, which spares
    the loop over positions. Its last axis is time.
    """
    sums = np.logaddexp.accumulate(entering[..., :-1] - ends[..., :-1], axis=-1)
    stayed = np.full(np.broadcast_shapes(entering.shape, ends.shape), -np.inf)
    stayed[..., 1:] = sums + ends[..., 1:]
    return stayed


def stay_until(leaving: Floats, ends: Floats) -> Floats:
    """Sum the ways to stay on a label from after s positions and leave it after t > s."""
    return stay(leaving[..., ::-1], -ends[..., ::-1])[..., ::-1]


class Completions:
    """What follows a prefix: the mass of the paths on which it becomes an allowed string.

    With it, a prefix's bound is the mass of all allowed strings that begin with it, and a search
    enters nothing that cannot be completed in the positions left. It is the backward sum over
    positions × automaton states × labels; above CELLS of those, it is taken for 1 where the
    automaton can still accept within the positions left, for 0 elsewhere.
    """

    def __init__(self, lattice: Lattice, constraint: Constraint | None) -> None:
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
        masses = np.empty((positions + 1, states, BLANK + 1))
        masses[-1] = constraint.accepts[:, None] if constraint else 1.0
        # Begin a digit: from another digit with the weight of touching, from `none` freely.
        begin = np.append(touching * (1 - np.eye(BLANK)), np.ones((BLANK, 1)), axis=1)
        after, digits = (constraint.steps if constraint else np.zeros((1, 10), int)), np.arange(10)
        dead = after == DEAD
        for t in range(positions - 1, -1, -1):
            later, now = masses[t + 1], masses[t]
            new = later[after, digits] * chances[:BLANK, t]  # (states, 10)
            new[dead] = 0
            np.matmul(new, begin, out=now)
            now += later[:, BLANK:] * chances[BLANK, t]
            now[:, :BLANK] += later[:, :BLANK] * chances[:BLANK, t]
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
            return float(np.log(self.masses[0, state, BLANK]) + self.scales[0])

    def bounds(self, lattice: Lattice, state: int, prefix: Prefix, last: int | None) -> Floats:
        """Return the log-masses of allowed strings that begin with a prefix and one more digit.

        Returns:
            (10,) for each digit; minus infinity where there is no such string.
        """
        weights = self._weights_of(state)
        entering = lattice.starts(prefix, repeats=False)[:-1] + self.scales[1:]
        largest = entering.max()
        if largest < NOTHING:
            return np.full(BLANK, -np.inf)
        sums = weights @ np.exp(entering - largest)
        if last is not None:
            again = lattice.starts(prefix, repeats=True)[:-1] + self.scales[1:]
            sums[last] = weights[last] @ np.exp(again - largest)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(sums) + largest)

    def _weights_of(self, state: int) -> Floats:
        """Return the chance of each digit at each position times what completes it; (10, pos.)."""
        if self.constraint is None and self.masses is None:
            return self.chances[:BLANK]
        if state not in self._weights:
            after = self.constraint.steps[state] if self.constraint else np.zeros(10, int)
            if self.masses is not None:
                completed = self.masses[1:, after, np.arange(10)].T * (after != DEAD)[:, None]
            else:
                assert self.constraint is not None
                needs = self.constraint.needs[after][:, None]
                completed = (needs <= self.left) & (after != DEAD)[:, None]
            self._weights[state] = self.chances[:BLANK] * completed
        return self._weights[state]


class Suffix(NamedTuple):
    """Backward variables of a suffix: by position, log-masses of the paths that spell it after."""

    begun: Floats  # (positions + 1,) ... and begin its first digit there
    apart: Floats  # (positions + 1,) ... after `none`, once the digit before has ended there
    joined: Floats  # (positions + 1,) ... with `none` or without


def suffixes(lattice: Lattice, labels: Sequence[int]) -> list[Suffix]:
    """Return the masses of what follows the first 0, 1, ... all digits of a text."""
    none = lattice.ends[BLANK]
    done = none[-1] - none  # nothing but `none`, or nothing at all
    suffixes = [Suffix(np.full_like(none, -np.inf), done, done)]
    for label, follower in zip(labels[::-1], [None, *labels[::-1]], strict=False):
        after = suffixes[-1].apart if label == follower else suffixes[-1].joined
        begun = stay_until(after, lattice.ends[label])
        apart = stay_until(begun, none)
        suffixes.append(Suffix(begun, apart, np.logaddexp(apart, begun + lattice.log_touching)))
    return suffixes[::-1]
