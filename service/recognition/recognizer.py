"""The main path: gray page → line → views → scores → reading. Read this file first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Self

from service.errors import ModelError
from service.imaging.page import Channel, Gray, Page
from service.recognition.calibration import Calibration, Evidence
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_search import likeliest
from service.recognition.decoding.decoder import STRINGS, decode, locate
from service.recognition.decoding.reading import Alternative, FoundDigit, Reading
from service.recognition.decoding.sections import SEARCHED
from service.recognition.decoding.vote import Ballot, vote
from service.recognition.ink_account import InkAccount, Reason, account
from service.recognition.model import CPU, ModelFiles, Scorer, Scores
from service.recognition.model_metadata import Pairing
from service.recognition.normalize import Box, Line, Strip, normalize
from service.recognition.readers import (
    FIRST,
    FIRST_READER,
    SURE,
    Look,
    Poll,
    Readers,
    ReaderText,
    look,
    score,
)
from service.recognition.stage_timer import StageTimer

MAX_ALTERNATIVES = 20


class Decision(StrEnum):
    """What to do with a reading, given the share of accepted ones that may be wrong."""

    ACCEPT = "accept"
    REVIEW = "review"


@dataclass(frozen=True)
class Options:
    """How to read a page."""

    constraint: Constraint | None = None
    alternatives: int = 0  # how many less probable texts to return; it changes nothing else
    error_rate: float | None = None  # tolerated among accepted readings, 0 to 1


PLAIN = Options()


@dataclass(frozen=True)
class Recognition:
    """A reading of a page, and what it rests on."""

    reading: Reading  # confidences of texts are calibrated
    readers: tuple[ReaderText, ...]  # the first reader's, and the second's if it was consulted
    evidence: Evidence  # what the confidence is computed from
    boxes: tuple[Box, ...]  # (digits,) each digit's extent in the source image
    strip: Strip  # of the first reader's views, that in which the text is likeliest
    scores: Scores  # (rows, positions, labels) log-probabilities of it; a strip has one row
    ink: InkAccount  # of the whole page
    decision: Decision | None  # None if no error rate was given
    reasons: tuple[Reason, ...]  # for the decision REVIEW, the graver first
    seconds: Mapping[str, float]  # by stage: normalize, score, search
    channel: Channel = Channel.LUMINANCE  # what of the page's color was read


class Recognizer:
    """Reads pages with one or two loaded models; safe to use from several threads at once.

    The first reader reads every page. Where its first view is not sure, the second reader looks at
    it, too; where both together are not, they look at the line in more sizes. Texts are voted on.
    The first reader's score map locates the digits.

    Args:
        scorer: the first reader's model.
        second: the second reader's.
        calibration: what to use instead of the first model's own, or the pair's.

    Raises:
        ModelError: the first model was calibrated beside another second reader.
    """

    def __init__(
        self,
        scorer: Scorer,
        second: Scorer | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.scorer = scorer
        self.second = second
        self.metadata = scorer.metadata
        self.calibration = self.metadata.calibration
        sure, weight = SURE, 0.0
        if second is not None:
            pairing = self.metadata.pairing or Pairing(second.digest)
            if pairing.second != second.digest:
                raise ModelError(
                    f"the model {scorer.digest[:12]} was calibrated beside the second reader "
                    f"{pairing.second[:12]}, not {second.digest[:12]}; calibrate the two together "
                    "or use no second reader"
                )
            sure, weight = pairing.sure, pairing.weight
            self.calibration = pairing.calibration
        if calibration is not None:
            self.calibration = calibration
        # The runner-up costs a search that the best text often does without.
        strings = 2 if second is None or self.calibration.weighs("margin") else 1
        self.readers = Readers(scorer, second, sure, weight, strings)

    @classmethod
    def load(
        cls,
        files: ModelFiles,
        threads: int = 1,
        providers: Sequence[str] = CPU,
        tile_positions: int = 1024,
    ) -> Self:
        """Load the models; the arguments are those of `Scorer`.

        Raises:
            ModelError, SettingsError: as `Scorer` does.
        """
        first = Scorer(files.first, threads, providers, tile_positions)
        if files.second is None:
            return cls(first)
        # Its positions look at their neighbors, which tiles would hide; it reads no wider strips.
        whole = max(tile_positions, SEARCHED)
        return cls(first, Scorer(files.second, threads, providers, whole, "the second reader"))

    def recognize(self, page: Page | Gray, options: Options = PLAIN) -> Recognition:
        """Read the digit string on a page.

        Args:
            page: decoded, or gray levels of shape (height, width).
            options: what the string must satisfy, and what to return of it.
        """
        timer = StageTimer()
        page = page if isinstance(page, Page) else Page(page)
        line = normalize(page.gray, page.aspect)
        strip = line.strip(FIRST)
        timer.took("normalize")
        positions = self.metadata.positions(strip.pixels.shape[1])
        if positions > SEARCHED:
            # No other view of it is taken, and of a wide line, each array of its pixels counts.
            line = replace(line, pixels=line.pixels[:, :0].copy())
            recognition = self._recognize_wide(line, strip, options, timer)
            return replace(recognition, channel=page.channel)
        looks: list[Look] = []
        # The largest view must still be searched whole.
        for each in self.readers.rounds(positions <= SEARCHED // 2):
            strips = [strip if view == FIRST else line.strip(view) for view in each.views]
            timer.took("normalize")
            looks += look(each.readers, strips, line)
            timer.took("score")
            lattice = self.readers.lattice(looks)
            text = likeliest(lattice)
            if each.settles(text, options.constraint):
                break
            timer.took("search")
        poll = self.readers.poll(lattice, looks, options.constraint, text)
        first = [row for row, each in enumerate(looks) if each.scorer is self.scorer]
        ballot = self._more(poll, options)
        reading = locate(ballot, poll.lattice, first, options.constraint)
        reading = replace(reading, alternatives=reading.alternatives[: options.alternatives])
        own = looks[first[reading.view]]
        recognition = self._recognition(
            reading, poll.readers, poll.evidence, line, own.strip, own.scores, options, timer
        )
        return replace(recognition, channel=page.channel)

    def _recognize_wide(
        self, line: Line, strip: Strip, options: Options, timer: StageTimer
    ) -> Recognition:
        """Read a line that is too wide to be searched whole: by the first reader alone."""
        scores = score(self.scorer, strip, line)
        timer.took("score")
        strings = max(STRINGS, 1 + options.alternatives)
        reading = decode(scores[0], self.metadata, options.constraint, strings)
        next_best = reading.alternatives[0].probability if reading.alternatives else 0.0
        next_best = max(next_best, 1 - reading.allowed)
        evidence = Evidence(reading.confidence, next_best, len(reading.digits), reading.confidence)
        reading = replace(reading, alternatives=reading.alternatives[: options.alternatives])
        readers = (ReaderText(FIRST_READER, (Alternative(reading.text, reading.confidence),)),)
        return self._recognition(reading, readers, evidence, line, strip, scores, options, timer)

    def _more(self, poll: Poll, options: Options) -> Ballot:
        """Return a ballot with more texts, where so many are requested; the best one remains."""
        if not options.alternatives:
            return poll.ballot
        # Always as many, so that their order does not depend on how many are requested.
        strings = 1 + max(options.alternatives, MAX_ALTERNATIVES)
        best = poll.ballot.best
        more = vote(poll.lattice, options.constraint, strings)
        others = [each for each in more.texts if each.text != best.text]
        return replace(poll.ballot, texts=(best, *others))

    def _recognition(
        self,
        reading: Reading,
        readers: tuple[ReaderText, ...],
        evidence: Evidence,
        line: Line,
        strip: Strip,
        scores: Scores,
        options: Options,
        timer: StageTimer,
    ) -> Recognition:
        """Calibrate a reading, account for the ink, decide, and say where the digits are."""
        ink = self._account(reading, line, strip)
        if not reading.text and ink.blank:
            # No ink is no text, whatever a network makes of paper.
            second = None if evidence.second is None else 1.0
            evidence = Evidence(1.0, first=1.0, second=second, agreed=True)
        reading = self._calibrated(reading, evidence)
        decision, reasons = self._decide(reading, ink, options.error_rate)
        boxes = self._boxes(reading.digits, strip)
        timer.took("search")
        return Recognition(
            reading,
            readers,
            evidence,
            boxes,
            strip,
            scores,
            ink,
            decision,
            reasons,
            timer.seconds,
        )

    def _calibrated(self, reading: Reading, evidence: Evidence) -> Reading:
        """Calibrate the text's confidence; its alternatives share what is left, by probability."""
        confidence = self.calibration.confidence(evidence)
        left = (1 - confidence) / max(1 - reading.confidence, 1e-12)
        return replace(
            reading,
            confidence=confidence,
            alternatives=tuple(
                Alternative(text, min(left * probability, confidence, 1 - confidence))
                for text, probability in reading.alternatives
            ),
        )

    def _account(self, reading: Reading, line: Line, strip: Strip) -> InkAccount:
        """Account for the page's ink by the digits, and by the literals between them."""
        digits = "".join(digit.label for digit in reading.digits)
        centers = [self.metadata.center(digit.position) for digit in reading.digits]
        signs, count = [], 0
        for character in reading.text if len(reading.text) > len(digits) else "":
            if count < len(digits) and character == digits[count]:
                count += 1
            else:
                signs.append(count)
        return account(line, strip, digits, centers, signs)

    def _decide(
        self, reading: Reading, ink: InkAccount, error_rate: float | None
    ) -> tuple[Decision | None, tuple[Reason, ...]]:
        """Accept what is sure enough, what the constraint allows, and whose account balances."""
        if error_rate is None:
            return None, ()
        reasons = list(ink.reasons)
        if not reading.satisfied:
            reasons.append(Reason.CONSTRAINT)
        if reading.confidence < self.calibration.threshold(error_rate):
            reasons.append(Reason.LOW_CONFIDENCE)
        return Decision.REVIEW if reasons else Decision.ACCEPT, tuple(reasons)

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
