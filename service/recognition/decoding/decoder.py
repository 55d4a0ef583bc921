"""Score maps to a reading: the text, its digits, and how sure they are. Pure numpy."""

from collections.abc import Sequence

import numpy as np

from service.recognition.decoding import ctc_search
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.ctc_lattice import Lattice
from service.recognition.decoding.digits import find_digits
from service.recognition.decoding.reading import Reading
from service.recognition.decoding.sections import SEARCHED, decode_in_sections
from service.recognition.decoding.vote import Ballot, vote
from service.recognition.model import Scores
from service.recognition.model_metadata import ModelMetadata

STRINGS = 5  # the most probable ones, the reading included


def decode(
    scores: Scores,
    metadata: ModelMetadata,
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    touching: float | None = None,
) -> Reading:
    """Read a row of scores: its most probable text.

    Maps of over SEARCHED positions are cut where `none` is surest, and read piece by piece; a
    constraint is then only checked.

    Args:
        scores: (positions, labels) log-probabilities.
        metadata: the model's labels, and how it was trained.
        constraint: what the text must satisfy.
        strings: how many texts to find at most, 1 or more, the reading included.
        touching: 0 to 1, the weight of two digits without `none` between; 1 is plain CTC, None
            the metadata's.
    """
    return decode_views([scores], metadata, constraint, strings, touching)


def decode_views(
    maps: Sequence[Scores],
    metadata: ModelMetadata,
    constraint: Constraint | None = None,
    strings: int = STRINGS,
    touching: float | None = None,
) -> Reading:
    """Read a line that was scored several ways: each text has the mean of its probabilities.

    Args:
        maps: (positions, labels) log-probabilities each; over SEARCHED positions, one alone.
        metadata: as of `decode`, and so on.
        constraint: what the text must satisfy.
        strings: how many texts to find at most.
        touching: as of `decode`.

    Raises:
        ValueError: several maps, one of them too long to be searched whole.
    """
    if len(maps) == 1 and len(maps[0]) > SEARCHED:
        return decode_in_sections(maps[0], metadata, constraint, strings, touching)
    if max(map(len, maps)) > SEARCHED:
        raise ValueError(f"only maps of up to {SEARCHED} positions can be searched whole")
    lattice = Lattice.of(maps, [metadata] * len(maps), touching=touching)
    return locate(vote(lattice, constraint, strings), lattice, range(len(maps)), constraint)


def locate(
    ballot: Ballot, lattice: Lattice, views: Sequence[int], constraint: Constraint | None = None
) -> Reading:
    """Return the reading of the best text, its digits placed in the view that finds it likeliest.

    Args:
        ballot: what was voted for.
        lattice: all views' scores.
        views: those in which the digits may be placed, at least one.
        constraint: that the text was to satisfy.
    """
    text = ballot.best.text
    view = 0
    if len(views) > 1:
        logs = lattice.log_masses(text) - lattice.log_totals
        view = int(np.argmax(logs[list(views)]))
    best, *others = ballot.written(constraint)
    return Reading(
        text=best.text,
        confidence=best.probability,
        digits=find_digits(lattice.part([views[view]]), text),
        alternatives=tuple(others),
        exact=ballot.exact,
        outcome=ballot.outcome,
        allowed=ballot.allowed,
        view=view,
    )


def log_probability(
    scores: Scores, text: str, metadata: ModelMetadata, touching: float | None = None
) -> float:
    """Return the log-probability of a text of digits: CTC's forward sum over all its paths.

    Args:
        scores: (positions, labels) log-probabilities.
        text: digits only.
        metadata: the model's labels.
        touching: as of `decode`; where it is not 1, all texts' weights are scaled to sum to 1.

    Returns:
        A natural logarithm; minus infinity if the text does not fit into the positions.
    """
    return ctc_search.log_probability(Lattice.of([scores], [metadata], touching=touching), text)
