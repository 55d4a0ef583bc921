"""Statistics of gray levels by counting them: there are 256 at most, however many pixels."""

import numpy as np
import numpy.typing as npt


def quantile(levels: npt.NDArray[np.integer], share: float) -> float:
    """Return a quantile as `np.quantile` does, by counting instead of sorting.

    Args:
        levels: integers from 0 to 255, of any shape, at least one.
        share: 0 to 1.
    """
    counted = np.bincount(levels.ravel(), minlength=256).cumsum()
    whole, part = divmod(share * (levels.size - 1), 1)
    places = [whole, min(whole + 1, levels.size - 1)]
    below, above = np.searchsorted(counted, places, side="right")
    return float(below + part * (above - below))
