"""Probabilities and outcomes drawn by a known rule, for tests of calibration."""

import numpy as np
from scipy.special import expit, logit


def drawn(count, scale, offset, seed=1):
    """Probabilities, and strings right as often as a calibration of them says."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(1, 2, count)
    return expit(odds), rng.random(count) < expit(scale * odds + offset)


def odds_drawn(count, scale, offset, seed=1):
    probabilities, right = drawn(count, scale, offset, seed)
    return logit(probabilities), right
