"""The vote: one text for all views of a line, however many there are and whoever scored them."""

from dataclasses import dataclass

from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.ctc_search import most_probable, search
from service.recognition.decoding.reading import SATISFIED, Alternative, Outcome


@dataclass(frozen=True)
class Ballot:
    """The texts that the views of a line vote for."""

    texts: tuple[Alternative, ...]  # digits only, the most probable first, at least one
    exact: bool  # no text could be more probable for all that was left out
    outcome: Outcome | None = None  # without a constraint, None
    allowed: float = 1.0  # upper bound on the probability of the texts that the constraint allows

    @property
    def best(self) -> Alternative:
        """The most probable text."""
        return self.texts[0]

    @property
    def satisfied(self) -> bool:
        """Whether the texts satisfy the constraint, where there is one."""
        return self.outcome in SATISFIED

    def written(self, constraint: Constraint | None) -> tuple[Alternative, ...]:
        """Return the texts with the literals of the constraint inserted, if they satisfy it."""
        if constraint is None or not self.satisfied:
            return self.texts
        return tuple(Alternative(constraint.write(text), p) for text, p in self.texts)


def vote(
    lattice: Lattice,
    constraint: Constraint | None = None,
    strings: int = 1,
    likeliest: Alternative | None = None,
) -> Ballot:
    """Find the texts of the highest mean probability over all views, each with its share.

    Args:
        lattice: the views' scores.
        constraint: what the text must satisfy.
        strings: how many texts to find at most; one alone often needs no search.
        likeliest: what `likeliest` found in the lattice, if it is known.
    """
    if constraint is None:
        found = (
            most_probable(lattice, likeliest) if strings == 1 else search(lattice, None, strings)
        )
        return Ballot(found.texts, found.exact)
    free, held = most_probable(lattice, likeliest), search(lattice, constraint, strings)
    best = free.texts[0]
    if constraint.allows(best.text):
        # An inexact search could have missed what the free one found.
        others = [
            Alternative(text, min(probability, best.probability))
            for text, probability in held.texts
            if text != best.text
        ]
        return Ballot((best, *others[: strings - 1]), held.exact, Outcome.FREE, held.mass)
    if held.texts:
        return Ballot(held.texts, held.exact, Outcome.CHANGED, held.mass)
    return Ballot(free.texts, free.exact and held.exact, Outcome.IMPOSSIBLE, held.mass)
