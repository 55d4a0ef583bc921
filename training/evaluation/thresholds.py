"""Thresholds of confidence from which readings are accepted, by the share that may be wrong."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.recognition.calibration import Threshold
from training.evaluation.metrics import Flags, Floats, accepted, clopper_pearson

ERROR_RATES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


def thresholds(
    confidences: Floats, right: Flags, weights: Floats | None = None
) -> tuple[Threshold, ...]:
    """Return for each error rate that the strips can support the least confidence to accept.

    Of the strips accepted, (wrong + 1) / (accepted + 1) is at most the rate: one more, which may
    be the next and wrong, is counted in (conformal risk control, Angelopoulos et al. 2022). Of
    weighted strips it is one of those that count most.

    Args:
        confidences: (strips,) calibrated.
        right: (strips,) whether the whole string was.
        weights: (strips,) how much each counts; None, all alike.
    """
    least, many, wrong = accepted(confidences, right, weights)
    one = 1.0 if weights is None else float(weights.max(initial=1.0))
    bound = (wrong + one) / (many + one)
    found = []
    for rate in ERROR_RATES:
        if (bound <= rate).any():
            last = int(np.flatnonzero(bound <= rate)[-1])  # the least confident
            interval = clopper_pearson(float(wrong[last]), float(many[last]))
            found.append(Threshold(rate, float(least[last]), *interval))
    return tuple(found)


def carried(
    before: Sequence[Threshold],
    after: Sequence[Threshold],
    confidences: Floats,
    right: Flags,
    weights: Floats | None = None,
) -> tuple[Threshold, ...]:
    """Return thresholds for the rates that few strips cannot support, too: the earlier ones.

    A confidence is a probability before and after, so an earlier threshold still stands where the
    strips do not contradict it: where its rate is not below the interval of theirs.

    Args:
        before: the earlier thresholds.
        after: those that the strips support.
        confidences: (strips,) calibrated.
        right: (strips,) whether the whole string was.
        weights: (strips,) how much each counts; None, all alike.
    """
    weights = np.ones(len(right)) if weights is None else weights
    found = {each.error_rate: each for each in after}
    for each in before:
        sure = confidences >= each.confidence
        low, high = clopper_pearson(float(weights @ (sure & ~right)), float(weights @ sure))
        if each.error_rate not in found and low <= each.error_rate:
            found[each.error_rate] = replace(each, low=low, high=high)
    return tuple(found[rate] for rate in sorted(found, reverse=True))
