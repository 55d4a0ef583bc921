"""What a model's confidences must become to mean what they say, from strips with their truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from service.recognition.model import Scorer
from service.recognition.model_metadata import Calibration, Threshold, log_odds
from service.recognition.recognizer import Recognizer
from training.config import StripConfig
from training.data.digits import DatasetError, DigitSet
from training.evaluation.evaluate import Made, Reads, read_folder, read_strips, synthetic_strips
from training.evaluation.metrics import Flags, Floats, Read, accepted, reliability
from training.export import write_metadata
from training.pages.strips import make_pages

ERROR_RATES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
FEWEST = 50  # strips to fit on
RATE = 0.01  # the error rate that a `Promise` is of


@dataclass(frozen=True)
class Promise:
    """What a calibration makes of strips whose truth is known."""

    source: str
    strips: int
    error: float  # expected calibration error
    coverage: float  # share of strips accepted at RATE
    risk: float  # share of these that are wrong


def fit(probabilities: Floats, right: Flags) -> tuple[float, float]:
    """Fit the scale and the offset of log-odds (Platt 1999, with its smoothed targets).

    Args:
        probabilities: (strips,) of the strings read, before calibration.
        right: (strips,) whether the whole string was.

    Raises:
        DatasetError: there are too few strips, only right or only wrong ones, or the less
            probable strings are right more often.
    """
    strips, good = len(right), int(right.sum())
    if strips < FEWEST or good in (0, strips):
        raise DatasetError(
            f"cannot calibrate on {strips} strips, {good} of them read right; expected {FEWEST} "
            "or more, with right and wrong ones among them"
        )
    odds = np.array([log_odds(probability) for probability in probabilities])
    inputs = np.stack([odds, np.ones_like(odds)])
    targets = np.where(right, (good + 1) / (good + 2), 1 / (strips - good + 2))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scores = parameters @ inputs
        values = np.logaddexp(0, scores) - targets * scores
        return float(values.mean()), inputs @ (expit(scores) - targets) / strips

    scale, offset = (float(value) for value in minimize(loss, [1.0, 0.0], jac=True).x)
    if scale <= 0:
        raise DatasetError(
            f"cannot calibrate on {strips} strips, {good} of them read right: the less probable "
            "readings are right more often; are the labels those of these files?"
        )
    return scale, offset


def thresholds(confidences: Floats, right: Flags) -> tuple[Threshold, ...]:
    """Return for each error rate that the strips can support the least confidence to accept.

    Of the strips accepted, (wrong + 1) / (accepted + 1) is at most the rate: one more, which may
    be the next and wrong, is counted in (conformal risk control, Angelopoulos et al. 2022).

    Args:
        confidences: (strips,) calibrated.
        right: (strips,) whether the whole string was.
    """
    least, many, wrong = accepted(confidences, right)
    bound = (wrong + 1) / (many + 1)
    return tuple(
        Threshold(rate, float(least[bound <= rate].min()))
        for rate in ERROR_RATES
        if (bound <= rate).any()
    )


def calibration(reads: Sequence[Read], source: str) -> Calibration:
    """Fit a calibration to strings read with uncalibrated confidences.

    Args:
        reads: what was read.
        source: what it was read of, for people.

    Raises:
        DatasetError: as of `fit`.
    """
    probabilities, right = columns(reads)
    scale, offset = fit(probabilities, right)
    fitted = Calibration(scale, offset, source=source)
    return replace(fitted, thresholds=thresholds(calibrated(probabilities, fitted), right))


def columns(reads: Sequence[Read]) -> tuple[Floats, Flags]:
    """Return (reads,) confidences, and whether each is right."""
    return np.array([read.confidence for read in reads]), np.array([read.right for read in reads])


def calibrated(probabilities: Floats, by: Calibration) -> Floats:
    """Return (strips,) confidences of uncalibrated probabilities."""
    return np.array([by.confidence(probability) for probability in probabilities])


def promise(source: str, reads: Sequence[Read], by: Calibration) -> Promise:
    """Measure a calibration on uncalibrated reads, at least one."""
    probabilities, right = columns(reads)
    confidences = calibrated(probabilities, by)
    sure = confidences >= by.threshold(RATE)
    return Promise(
        source=source,
        strips=len(reads),
        error=reliability(confidences, right).error,
        coverage=float(sure.mean()),
        risk=float((sure & ~right).sum() / max(sure.sum(), 1)),
    )


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
    pages = make_pages(digits, seed, round(count * share), StripConfig())
    return [
        ("made pages", [Made(f"page-{n}", page.text, page.gray) for n, page in enumerate(pages)]),
        ("synthetic strings", list(synthetic_strips(digits, seed, count - len(pages)))),
    ]


def read_all(
    model: Path, folders: Sequence[Path], held_out: bool, made: Sequence[tuple[str, list[Made]]]
) -> list[Reads]:
    """Read folders of scans, and made strips by their source, without any calibration."""
    recognizer = Recognizer(Scorer(model), Calibration())
    told = [read_folder(recognizer, folder, held_out) for folder in folders]
    return told + [read_strips(recognizer, source, strips) for source, strips in made if strips]


def calibrate(
    model: Path, out: Path, told: Sequence[Reads], options: str = ""
) -> list[tuple[Promise, Promise]]:
    """Fit a calibration to what was read, and write the model with it.

    Args:
        model: the ONNX file.
        out: where to write; the file appears whole or not at all, and may be the same.
        told: uncalibrated reads of each source.
        options: of the command line that made strips, for those who would make them again.

    Returns:
        Of each source, then of all, what the model's own calibration and the new one promise.
        Two numbers are fitted, so the new figures are hardly flattered.

    Raises:
        DatasetError: as of `fit`.
        ModelError: the model cannot be read.
    """
    metadata = Scorer(model).metadata
    everything = [read for each in told for read in each.reads]
    source = " and ".join(f"{each.source} ({len(each.reads):,})" for each in told)
    source += f", by {options}" if options else ""
    new = calibration(everything, source)
    write_metadata(model, replace(metadata, calibration=new), out)
    rows = [(each.source, each.reads) for each in told]
    if len(rows) > 1:
        rows.append(("all", everything))
    return [
        (promise(name, reads, metadata.calibration), promise(name, reads, new))
        for name, reads in rows
    ]
