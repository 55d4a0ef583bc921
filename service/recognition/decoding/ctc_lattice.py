"""Sums over the paths through score maps.

Paths, texts and sums are those of connectionist temporal classification (Graves et al. 2006):
a path names a label at every position; a run of one digit is one digit, `none` is the blank
between digits; a text's probability is the sum over the paths that say it. Most sums run over
when a digit begins and ends, and are cumulative sums in disguise: see `stay`. All views of a line
are summed at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.recognition.decoding.automaton import DIGITS
from service.recognition.model import Scores
from service.recognition.model_metadata import NONE, ModelMetadata

BLANK = len(DIGITS)  # the row of `none`, below those of the digits
LEAST = -1e6  # stands for minus infinity, which sums and differences do not bear
NOTHING = LEAST / 2  # log-masses below hold such a position: a network's are far above

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


class Prefix(NamedTuple):
    """Forward variables of a prefix: by view and position, log-masses of the paths that spell it.

    All are of shape (views, positions + 1).
    """

    digit: Floats  # ... and end on its last digit
    none: Floats  # ... and end on `none`
    begin: Floats  # ... and after which another digit than its last can begin

    @property
    def whole(self) -> Floats:
        """The log-masses of the paths that say just this prefix, to the end; (views,)."""
        return np.asarray(np.logaddexp(self.digit[:, -1], self.none[:, -1]))


@dataclass(frozen=True)
class Lattice:
    """The score maps of one line's views, made ready for sums over paths.

    A text's probability is the mean of what it has in the views, each with its share. Views with
    fewer positions than others end in certain `none`, which changes no text's probability.
    """

    logs: Floats  # (views, 11, positions) log-probabilities of the digits, then of `none`
    ends: Floats  # (views, 11, positions + 1) their sums over the positions before
    log_touching: Floats  # (views, 1)
    log_shares: Floats  # (views,)
    lengths: tuple[int, ...]  # positions of each view
    _known: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        maps: Sequence[Scores],
        models: Sequence[ModelMetadata],
        shares: Sequence[float] | None = None,
        touching: float | None = None,
    ) -> "Lattice":
        """Prepare score maps.

        Args:
            maps: (positions, labels) log-probabilities each, at least one.
            models: of each map, the metadata of its model.
            shares: (views,) positive; they need not sum to 1. None weighs all views alike.
            touching: in place of the models'.
        """
        lengths = tuple(map(len, maps))
        logs = np.full((len(maps), BLANK + 1, max(lengths)), LEAST)
        logs[:, BLANK] = 0.0
        for row, scores, model in zip(logs, maps, models, strict=True):
            row[:, : len(scores)] = scores.T[_order(model.labels)]
        np.maximum(logs, LEAST, out=logs)
        peaks = logs.max(axis=1, keepdims=True)
        # float32's rounding would make sums exceed 1
        logs -= peaks + np.log(np.exp(logs - peaks).sum(axis=1, keepdims=True))
        weights = [model.touching if touching is None else touching for model in models]
        shares = [1.0] * len(maps) if shares is None else shares
        with np.errstate(divide="ignore"):
            return cls._with_ends(
                logs,
                np.log(np.array(weights))[:, None],
                np.log(np.array(shares) / sum(shares)),
                lengths,
            )

    @classmethod
    def _with_ends(
        cls, logs: Floats, log_touching: Floats, log_shares: Floats, lengths: tuple[int, ...]
    ) -> "Lattice":
        ends = np.zeros((*logs.shape[:2], logs.shape[2] + 1))
        np.cumsum(logs, axis=2, out=ends[:, :, 1:])
        return cls(logs, ends, log_touching, log_shares, lengths)

    @property
    def positions(self) -> int:
        """How many positions the longest view has."""
        return int(self.logs.shape[2])

    @cached_property
    def plain(self) -> bool:
        """Whether all paths count alike, so that their probabilities sum to 1: plain CTC."""
        return not self.log_touching.any()

    @cached_property
    def chances(self) -> Floats:
        """The probabilities of the labels; (views, 11, positions)."""
        return np.exp(self.logs)

    @cached_property
    def log_totals(self) -> Floats:
        """The log-masses of all paths; (views,), zeros for plain CTC."""
        totals = np.zeros(len(self.logs))
        if self.plain:
            return totals
        touching = np.exp(self.log_touching)
        masses = np.zeros((len(self.logs), BLANK + 1))  # of the paths that end on each label
        masses[:, BLANK] = 1.0
        for chances in self.chances.transpose(2, 0, 1):
            digits, none = masses[:, :BLANK], masses[:, BLANK:]
            others = digits.sum(axis=1, keepdims=True) - digits
            masses = np.append(
                digits + none + touching * others, digits.sum(axis=1)[:, None] + none, 1
            )
            masses *= chances
            sums = masses.sum(axis=1)
            masses /= sums[:, None]
            totals += np.log(sums)
        return totals

    @cached_property
    def empty(self) -> Prefix:
        """The masses of the prefix that says nothing."""
        none = self.ends[:, BLANK]
        return Prefix(np.full_like(none, -np.inf), none, none)

    def part(self, views: Sequence[int]) -> "Lattice":
        """Return the lattice of some of the views, each with the same share of the vote.

        Args:
            views: rows of this lattice, at least one.
        """
        rows = list(views)
        lengths = tuple(self.lengths[row] for row in rows)
        return Lattice(
            self.logs[rows, :, : max(lengths)],
            self.ends[rows, :, : max(lengths) + 1],
            self.log_touching[rows],
            np.full(len(rows), -np.log(len(rows))),
            lengths,
            {text: masses[rows] for text, masses in self._known.items()},
        )

    def and_reversed(self) -> "Lattice":
        """Return a lattice of the first view and of the same from its end to its beginning."""
        logs = np.concatenate([self.logs[:1], self.logs[:1, :, ::-1]])
        touching = np.repeat(self.log_touching[:1], 2, axis=0)
        return Lattice._with_ends(logs, touching, np.log([0.5, 0.5]), self.lengths[:1] * 2)

    def extend(self, state: Prefix, digit: int, repeats: bool) -> Prefix:
        """Return the masses of a prefix with another digit after its last one.

        Args:
            state: the prefix before.
            digit: the one that follows.
            repeats: whether it is the prefix's last one again, which `none` must keep apart.
        """
        return self._follow(state.none if repeats else state.begin, self.ends[:, digit])

    def extend_each(
        self, state: Prefix, digits: Integers, repeats: npt.NDArray[np.bool_]
    ) -> Prefix:
        """Return what `extend` does, with a digit for each view; both are of shape (views,)."""
        entering = np.where(repeats[:, None], state.none, state.begin)
        return self._follow(entering, self.ends[np.arange(len(digits)), digits])

    def _follow(self, entering: Floats, ends: Floats) -> Prefix:
        on_digit = stay(entering, ends)
        on_none = stay(on_digit, self.ends[:, BLANK])
        touching = on_digit if self.plain else on_digit + self.log_touching
        return Prefix(on_digit, on_none, np.logaddexp(on_none, touching))

    def log_masses(self, text: str) -> Floats:
        """Return the log-masses of all paths that say a text of digits; (views,)."""
        if text not in self._known:
            state = self.empty
            for before, digit in zip(["", *text], text, strict=False):
                state = self.extend(state, int(digit), digit == before)
            self._known[text] = state.whole
        return self._known[text]


@lru_cache(maxsize=8)
def _order(labels: tuple[str, ...]) -> list[int]:
    return [labels.index(label) for label in (*DIGITS, NONE)]


def stay(entering: Floats, ends: Floats) -> Floats:
    """Sum the ways to enter a label after s positions and stay on it until after t, for every t.

    The sum over s < t of exp(entering[s] + ends[t] - ends[s]) is a cumulative one, which spares
    the loop over positions. The last axis is time; `entering` has the shape of the result.
    """
    stayed = np.empty(entering.shape)
    stayed[..., 0] = -np.inf
    until = stayed[..., 1:]
    np.subtract(entering[..., :-1], ends[..., :-1], out=until)
    np.logaddexp.accumulate(until, axis=-1, out=until)
    until += ends[..., 1:]
    return stayed
