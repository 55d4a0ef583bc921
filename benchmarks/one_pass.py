"""One pass over a strip against its windows one by one: the point of the whole design.

Both use the same session, on the same strip, in turn, and must give the same scores.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from service.recognition.model import Scorer, Scores

WIDTH = 1024


def main() -> None:
    """Print the two times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    scorer = Scorer()
    side, stride = scorer.metadata.receptive_field, scorer.metadata.stride
    strip = np.random.default_rng(0).integers(0, 256, (side, WIDTH), dtype=np.uint8)

    def whole() -> Scores:
        return scorer.score(strip)[0]

    def one_by_one() -> Scores:
        lefts = range(0, WIDTH - side + 1, stride)
        return np.stack([scorer.run(strip[None, :, x : x + side])[0, 0, 0] for x in lefts])

    difference = np.abs(whole() - one_by_one()).max()
    assert difference <= 1e-4, difference
    times = [(seconds(whole), seconds(one_by_one)) for _ in range(rounds)]
    ratios = [slow / fast for fast, slow in times]
    positions = scorer.metadata.positions(WIDTH)
    print(f"a {side}×{WIDTH} strip has {positions} positions; greatest difference {difference:.1e}")
    print(f"one pass:           {1000 * median(fast for fast, _ in times):8.2f} ms")
    print(f"windows one by one: {1000 * median(slow for _, slow in times):8.2f} ms")
    print(
        f"ratio: {median(ratios):.1f} (of {rounds} rounds: {min(ratios):.1f} to {max(ratios):.1f})"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
