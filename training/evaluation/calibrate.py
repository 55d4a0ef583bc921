"""Calibration of confidences and thresholds on labeled strips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from service.recognition.calibration import (
    ALONE,
    PAIRED,
    Calibration,
    Evidence,
    Logistic,
)
from service.recognition.model import Scorer
from service.recognition.model_metadata import Pairing
from service.recognition.recognizer import Recognizer
from training.config import StripConfig
from training.data.digits import DigitSet
from training.data.scans import read_scans
from training.evaluation.evaluate import Made, Reads, read_folder, read_strips, synthetic_strips
from training.evaluation.metrics import Flags, Floats, Read, reliability
from training.evaluation.regression import FEWEST, fit, regression
from training.evaluation.thresholds import carried, thresholds
from training.evaluation.weights import check_sample
from training.export import write_metadata
from training.pages.page import random_page

SUFFICIENT = 50  # strips, right and wrong ones among them, to fit without a prior
ENOUGH = 1000  # strips to fit every weight on; fewer scale and shift what was fitted before
FEWEST_OF_A_KIND = 20  # right strips, and wrong ones, to fit a regression on
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)  # of the second reader's vote, tried
SIGNIFICANT = 0.05  # probability of a chance difference, below which a weight is changed
RATE = 0.01  # the error rate that a `Promise` is of


@dataclass(frozen=True)
class Promise:
    """Figures of a calibration on labeled strips."""

    source: str
    strips: int
    error: float  # expected calibration error
    coverage: float  # share of strips accepted at RATE
    risk: float  # share of these that are wrong


@dataclass(frozen=True)
class Fitted:
    """What `calibrate` fitted for a model alone, or for a pair."""

    readers: str  # for people: "first reader alone" or "both readers"
    promises: list[tuple[Promise, Promise]]  # before and after, of each source, then of all


def calibration(
    reads: Sequence[Read], source: str, before: Calibration, scans: Sequence[Read] = ()
) -> Calibration:
    """Fit a calibration to strings read.

    ENOUGH strips fit everything; fewer scale and shift the log-odds of the calibration before, and
    leave thresholds that they cannot support. Fewer than SUFFICIENT, or only right ones, move
    the log-odds a little, calibrated or not; a threshold's interval says how little they promise.

    Made strips are harder to read than scans of the same probability, some past reading. Where
    scans are among the strips, these alone say how probable a right reading is; the thresholds
    are still those that all strips support, so that they stay on the safe side.

    Args:
        reads: what was read, with its evidence.
        source: what it was read of, for people.
        before: the calibration so far.
        scans: those of the reads that were not made.

    Raises:
        DatasetError: as of `fit`.
    """
    right, weights = _right(reads), weights_of(reads)
    if weights.sum() >= ENOUGH:
        before = Calibration(
            alone=_regression_of(reads, ALONE, consulted=False),
            consulted=_regression_of(reads, PAIRED, consulted=True),
        )
    leveling = scans if len(scans) >= FEWEST else reads
    level = weights_of(leveling)
    few = level.sum() < SUFFICIENT or bool(_right(leveling).all())
    apart = len(leveling) < len(reads)  # fitted on more than what is leveled on
    odds = np.array([before.log_odds(evidence_of(read)) for read in leveling])
    scale, offset = fit(odds, _right(leveling), bool(before.source) or few or apart, level)
    if not before.source:  # what a few strips of another source will scale and shift
        alone, consulted = (each.then(scale, offset) for each in (before.alone, before.consulted))
        before = replace(before, alone=alone, consulted=consulted)
        scale, offset = 1.0, 0.0
    fitted = replace(before, scale=scale, offset=offset, source=source)
    confidences = calibrated(reads, fitted)
    after = thresholds(confidences, right, weights)
    found = carried(before.thresholds, after, confidences, right, weights)
    return replace(fitted, thresholds=found)


def _right(reads: Sequence[Read]) -> Flags:
    """Return (reads,) whether the whole string was read right."""
    return np.array([read.right for read in reads], np.bool_)


def _regression_of(reads: Sequence[Read], names: Sequence[str], consulted: bool) -> Logistic:
    """Fit the regression of strips with or without the second reader, if they suffice."""
    some = [read for read in reads if (evidence_of(read).second is not None) is consulted]
    right = _right(some)
    if min(right.sum(), (~right).sum()) < FEWEST_OF_A_KIND:
        return Logistic()
    return regression([evidence_of(read) for read in some], right, names, weights_of(some))


def weights_of(reads: Sequence[Read]) -> Floats:
    """Return (reads,) how much each counts."""
    return np.array([read.weight for read in reads])


def evidence_of(read: Read) -> Evidence:
    """Return what a read's confidence was computed from."""
    assert read.evidence is not None, f"{read.source} was not read by the service"
    return read.evidence


