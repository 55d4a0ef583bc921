"""The digits of a text: where each stands, and what else could stand there."""

from collections.abc import Sequence

import numpy as np

from service.recognition.decoding.automaton import DIGITS
from service.recognition.decoding.ctc_lattice import BLANK, Floats, Integers, Lattice, stay
from service.recognition.decoding.reading import FoundDigit, RunnerUp
from service.recognition.model_metadata import NONE

RUNNERS_UP = 3

_LABELS = (*DIGITS, NONE)


def find_digits(lattice: Lattice, text: str, offset: int = 0) -> tuple[FoundDigit, ...]:
    """Place the digits of a text, and weigh each against what else could stand there.

    Args:
        lattice: of one view.
        text: that has some probability in it.
        offset: added to all positions.
    """
    if not text:
        return ()
    labels = np.array([int(digit) for digit in text])
    places = np.arange(len(labels))
    digit, none, begin = _both_ways(lattice, labels)
    # What precedes and what follows each digit, (digits, positions + 1) log-masses each, by the
    # position where it begins and where it ends; then the same for every digit in its place.
    before, after = slice(None, -1), slice(-2, None, -1)
    entering = np.repeat(begin[before, 0][:, None], BLANK, axis=1)
    leaving = np.repeat(begin[after, 1, ::-1][:, None], BLANK, axis=1)
    # A digit that is its neighbor's is kept apart from it by `none`.
    entering[places[1:], labels[:-1]] = none[before, 0][1:]
    leaving[places[:-1], labels[1:]] = none[after, 1, ::-1][:-1]
    through = stay(entering, lattice.ends[0, :BLANK]) + leaving
    # By position, what begins with each digit; and the whole text without one: what precedes it,
    # then the next digit.
    begun = digit[:0:-1, 1, ::-1]
    absent = np.append(
        _log_sum(entering[places[:-1], labels[1:]] + begun[1:]),
        np.logaddexp(digit[-2, 0, -1], none[-2, 0, -1]),
    )
    masses = np.append(_log_sum(through), absent[:, None], axis=1)  # (digits, 11)
    shares = np.exp(masses - _log_sum(masses)[:, None])
    own = shares[places, labels]
    shares[places, labels] = -1.0
    order = np.argsort(-shares, axis=1, kind="stable")[:, :RUNNERS_UP]
    others = shares[places[:, None], order]
    # With the digit spelled at each position: it lasts to the next one, or ends before.
    inside = digit[1:, 0] + np.logaddexp(leaving[places, labels], begun)
    found = []
    for label, confidence, names, chances, (first, stop), logs in zip(
        text,
        own.tolist(),
        order.tolist(),
        others.tolist(),
        best_runs(lattice, labels.tolist()),
        inside,
        strict=True,
    ):
        weights = np.exp(logs[first + 1 : stop + 1] - logs[first + 1 : stop + 1].max())
        position = float(weights @ np.arange(first, stop) / weights.sum())
        runners_up = tuple(
            RunnerUp(_LABELS[name], chance) for name, chance in zip(names, chances, strict=True)
        )
        found.append(
            FoundDigit(
                label, confidence, offset + first, offset + stop - 1, offset + position, runners_up
            )
        )
    return tuple(found)


def _both_ways(lattice: Lattice, labels: Integers) -> Floats:
    """Return the masses of all prefixes of a text, and of its reverse from the other end.

    Returns:
        (3, digits + 1, 2, positions + 1): `Prefix`'s three, by digits and by direction. The masses
        of the reverse, turned round, are those of suffixes by the position where they begin.
    """
    both = lattice.and_reversed()
    repeats = np.append(False, labels[1:] == labels[:-1])
    state = both.empty
    masses = np.empty((3, len(labels) + 1, *state.none.shape))
    masses[:, 0] = state
    for place, digits in enumerate(zip(labels, labels[::-1], strict=True)):
        # Two equal neighbors are so from both ends.
        again = np.array([repeats[place], place > 0 and repeats[-place]])
        state = both.extend_each(state, np.array(digits), again)
        masses[:, place + 1] = state
    return masses


def best_runs(lattice: Lattice, labels: Sequence[int]) -> list[tuple[int, int]]:
    """Return each digit's (first, stop) on the best path that says a text (Viterbi 1967)."""
    ends, none = lattice.ends[0], lattice.ends[0, BLANK]
    log_touching = float(lattice.log_touching[0, 0])
    on_none, on_digit = none, np.full_like(none, -np.inf)
    entered, touched, ended = [], [], []
    for label, before in zip(labels, [None, *labels], strict=False):
        touching = on_digit + (-np.inf if label == before else log_touching)
        entering = np.maximum(on_none, touching) - ends[label]
        entered.append(entering)
        touched.append(touching > on_none)
        on_digit = _best_stay(entering, ends[label])
        ended.append(on_digit - none)
        on_none = _best_stay(ended[-1], none)
    runs = []
    stop = int(ended[-1].argmax()) if labels else 0
    for i in range(len(labels) - 1, -1, -1):
        first = int(entered[i][:stop].argmax())
        runs.append((first, stop))
        if i > 0:
            stop = first if touched[i][first] else int(ended[i - 1][:first].argmax())
    return runs[::-1]


def _best_stay(entered: Floats, ends: Floats) -> Floats:
    """Return the best of what `stay` sums, given what it enters with less the sums before."""
    stayed = np.empty_like(entered)
    stayed[0] = -np.inf
    np.maximum.accumulate(entered[:-1], out=stayed[1:])
    stayed[1:] += ends[1:]
    return stayed


def _log_sum(logs: Floats) -> Floats:
    """Return the logarithm of the sum over the last axis."""
    peaks = np.maximum(logs.max(axis=-1, keepdims=True), -1e300)  # for sums of nothing
    sums = np.exp(logs - peaks).sum(axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(sums) + peaks[..., 0])
