import numpy as np
import pytest

from service.imaging.levels import counted_quantile, quantile


@pytest.mark.parametrize("share", [0, 0.25, 0.7, 1])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 1001])
@pytest.mark.parametrize("most", [1, 2, 255])
def test_a_quantile_is_numpy_s(count, most, share):
    levels = np.random.default_rng(count).integers(0, most, count, endpoint=True).astype(np.int16)
    assert quantile(levels, share) == pytest.approx(np.quantile(levels, share), abs=1e-9)
    assert counted_quantile(np.bincount(levels), share) == quantile(levels, share)
