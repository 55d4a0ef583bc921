"""One or two models that look at a line of text and vote on what it says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.recognition.calibration import Evidence
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.ctc_search import log_probability
from service.recognition.decoding.reading import Alternative
from service.recognition.decoding.vote import Ballot, vote
from service.recognition.model import Scorer, Scores
from service.recognition.normalize import Line, Strip, View

FIRST = View(upright=0.5)
# How else a line is looked at where the first view is not sure: how tall its digits are is an
# estimate. Each row of sizes is a round; after it, all views so far are put to the vote. On
# held-out strips, made and scanned, slants of all or nothing beside these sizes won nothing.
ALONE = tuple(
    tuple(View(upright=0.5, scale=scale) for scale in scales)
    for scales in ((0.9, 1.12), (0.8, 1.25))
)
# Of 3,400 held-out strips, made and scanned, two readers read 85.2% right, for 0.6 further passes
# each; with the sizes above 85.1%, for 1.1; without any 84.5%.
PAIRED = (tuple(View(upright=0.5, scale=scale) for scale in (0.85, 1.2)),)
SURE = 0.8  # probability of a first reading that needs no others, without a second reader
ENOUGH = 0.5  # probability of a text, by the vote, that needs no further views
IMPOSSIBLE = math.log(1e-12)  # of a digit where there is no ink
FIRST_READER, SECOND_READER = "first", "second"


@dataclass(frozen=True)
class ReaderText:
    """The text of one reader alone, before the vote."""

    reader: str  # FIRST_READER or SECOND_READER
    texts: tuple[Alternative, ...]  # its own, then what the others say, by probability

    @property
    def text(self) -> str:
        """The most probable text."""
        return self.texts[0].text

    @property
    def confidence(self) -> float:
        """Its probability by these views, not calibrated."""
        return self.texts[0].probability


@dataclass(frozen=True)
class Look:
    """A view of a line, scored by a reader."""

    scorer: Scorer
    strip: Strip
    scores: Scores  # (1, positions, labels)


@dataclass(frozen=True)
class Round:
    """Views that some readers look at, before all looks so far are put to the vote."""

    readers: Sequence[Scorer]
    views: Sequence[View]
    enough: float  # probability of a text, by the vote, that needs no further round

    def settles(self, text: Alternative, constraint: Constraint | None) -> bool:
        """Whether the likeliest text after this round needs no further one.

        What the constraint would change is looked at in all rounds.
        """
        allowed = constraint is None or constraint.allows(text.text)
        return allowed and text.probability >= self.enough


@dataclass(frozen=True)
class Poll:
    """What some looks at a line say: all of them together, and each reader's alone."""

    lattice: Lattice  # of the looks, in their order
    ballot: Ballot
    readers: tuple[ReaderText, ...]
    evidence: Evidence


def score(scorer: Scorer, strip: Strip, line: Line) -> Scores:
    """Score a strip; a blank page has no digit, whatever a network makes of so much paper.

    Returns:
        (1, positions, labels) log-probabilities.
    """
    scores = scorer.score(strip.pixels)
    if not (strip.pixels.any() or line.page.mask.any() or line.page.erased.any()):
        scores = np.full_like(scores, IMPOSSIBLE)
        scores[..., scorer.metadata.none] = 0
    return scores


def look(readers: Sequence[Scorer], strips: Sequence[Strip], line: Line) -> list[Look]:
    """Score strips of a line by each of some readers.

    Each is scored alone: in one batch they would be padded to the widest, which costs more than it
    spares, and shows the second reader's last positions paper where the strip ends.

    Args:
        readers: those that look.
        strips: of the line, one a view.
        line: that the strips are of; if it is blank, so are they.

    Returns:
        One look for each reader and strip: the first reader's, then the second's.
    """
    return [
        Look(scorer, strip, score(scorer, strip, line)) for scorer in readers for strip in strips
    ]