def calibrated(reads: Sequence[Read], by: Calibration) -> Floats:
    """Return (reads,) confidences."""
    return np.array([by.confidence(evidence_of(read)) for read in reads])


def promise(source: str, reads: Sequence[Read], by: Calibration) -> Promise:
    """Measure a calibration on reads, at least one."""
    right = _right(reads)
    confidences = calibrated(reads, by)
    sure, weights = confidences >= by.threshold(RATE), weights_of(reads)
    return Promise(
        source=source,
        strips=len(reads),
        error=reliability(confidences, right, weights).error,
        coverage=float(weights @ sure / weights.sum()),
        risk=float(weights @ (sure & ~right)) / max(float(weights @ sure), 1e-9),
    )


def best_weight(reads: Sequence[Read], now: float) -> float:
    """Return the weight of the second reader with which most strips are read right.

    The weight so far stands unless another one is right on significantly more strips of those on
    which the two differ (an exact sign test, McNemar 1947), and where there are fewer than ENOUGH
    strips: made pages flatter the reader that learned from more of them.

    Args:
        reads: what both readers read, with their texts.
        now: the weight so far.
    """
    if len(reads) < ENOUGH:
        return now
    right = {
        weight: np.array([voted(read, weight).right for read in reads])
        for weight in (*WEIGHTS, now)
    }
    best = max(WEIGHTS, key=lambda weight: (int(right[weight].sum()), -abs(weight - now)))
    won, lost = int((right[best] & ~right[now]).sum()), int((right[now] & ~right[best]).sum())
    if won + lost == 0 or binomtest(won, won + lost, alternative="greater").pvalue >= SIGNIFICANT:
        return now
    return best


def voted(read: Read, weight: float) -> Read:
    """Return a read as another weight of the second reader would have it.

    Only what a reader or both together read is weighed, not what comes second to all of them.
    """
    if len(read.readers) < 2:
        return read
    first, second = (
        {each.text: each.probability for each in reader.texts} for reader in read.readers
    )
    shares = {
        text: (1 - weight) * first.get(text, 0.0) + weight * second.get(text, 0.0)
        for text in first | second
    }
    best, *others = sorted(shares, key=lambda text: (-shares[text], text))
    evidence = Evidence(
        probability=shares[best],
        runner_up=shares[others[0]] if others else 0.0,
        digits=len(best),
        first=first.get(best, 0.0),
        second=second.get(best, 0.0),
        agreed=all(reader.text == best for reader in read.readers),
    )
    return replace(read, text=best, evidence=evidence)


