"""Score maps to readings: the text, its digits, and how sure they are. Pure numpy."""

import math
from dataclasses import dataclass

import numpy as np

from service.contract import ModelContract
from service.scorer import Scores

RUNNERS_UP = 3
NEAREST = 1.75  # positions between two digits' centres; nearer ones are two names for one digit


@dataclass(frozen=True)
class Alternative:
    """A label and its probability where a digit was found."""

    label: str
    confidence: float


@dataclass(frozen=True)
class FoundDigit:
    """One digit of a reading."""

    label: str
    confidence: float  # the label's probability at the digit's best position
    first: int  # position at which the digit's run begins
    last: int  # position at which it ends, inclusive
    position: float  # its centre: the mean of its run, weighted by probability
    runners_up: tuple[Alternative, ...]  # the next labels at its best position


@dataclass(frozen=True)
class Reading:
    """What a row of scores says."""

    text: str
    confidence: float  # 0 to 1; not calibrated
    digits: tuple[FoundDigit, ...]


def decode(scores: Scores, contract: ModelContract) -> Reading:
    """Read a row of scores along its best path.

    Every position takes its likeliest label; a run of one digit is one digit, and `none`
    between two runs keeps equal digits apart: the best-path rule of connectionist temporal
    classification (Graves et al. 2006, section 3.2), with `none` as the blank.

    Args:
        scores: (positions, labels) float32 log-probabilities.
        contract: the model's labels.

    Returns:
        The reading. Its confidence is the product of its digits'; of an empty one, the
        probability of `none` where that is least.
    """
    path = scores.argmax(axis=1)  # (positions,)
    edges = np.flatnonzero(np.diff(path)) + 1
    runs = zip([0, *edges.tolist()], [*edges.tolist(), len(path)], strict=True)
    digits = _apart(
        [
            _digit(scores, first, stop, contract)
            for first, stop in runs
            if path[first] != contract.none
        ]
    )
    if digits:
        confidence = math.prod(digit.confidence for digit in digits)
    else:
        confidence = float(np.exp(scores[:, contract.none].min()))
    return Reading("".join(digit.label for digit in digits), confidence, digits)


def _apart(digits: list[FoundDigit]) -> tuple[FoundDigit, ...]:
    """Keep the surer of two digits that are nearer than two digits can be."""
    kept: list[FoundDigit] = []
    for digit in digits:
        if kept and digit.position - kept[-1].position < NEAREST:
            if digit.confidence > kept[-1].confidence:
                kept[-1] = digit
        else:
            kept.append(digit)
    return tuple(kept)


def _digit(scores: Scores, first: int, stop: int, contract: ModelContract) -> FoundDigit:
    label = int(scores[first].argmax())
    probabilities = np.exp(scores[first:stop, label].astype(np.float64))
    best = scores[first + int(probabilities.argmax())]
    order = [int(index) for index in np.argsort(-best, kind="stable") if index != label]
    return FoundDigit(
        label=contract.labels[label],
        confidence=float(probabilities.max()),
        first=first,
        last=stop - 1,
        position=float(np.average(np.arange(first, stop), weights=probabilities)),
        runners_up=tuple(
            Alternative(contract.labels[index], float(np.exp(best[index])))
            for index in order[:RUNNERS_UP]
        ),
    )