class Readers:
    """The first reader, which looks at every line, and the second, which is consulted in doubt.

    Args:
        first: its model.
        second: the second reader's, if there is one.
        sure: probability of the first view's text, from which the second is not consulted; 1 or
            more consults it always.
        weight: of the second reader in the vote, 0 to 1.
        strings: how many texts a vote returns, from 1; each costs a search.
    """

    def __init__(
        self,
        first: Scorer,
        second: Scorer | None = None,
        sure: float = SURE,
        weight: float = 0.0,
        strings: int = 2,
    ) -> None:
        self.first, self.second = first, second
        self.sure, self.weight, self.strings = sure, weight, strings

    def rounds(self, further: bool) -> list[Round]:
        """Plan who looks at which views, cheapest first; most lines need the first round alone.

        Args:
            further: whether the line is narrow enough to be looked at in other sizes and by the
                second reader.

        Returns:
            At least one round; later ones add their looks to those before.
        """
        readers, sizes = [self.first], ALONE
        rounds = [Round(readers, (FIRST,), self.sure)]
        if self.second is not None and further:
            readers, sizes = [self.first, self.second], PAIRED
            # Nothing is so sure that the second reader would not be consulted: both look at once.
            at_once = self.sure >= 1
            consulted = Round(readers if at_once else [self.second], (FIRST,), ENOUGH)
            rounds = [consulted] if at_once else [*rounds, consulted]
        return rounds + [Round(readers, views, ENOUGH) for views in sizes] * further

    def lattice(self, looks: Sequence[Look]) -> Lattice:
        """Prepare looks for their vote, each reader's weight spread evenly over its own.

        Args:
            looks: at one line, the first reader's among them.
        """
        second = sum(look.scorer is not self.first for look in looks)
        weight = self.weight if second else 0.0
        shares = {
            True: (1 - weight) / (len(looks) - second),
            False: weight / max(second, 1),
        }
        return Lattice.of(
            [look.scores[0] for look in looks],
            [look.scorer.metadata for look in looks],
            [shares[look.scorer is self.first] for look in looks],
        )

    def poll(
        self,
        lattice: Lattice,
        looks: Sequence[Look],
        constraint: Constraint | None,
        text: Alternative,
    ) -> Poll:
        """Let looks vote: all of them together, and each reader's alone.

        Args:
            lattice: of the looks.
            looks: at the line.
            constraint: on the text.
            text: the likeliest of the lattice.

        Returns:
            The ballot of all looks, each reader's own text with what it thinks of the others, and
            the evidence of the most probable text.
        """
        rows: dict[str, list[int]] = {}
        for row, look in enumerate(looks):
            name = FIRST_READER if look.scorer is self.first else SECOND_READER
            rows.setdefault(name, []).append(row)
        ballot = vote(lattice, constraint, self.strings, text)
        best, *others = ballot.texts
        parts, alone = {FIRST_READER: lattice}, {FIRST_READER: ballot}
        if len(rows) > 1:
            parts = {name: lattice.part(own) for name, own in rows.items()}
            alone = {name: vote(part, constraint) for name, part in parts.items()}
        said = {best.text, *(each.best.text for each in alone.values())}
        readers, probabilities = [], []
        for name, part in parts.items():
            own = alone[name]
            texts = {
                text: own.best.probability
                if text == own.best.text
                else math.exp(log_probability(part, text))
                for text in said
            }
            rest = [Alternative(*each) for each in texts.items() if each[0] != own.best.text]
            rest.sort(key=lambda each: (-each.probability, each.text))
            own = replace(own, texts=(own.best, *rest))
            readers.append(ReaderText(name, own.written(constraint)))
            probabilities.append(texts[best.text])
        evidence = Evidence(
            probability=best.probability,
            # What a constraint forbids is no less probable for that: forced to a text that the
            # image hardly supports, a reading must not look sure for want of a rival.
            runner_up=max(others[0].probability if others else 0.0, 1 - ballot.allowed),
            digits=len(best.text),
            first=probabilities[0],
            second=probabilities[1] if len(probabilities) > 1 else None,
            agreed=len(said) == 1,
        )
        return Poll(lattice, ballot, tuple(readers), evidence)
