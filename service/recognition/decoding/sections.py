"""Score maps that are too long to be searched whole, read piece by piece."""

from collections.abc import Sequence
from dataclasses import replace

from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.ctc_search import BUDGET, search
from service.recognition.decoding.digits import find_digits
from service.recognition.decoding.reading import Alternative, FoundDigit, Outcome, Reading
from service.recognition.model import Scores
from service.recognition.model_metadata import ModelMetadata

SEARCHED = 1024  # positions; longer maps are cut, so that time and memory grow with length only
SECTION = 128  # positions of such a piece, at most


def decode_in_sections(
    scores: Scores,
    metadata: ModelMetadata,
    constraint: Constraint | None,
    strings: int,
    touching: float | None,
) -> Reading:
    """Read a long row of scores in pieces, cut where `none` is surest.

    Each piece is read as if it were alone, which leaves out the texts with a digit across a cut:
    the reading is not exact, however sure the cuts are.

    Args:
        scores: (positions, labels) log-probabilities of one view, more than SECTION positions.
        metadata: of the model that gave them.
        constraint: checked on the whole text, but not searched for.
        strings: how many texts to return at most, the best one among them.
        touching: as of `Lattice.of`.
    """
    none = scores[:, metadata.none]
    cuts = [0]
    while len(scores) - cuts[-1] > SECTION:
        middle = cuts[-1] + SECTION // 2
        cuts.append(middle + int(none[middle : cuts[-1] + SECTION].argmax()))
    texts = [Alternative("", 1.0)]
    digits: list[FoundDigit] = []
    for first, stop in zip(cuts, [*cuts[1:], len(scores)], strict=True):
        lattice = Lattice.of([scores[first:stop]], [metadata], touching=touching)
        found = search(lattice, None, strings, max(BUDGET // len(scores), 1))
        digits += find_digits(lattice, found.texts[0].text, first)
        texts = joined(texts, found.texts)[:strings]
    text = "".join(digit.label for digit in digits)
    reading = Reading(text, texts[0].probability, tuple(digits), tuple(texts[1:]), exact=False)
    if constraint is None:
        return reading
    if not constraint.allows(text):
        return replace(reading, outcome=Outcome.UNSEARCHED)
    others = tuple(
        Alternative(constraint.write(each.text), each.probability)
        for each in texts[1:]
        if constraint.allows(each.text)
    )
    written = constraint.write(text)
    return replace(reading, text=written, alternatives=others, outcome=Outcome.FREE)


def joined(left: Sequence[Alternative], right: Sequence[Alternative]) -> list[Alternative]:
    """Return the texts of two pieces together, the most probable first."""
    both = [
        Alternative(a.text + b.text, a.probability * b.probability) for a in left for b in right
    ]
    both.sort(key=lambda each: -each.probability)  # stable: of the two best, the first remains
    unique: dict[str, Alternative] = {}
    for each in both:
        unique.setdefault(each.text, each)
    return list(unique.values())
