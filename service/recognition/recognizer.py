"""The main path: gray page → line → views → scores → reading. Read this file first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Self

import numpy as np

from service.errors import ModelError
from service.imaging.page import Channel, Gray, Page
from service.recognition.calibration import Calibration, Evidence
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.ctc_search import likeliest, log_probability
from service.recognition.decoding.decoder import STRINGS, decode, locate
from service.recognition.decoding.reading import Alternative, FoundDigit, Reading
from service.recognition.decoding.sections import SEARCHED
from service.recognition.decoding.vote import Ballot, vote
from service.recognition.ink_account import InkAccount, Reason, account
from service.recognition.model import CPU, ModelFiles, Scorer, Scores
from service.recognition.model_metadata import Pairing
from service.recognition.normalize import Box, Line, Strip, View, normalize
from service.recognition.stage_timer import StageTimer

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
MAX_ALTERNATIVES = 20
IMPOSSIBLE = math.log(1e-12)  # of a digit where there is no ink
FIRST_READER, SECOND_READER = "first", "second"


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


@dataclass(frozen=True)
class Poll:
    """What some looks at a line say: all of them together, and each reader's alone."""

    lattice: Lattice  # of the looks, in their order
    ballot: Ballot
    readers: tuple[ReaderText, ...]
    evidence: Evidence


def score(scorer: Scorer, strip: Strip, line: Line) -> Scores:
    """Score a strip; a blank page has no digit, whatever a network makes of so much paper."""
    scores = scorer.score(strip.pixels)
    if not (strip.pixels.any() or line.page.mask.any() or line.page.erased.any()):
        scores = np.full_like(scores, IMPOSSIBLE)
        scores[..., scorer.metadata.none] = 0
    return scores


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
        self.sure, self.weight = SURE, 0.0  # the weight is the second reader's, in the vote
        self.calibration = self.metadata.calibration
        if second is not None:
            pairing = self.metadata.pairing or Pairing(second.digest)
            if pairing.second != second.digest:
                raise ModelError(
                    f"the model {scorer.digest[:12]} was calibrated beside the second reader "
                    f"{pairing.second[:12]}, not {second.digest[:12]}; calibrate the two together "
                    "or use no second reader"
                )
            self.sure, self.weight = pairing.sure, pairing.weight
            self.calibration = pairing.calibration
        if calibration is not None:
            self.calibration = calibration
        # The runner-up costs a search that the best text often does without.
        self._strings = 2 if second is None or self.calibration.weighs("margin") else 1

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
            recognition = self._recognize_wide(line, strip, options, timer)
            return replace(recognition, channel=page.channel)
        looks: list[Look] = []
        # The largest view must still be searched whole.
        for each in self._rounds(positions <= SEARCHED // 2):
            strips = [strip if view == FIRST else line.strip(view) for view in each.views]
            timer.took("normalize")
            looks += self._look(each.readers, strips, line, timer)
            lattice = self._lattice(looks)
            text = likeliest(lattice)
            if self._stands(text, each.enough, options.constraint):
                break
            timer.took("search")
        poll = self._poll(lattice, looks, options, text)
        first = [row for row, look in enumerate(looks) if look.scorer is self.scorer]
        ballot = self._more(poll, options)
        reading = locate(ballot, poll.lattice, first, options.constraint)
        reading = replace(reading, alternatives=reading.alternatives[: options.alternatives])
        look = looks[first[reading.view]]
        recognition = self._recognition(
            reading, poll.readers, poll.evidence, line, look.strip, look.scores, options, timer
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

    def _rounds(self, further: bool) -> list[Round]:
        """Plan who looks at what: at the first view, and at further ones where that is allowed."""
        readers, sizes = [self.scorer], ALONE
        rounds = [Round(readers, (FIRST,), self.sure)]
        if self.second is not None and further:
            readers, sizes = [self.scorer, self.second], PAIRED
            # Nothing is so sure that the second reader would not be consulted: both look at once.
            at_once = self.sure >= 1
            consulted = Round(readers if at_once else [self.second], (FIRST,), ENOUGH)
            rounds = [consulted] if at_once else [*rounds, consulted]
        return rounds + [Round(readers, views, ENOUGH) for views in sizes] * further

    def _look(
        self,
        readers: Sequence[Scorer],
        strips: Sequence[Strip],
        line: Line,
        timer: StageTimer,
    ) -> list[Look]:
        """Score views by each of some readers.

        Each is scored alone: in one batch they would be padded to the widest, which costs more
        than it spares, and shows the second reader's last positions paper where the strip ends.
        """
        looks = [
            Look(scorer, strip, score(scorer, strip, line))
            for scorer in readers
            for strip in strips
        ]
        timer.took("score")
        return looks

    def _stands(self, text: Alternative, enough: float, constraint: Constraint | None) -> bool:
        """Whether a text is so probable that no more views are needed.

        What the constraint would change is looked at in all views.
        """
        allowed = constraint is None or constraint.allows(text.text)
        return allowed and text.probability >= enough

    def _lattice(self, looks: Sequence[Look]) -> Lattice:
        """Prepare looks for their vote, each reader's weight spread evenly over its own."""
        second = sum(look.scorer is not self.scorer for look in looks)
        weight = self.weight if second else 0.0
        shares = {
            True: (1 - weight) / (len(looks) - second),
            False: weight / max(second, 1),
        }
        return Lattice.of(
            [look.scores[0] for look in looks],
            [look.scorer.metadata for look in looks],
            [shares[look.scorer is self.scorer] for look in looks],
        )

    def _poll(
        self, lattice: Lattice, looks: Sequence[Look], options: Options, text: Alternative
    ) -> Poll:
        """Let looks vote: all of them together, and each reader's alone.

        Args:
            lattice: of the looks.
            looks: at the line.
            options: of the request.
            text: the likeliest of the lattice.
        """
        rows: dict[str, list[int]] = {}
        for row, look in enumerate(looks):
            name = FIRST_READER if look.scorer is self.scorer else SECOND_READER
            rows.setdefault(name, []).append(row)
        ballot = vote(lattice, options.constraint, self._strings, text)
        best, *others = ballot.texts
        parts, alone = {FIRST_READER: lattice}, {FIRST_READER: ballot}
        if len(rows) > 1:
            parts = {name: lattice.part(own) for name, own in rows.items()}
            alone = {name: vote(part, options.constraint) for name, part in parts.items()}
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
            readers.append(ReaderText(name, own.written(options.constraint)))
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
