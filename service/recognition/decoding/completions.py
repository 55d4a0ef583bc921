"""What can follow a prefix: bounds on the texts that begin with it, which guide the search."""

import numpy as np

from service.recognition.decoding.automaton import DEAD, Constraint
from service.recognition.decoding.ctc_lattice import BLANK, NOTHING, Floats, Lattice, Prefix

CELLS = 300_000  # views × positions × states of an automaton for which completions are summed


class Completions:
    """What follows a prefix: the mass of the paths on which it becomes an allowed string.

    With it, a prefix's bound is the mass of all allowed strings that begin with it, and a search
    enters nothing that cannot be completed in the positions left. It is the backward sum over
    positions × automaton states × labels; above CELLS of those, it is taken for 1 where the
    automaton can still accept within the positions left, for 0 elsewhere.
    """

    def __init__(self, lattice: Lattice, constraint: Constraint | None) -> None:
        self.lattice, self.constraint = lattice, constraint
        self.chances = lattice.chances
        views, _, positions = self.chances.shape
        self.left = positions - 1 - np.arange(positions)  # after each position
        self.scales = np.zeros((views, positions + 1))  # logarithms
        self.masses: Floats | None = None
        states = len(constraint.steps) if constraint else 1
        plain = constraint is None and lattice.plain  # where all masses are 1
        few = constraint is None or views * positions * states <= CELLS
        if states and not plain and few:
            self.masses = self._sum(np.exp(lattice.log_touching), states)
        self._weights: dict[int, Floats] = {}

    def _sum(self, touching: Floats, states: int) -> Floats:
        """Return the masses from each time, state and label there; (time, views, states, 11).

        Those of time t are to be multiplied by exp(scales[:, t]).
        """
        chances, constraint = self.chances, self.constraint
        views, _, positions = chances.shape
        masses = np.empty((positions + 1, views, states, BLANK + 1))
        masses[-1] = constraint.accepts[:, None] if constraint else 1.0
        # Begin a digit: from another digit with the weight of touching, from `none` freely.
        apart = touching[:, :, None] * (1 - np.eye(BLANK))
        begin = np.append(apart, np.ones((views, BLANK, 1)), axis=2)
        after, digits = (constraint.steps if constraint else np.zeros((1, 10), int)), np.arange(10)
        dead = after == DEAD
        for t in range(positions - 1, -1, -1):
            later, now = masses[t + 1], masses[t]
            chance = chances[:, None, :, t]  # (views, 1, 11)
            new = later[:, after, digits] * chance[..., :BLANK]  # (views, states, 10)
            new[:, dead] = 0
            np.matmul(new, begin, out=now)
            now += later[..., BLANK:] * chance[..., BLANK:]
            now[..., :BLANK] += later[..., :BLANK] * chance[..., :BLANK]
            largest = now.max(axis=(1, 2))
            largest[largest == 0] = 1.0
            now /= largest[:, None, None]
            self.scales[:, t] = self.scales[:, t + 1] + np.log(largest)
        return masses

    def log_masses(self, state: int) -> Floats:
        """Return the log-masses of all that an automaton's start leads to; (views,)."""
        if self.masses is None:
            return np.zeros(len(self.chances))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.masses[0, :, state, BLANK]) + self.scales[:, 0])

    def bounds(self, state: int, prefix: Prefix, last: int | None) -> Floats:
        """Return the log-masses of allowed strings that begin with a prefix and one more digit.

        Args:
            state: of the automaton, after the prefix.
            prefix: the masses of the prefix.
            last: its last digit; None if it has none.

        Returns:
            (views, 10) for each digit; minus infinity where there is no such string.
        """
        weights = self._weights_of(state)
        entering = prefix.begin[:, :-1]
        if self.masses is not None:
            entering = entering + self.scales[:, 1:]
        largest = np.maximum(entering.max(axis=1, keepdims=True), NOTHING)
        sums = (weights @ np.exp(entering - largest)[:, :, None])[:, :, 0]
        if last is not None:
            again = prefix.none[:, :-1]
            if self.masses is not None:
                again = again + self.scales[:, 1:]
            sums[:, last] = (weights[:, last] * np.exp(again - largest)).sum(axis=1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(sums) + largest)

    def _weights_of(self, state: int) -> Floats:
        """Return the chance of each digit at each position times what completes it.

        They are of shape (views, 10, positions).
        """
        if self.constraint is None and self.masses is None:
            return self.chances[:, :BLANK]
        if state not in self._weights:
            after = self.constraint.steps[state] if self.constraint else np.zeros(10, int)
            if self.masses is not None:
                completed = self.masses[1:, :, after, np.arange(10)].transpose(1, 2, 0)
                completed = completed * (after != DEAD)[:, None]
            else:
                assert self.constraint is not None
                needs = self.constraint.needs[after][:, None]
                completed = (needs <= self.left) & (after != DEAD)[:, None]
            self._weights[state] = self.chances[:, :BLANK] * completed
        return self._weights[state]
