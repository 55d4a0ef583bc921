"""Statistics of gray levels by counting them: there are 256 at most, however many pixels."""

import numpy as np
import numpy.typing as npt


def quantile(levels: npt.NDArray[np.integer], share: float) -> float:
    """Return a quantile as `np.quantile` does, by counting instead of sorting.

    Args:
        levels: integers from 0 to 255, of any shape, at least one.
        share: 0 to 1.
    """
    return counted_quantile(np.bincount(levels.ravel(), minlength=256), share)


def counted_quantile(counts: npt.NDArray[np.integer], share: float) -> float:
    """Return a quantile of levels that are counted already.

    Args:
        counts: of each level, from 0; at least one is more than 0.
        share: 0 to 1.
    """
    reached = counts.cumsum()
    last = int(reached[-1]) - 1
    whole, part = divmod(share * last, 1)
    below, above = np.searchsorted(reached, [whole, min(whole + 1, last)], side="right")
    return float(below + part * (above - below))
