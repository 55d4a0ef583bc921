import numpy as np
import pytest

from service.recognition.normalize.cut import FULL, stretch


@pytest.mark.parametrize("size", [2, 3, 10, 1000])
def test_ink_is_drawn_as_bright_as_the_quantile_of_its_levels_says(size):
    rng = np.random.default_rng(size)
    paper = np.full(size, 20, np.uint8)
    ink = rng.integers(100, 200, size).astype(np.uint8)
    stretched = stretch(np.concatenate([paper, ink])[None])[0, size:]
    full = np.quantile(ink, FULL)
    assert (stretched[ink >= full] == 255).all()
    assert (stretched[ink < full - 1] < 255).all()