def made_strips(
    digits: DigitSet, seed: int, count: int, share: float
) -> list[tuple[str, list[Made]]]:
    """Make strips of digits, by source: a share of pages, as people fill in fields; plain strings.

    Args:
        digits: that the model was not trained on.
        seed: decides everything random.
        count: of pages and strings.
        share: 0 to 1, of pages.
    """
    kinds = (StripConfig(), StripConfig.cells(), StripConfig(), StripConfig.digitized())
    pages = [
        random_page(digits, np.random.default_rng([seed, n]), kinds[n % len(kinds)])
        for n in range(round(count * share))
    ]
    return [
        ("made pages", [Made(f"page-{n}", page.text, page.gray) for n, page in enumerate(pages)]),
        ("synthetic strings", list(synthetic_strips(digits, seed, count - len(pages)))),
    ]


def read_all(
    model: Path,
    second: Path | None,
    folders: Sequence[Path],
    held_out: bool,
    made: Sequence[tuple[str, list[Made]]],
    most: int | None = None,
) -> list[Reads]:
    """Read folders of scans, `most` of each at most, and made strips by their source.

    A model that was calibrated beside another second reader is read as if beside none so far.
    """
    first, other = Scorer(model), Scorer(second) if second else None
    pairing = first.metadata.pairing
    if other is not None and pairing is not None and pairing.second != other.digest:
        first.metadata = replace(first.metadata, pairing=None)
    for folder in folders:
        check_sample(folder, list(read_scans(folder)))
    recognizer = Recognizer(first, other)
    found = [read_folder(recognizer, folder, held_out, most) for folder in folders]
    return found + [
        replace(read_strips(recognizer, source, strips), made=True)
        for source, strips in made
        if strips
    ]


def calibrate(
    model: Path,
    out: Path,
    alone: Sequence[Reads],
    second: Path | None = None,
    both: Sequence[Reads] = (),
    options: str = "",
) -> list[Fitted]:
    """Fit calibrations to what was read, and write the model with them.

    Args:
        model: the ONNX file of the first reader.
        out: where to write; the file appears whole or not at all, and may be the same.
        alone: what it read alone, of each source.
        second: the ONNX file of the second reader.
        both: what both read.
        options: of the command line that made strips, for those who would make them again.

    Returns:
        What the calibrations promise of each source, then of all, before and after; of the first
        reader alone, then of both. Few numbers are fitted, so the new figures are hardly flattered.

    Raises:
        DatasetError: as of `fit`.
        ModelError: a model cannot be read.
    """
    metadata = Scorer(model).metadata
    before = metadata.calibration
    by = calibration(_all_of(alone), _source_of(alone, options), before, _scans_of(alone))
    metadata = replace(metadata, calibration=by)
    fitted = [Fitted("first reader alone", _promises(alone, before, metadata.calibration))]
    if second is not None:
        digest = Scorer(second).digest
        pairing = metadata.pairing
        if pairing is None or pairing.second != digest:
            pairing = Pairing(digest)
        weight = best_weight(_all_of(both), pairing.weight)
        both = [replace(each, reads=[voted(read, weight) for read in each.reads]) for each in both]
        source = _source_of(both, options)
        new = calibration(_all_of(both), source, pairing.calibration, _scans_of(both))
        fitted.append(Fitted("both readers", _promises(both, pairing.calibration, new)))
        metadata = replace(metadata, pairing=replace(pairing, weight=weight, calibration=new))
    write_metadata(model, metadata, out)
    return fitted


def _all_of(sources: Sequence[Reads]) -> list[Read]:
    return [read for each in sources for read in each.reads]


def _scans_of(sources: Sequence[Reads]) -> list[Read]:
    return _all_of([each for each in sources if not each.made])


def _source_of(sources: Sequence[Reads], options: str) -> str:
    names = " and ".join(f"{each.source} ({len(each.reads):,})" for each in sources)
    return f"{names}, by {options}" if options else names


def _promises(
    sources: Sequence[Reads], before: Calibration, after: Calibration
) -> list[tuple[Promise, Promise]]:
    rows = [(each.source, each.reads) for each in sources]
    if len(rows) > 1:
        rows.append(("all", _all_of(sources)))
    return [(promise(name, reads, before), promise(name, reads, after)) for name, reads in rows]
