"""Logistic regressions of whether a string was read right (Platt 1999)."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from service.recognition.calibration import Evidence, Logistic
from training.errors import DatasetError
from training.evaluation.metrics import Flags, Floats

FEWEST = 30  # strips to fit on
RIDGE = 1.0  # pull of a weight towards 0, in strips
# Of scale and offset from one source of held-out strips to another, around 1 and 0.
SPREAD = (0.1, 0.5)


def fit(
    odds: Floats, right: Flags, prior: bool = False, weights: Floats | None = None
) -> tuple[float, float]:
    """Fit the scale and the offset of log-odds (Platt 1999, with its smoothed targets).

    Args:
        odds: (strips,) log-odds that the strings read are right.
        right: (strips,) whether the whole string was.
        prior: whether a scale of 1 and an offset of 0 are likely beforehand, the log-odds being
            calibrated on other strips: a few strips move them a little then.
        weights: (strips,) how much each counts; None, all alike.

    Raises:
        DatasetError: there are too few strips, without a prior only right or only wrong ones, or
            the less probable strings are right more often.
    """
    weights = np.ones(len(right)) if weights is None else weights
    strips, good = float(weights.sum()), int(right.sum())
    seen = f"{len(right)} strips, {good} of them read right"
    if round(strips) < len(right):
        seen += f" (weighted, they tell as much as {strips:.0f} drawn evenly)"
    if round(strips) < FEWEST or (good in (0, len(right)) and not prior):
        kinds = ", with right and wrong ones among them"
        raise DatasetError(
            f"cannot calibrate on {seen}; expected {FEWEST} or more"
            f"{'' if round(strips) < FEWEST else kinds}"
        )
    inputs = np.stack([odds, np.ones_like(odds)])
    targets = smoothed(right, weights)
    spread = np.array(SPREAD if prior else (np.inf, np.inf))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scores = parameters @ inputs
        values = np.logaddexp(0, scores) - targets * scores
        apart = (parameters - [1, 0]) / spread
        slope = inputs @ (weights * (expit(scores) - targets)) + apart / spread
        return float(weights @ values + apart @ apart / 2) / strips, slope / strips

    # Tighter without a prior, so that the same strips find nothing left to move afterwards.
    found = minimize(loss, [1.0, 0.0], jac=True, options={"gtol": 1e-5 if prior else 1e-9})
    scale, offset = (float(value) for value in found.x)
    if scale <= 0:
        raise DatasetError(
            f"cannot calibrate on {seen}: the less probable "
            "readings are right more often; are the labels those of these files?"
        )
    return scale, offset


def smoothed(right: Flags, weights: Floats | None = None) -> Floats:
    """Return the targets to fit probabilities to, which are not quite 0 and 1 (Platt 1999).

    As if one more right string and one more wrong one had been seen: so few strings, however they
    were read, never make a confidence of 0 or 1.

    Args:
        right: (strips,) whether the whole string was.
        weights: (strips,) how much each counts; None, all alike.

    Returns:
        (strips,) (right + 1) / (right + 2) for right ones, 1 / (wrong + 2) for wrong ones.
    """
    weights = np.ones(len(right)) if weights is None else weights
    good, wrong = weights @ right, weights @ ~right
    return np.where(right, (good + 1) / (good + 2), 1 / (wrong + 2))


def regression(
    evidence: Sequence[Evidence], right: Flags, names: Sequence[str], weights: Floats
) -> Logistic:
    """Fit a logistic regression over signs, none of which lowers the confidence.

    Args:
        evidence: of each strip.
        right: (strips,) whether the whole string was.
        names: of the signs.
        weights: (strips,) how much each counts.
    """
    inputs = np.array([[*(each.sign(name) for name in names), 1.0] for each in evidence]).T
    strips, targets = float(weights.sum()), smoothed(right, weights)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scores = parameters @ inputs
        values = np.logaddexp(0, scores) - targets * scores
        shrunk = RIDGE * np.append(parameters[:-1], 0)
        slope = inputs @ (weights * (expit(scores) - targets)) + shrunk
        return float(weights @ values + shrunk @ parameters / 2) / strips, slope / strips

    start = np.append(np.full(len(names), 1 / len(names)), 0)
    bounds = [*[(0, None)] * len(names), (None, None)]
    *slopes, offset = minimize(loss, start, jac=True, bounds=bounds).x.tolist()
    return Logistic(dict(zip(names, slopes, strict=True)), offset)
