"""Score maps small enough to walk every path through them."""

from itertools import product

import numpy as np

from service.recognition.model_metadata import VERSION, ModelMetadata

CONTRACT = ModelMetadata(VERSION, (*"0123456789", "none"), 32, 4, "{}")
NONE = CONTRACT.none
EVERY = 10_000  # more strings than small maps have


def scores_of(path, sure=0.9):
    """Scores under which each position says its label with probability `sure`."""
    scores = np.full((len(path), 11), (1 - sure) / 10)
    labels = [NONE if label == "." else int(label) for label in path]
    scores[np.arange(len(path)), labels] = sure
    return np.log(scores).astype(np.float32)


def random_scores(seed, digits="012", positions=5, peak=2.0):
    """Scores of few digits at few positions, so that every path can be walked; the rest has 0."""
    chances = np.zeros((positions, 11))
    labels = [*map(int, digits), NONE]
    rng = np.random.default_rng(seed)
    chances[:, labels] = np.exp(peak * rng.normal(size=(positions, len(labels))))
    with np.errstate(divide="ignore"):
        return np.log(chances / chances.sum(axis=1, keepdims=True))


def every_string(scores, touching=1.0):
    """Return the probability of every string that any path says, by walking all of them."""
    chances = np.exp(scores)
    labels = [label for label in range(11) if chances[:, label].any()]
    sums = {}
    for path in product(labels, repeat=len(scores)):
        mass = np.prod([chances[position, label] for position, label in enumerate(path)])
        text, before = "", NONE
        for label in path:
            if label not in (before, NONE):
                text += str(label)
                mass *= touching if before != NONE else 1.0
            before = label
        sums[text] = sums.get(text, 0.0) + mass
    total = sum(sums.values())
    return {text: mass / total for text, mass in sums.items() if mass > 0}
