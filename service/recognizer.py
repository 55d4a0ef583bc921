"""The main path: gray page → strip → scores → reading. Read this file first."""

import math
from dataclasses import dataclass
from itertools import pairwise

from service.automaton import Constraint
from service.decoder import FoundDigit, Reading, decode
from service.image import Gray
from service.scorer import Scorer, Scores
from service.strip import Box, Strip, normalise


@dataclass(frozen=True)
class Recognition:
    """A page read: the answer, and what it rests on."""

    reading: Reading
    boxes: tuple[Box, ...]  # (digits,) each digit's extent in the source image
    strip: Strip
    scores: Scores  # (rows, positions, labels) log-probabilities; a strip has one row


class Recognizer:
    """Reads pages with one loaded model; safe to use from several threads at once."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.contract = scorer.contract

    def recognize(self, gray: Gray, constraint: Constraint | None = None) -> Recognition:
        """Read the digit string on a page.

        Args:
            gray: (height, width) uint8.
            constraint: what the string must satisfy.
        """
        strip = normalise(gray)
        scores = self.scorer.score(strip.pixels)
        reading = decode(scores[0], self.contract, constraint)
        return Recognition(reading, self._boxes(reading.digits, strip), strip, scores)

    def _boxes(self, digits: tuple[FoundDigit, ...], strip: Strip) -> tuple[Box, ...]:
        """Give each digit the ink nearer to its centre than to a neighbour's."""
        reach = self.contract.receptive_field / 2
        centres = [self.contract.centre(digit.position) for digit in digits]
        middles = [(before + after) / 2 for before, after in pairwise(centres)]
        return tuple(
            strip.ink_box(max(left, centre - reach), min(right, centre + reach))
            for left, centre, right in zip(
                [-math.inf, *middles], centres, [*middles, math.inf], strict=False
            )
        )
