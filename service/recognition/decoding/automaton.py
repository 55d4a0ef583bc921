"""What a string must satisfy, as one deterministic finite automaton over the ten digits.

States from which nothing acceptable can be reached are cut off, so that a search never enters one.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from service.errors import BadConstraint

DIGITS = "0123456789"
DEAD = -1  # the state after a digit that is not allowed
MOST_STATES = 50_000  # of an automaton

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
                state = int(self.steps[state, int(digit)])  # noqa: PLW2901 - a walk
                if state == DEAD:
                    break
            else:
                if self.accepts[state]:
                    return True
        return False

    def write(self, digits: str) -> str:
        """Return allowed digits as they are written: with a pattern's hyphens, say."""
        return self.spell(digits) if self.spell else digits


def explore(
    starts: Sequence[State],
    step: Callable[[State, int], State | None],
    accepts: Callable[[State], bool],
    spell: Callable[[str], str] | None = None,
) -> Constraint:
    """Tabulate every state that is reached from the starts: a rule as a deterministic automaton.

    Args:
        starts: of the automaton; a string is accepted from any of them.
        step: the state after a digit from 0 to 9; None if no string goes on like that.
        accepts: whether a string may end in a state.
        spell: writes an accepted string of digits with the literals that belong to it.

    Raises:
        BadConstraint: there are more states than a constraint may have.
    """
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
                check_states(len(states), "the constraint")
            row.append(DEAD if after is None else index[after])
        steps.append(row)
    accepting = np.array([accepts(state) for state in states], np.bool_)
    table = np.array(steps, np.int32).reshape(-1, 10)
    return trim(table, accepting, tuple(range(len(starts))), spell)


def trim(
    steps: Steps,
    accepts: npt.NDArray[np.bool_],
    starts: tuple[int, ...],
    spell: Callable[[str], str] | None = None,
) -> Constraint:
    """Make a constraint of a table, without the states from which no accepting one is reached.

    Args:
        steps: (states, 10) the state after each digit, DEAD for none.
        accepts: (states,) whether a string may end there.
        starts: states.
        spell: as of `explore`.

    Returns:
        The constraint, with the fewest digits that each state still needs.
    """
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


def check_states(states: int, what: str) -> None:
    """Refuse an automaton that would be too large."""
    if states > MOST_STATES:
        raise BadConstraint(
            f"{what} needs over {MOST_STATES} states; at most that many are allowed"
        )


def is_foreign(text: str) -> bool:
    """Say whether there are digits of other scripts, which would be taken for mere writing."""
    return any(c.isdigit() and c not in DIGITS for c in text)
