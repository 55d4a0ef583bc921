"""What decoding returns: texts, digits, and how sure they are."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What a constraint did to a reading."""

    FREE = "free"  # the most probable string of all satisfies it
    CHANGED = "changed"  # the reading is the most probable string that satisfies it
    IMPOSSIBLE = "impossible"  # no string that satisfies it was found; the reading does not
    UNSEARCHED = "unsearched"  # over SEARCHED positions, and the reading does not satisfy it


SATISFIED = (None, Outcome.FREE, Outcome.CHANGED)


class RunnerUp(NamedTuple):
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
