"""The main path: gray page → line → views → scores → reading. Read this file first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from service.imaging.page import Gray, Page
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_search import (
    SEARCHED,
    Alternative,
    FoundDigit,
    Reading,
    decode_views,
)
from service.recognition.model import Scorer, Scores
from service.recognition.model_metadata import Calibration
from service.recognition.normalize import Box, Strip, View, normalize
from service.recognition.stage_timer import StageTimer

FIRST = View(upright=0.5)
# How else a line is looked at where the first reading is not sure: how tall its digits are is an
# estimate. The texts are voted on. On held-out strips, made and scanned, slants of all or nothing
# beside these sizes won nothing, and neither did asking where the first reading was surer.
OTHERS = tuple(View(upright=0.5, scale=scale) for scale in (0.8, 0.9, 1.12, 1.25))
SURE = 0.8  # probability of a first reading that needs no others
STRINGS = 3  # texts searched in every view, at least


class Decision(StrEnum):
    """What to do with a reading, given the share of accepted ones that may be wrong."""

    ACCEPT = "accept"
    REVIEW = "review"


@dataclass(frozen=True)
class Options:
    """What a caller asks of a reading."""

    constraint: Constraint | None = None
    alternatives: int = 0  # how many more texts to tell
    error_rate: float | None = None  # the share of accepted readings that may be wrong, 0 to 1


PLAIN = Options()


@dataclass(frozen=True)
class Recognition:
    """A page read: the answer, and what it rests on."""

    reading: Reading  # confidences of texts are calibrated
    boxes: tuple[Box, ...]  # (digits,) each digit's extent in the source image
    strip: Strip  # the view in which the text is likeliest
    scores: Scores  # (rows, positions, labels) log-probabilities of it; a strip has one row
    decision: Decision | None  # None if no error rate was given
    seconds: Mapping[str, float]  # what took them: normalize, score, search


class Recognizer:
    """Reads pages with one loaded model; safe to use from several threads at once.

    Args:
        scorer: the model.
        calibration: what to use instead of the model's own.
    """

    def __init__(self, scorer: Scorer, calibration: Calibration | None = None) -> None:
        self.scorer = scorer
        self.metadata = scorer.metadata
        if calibration is not None:
            self.metadata = replace(self.metadata, calibration=calibration)

    def recognize(self, page: Page | Gray, options: Options = PLAIN) -> Recognition:
        """Read the digit string on a page.

        Args:
            page: decoded, or gray levels of shape (height, width).
            options: what the string must satisfy, and what to tell of it.
        """
        timer = StageTimer()
        page = page if isinstance(page, Page) else Page(page)
        line = normalize(page.gray, page.aspect)
        strings = max(STRINGS, 1 + options.alternatives)
        strips = [line.strip(FIRST)]
        timer.took("normalize")
        scores = [self.scorer.score(strips[0].pixels)]
        timer.took("score")
        reading = decode_views([scores[0][0]], self.metadata, options.constraint, strings)
        timer.took("search")
        # The largest view must still be searched whole.
        if reading.confidence < SURE and scores[0].shape[1] <= SEARCHED // 2:
            strips += [line.strip(view) for view in OTHERS]
            timer.took("normalize")
            scores += self.scorer.score_each([strip.pixels for strip in strips[1:]])
            timer.took("score")
            maps = [each[0] for each in scores]
            reading = decode_views(maps, self.metadata, options.constraint, strings)
            timer.took("search")
        strip = strips[reading.view]
        reading = self._calibrated(reading, options.alternatives)
        return Recognition(
            reading,
            self._boxes(reading.digits, strip),
            strip,
            scores[reading.view],
            self._decide(reading, options.error_rate),
            timer.seconds,
        )

    def _calibrated(self, reading: Reading, alternatives: int) -> Reading:
        """Give the texts calibrated confidences, and leave out those that nobody asked for."""
        confidence = self.metadata.calibration.confidence
        return replace(
            reading,
            confidence=confidence(reading.confidence),
            alternatives=tuple(
                Alternative(text, confidence(probability))
                for text, probability in reading.alternatives[:alternatives]
            ),
        )

    def _decide(self, reading: Reading, error_rate: float | None) -> Decision | None:
        """Accept what is sure enough, and what the constraint allows."""
        if error_rate is None:
            return None
        sure = reading.confidence >= self.metadata.calibration.threshold(error_rate)
        return Decision.ACCEPT if sure and reading.satisfied else Decision.REVIEW

    def _boxes(self, digits: tuple[FoundDigit, ...], strip: Strip) -> tuple[Box, ...]:
        """Give each digit the ink nearer to its center than to a neighbor's."""
        reach = self.metadata.receptive_field / 2
        centers = [self.metadata.center(digit.position) for digit in digits]
        middles = [(before + after) / 2 for before, after in pairwise(centers)]
        return tuple(
            strip.ink_box(max(left, center - reach), min(right, center + reach))
            for left, center, right in zip(
                [-math.inf, *middles], centers, [*middles, math.inf], strict=False
            )
        )
