"""The queue: which rows of a table are looked at, why, and in which order."""

import hashlib
import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from service.review.constraints import Constraints
from service.review.settings import Settings
from service.review.table import Row

CARPET = 1200  # digits of a label that are kept, those of the smallest margin


class Why(StrEnum):
    """Why a row is in the queue."""

    REVIEW = "review"  # not accepted, or against the constraint, or a digit of it looked odd
    AUDIT = "audit"  # drawn at random from what was accepted
    PLANTED = "planted"  # accepted, and its truth is known


@dataclass(frozen=True)
class Entry:
    """A row of the queue."""

    row: Row
    why: Why


@dataclass(frozen=True, order=True)
class DigitAt:
    """A digit of a row, for a carpet."""

    margin: float
    number: int  # of the row
    position: int  # of the digit
    row: Row = field(compare=False)


@dataclass(frozen=True)
class Queue:
    """The rows to look at, in their order, and what is known of the others."""

    entries: tuple[Entry, ...]
    rows: int  # that have a reading
    accepted: int  # of them, not to review nor planted: what the audit's rows were drawn from
    carpets: dict[str, list[DigitAt]]  # digits by label, the smallest margin first

    @cached_property
    def by_number(self) -> dict[int, Row]:
        """All rows that are kept, by their numbers."""
        rows = {digit.number: digit.row for digits in self.carpets.values() for digit in digits}
        return rows | {entry.row.number: entry.row for entry in self.entries}

    @cached_property
    def why(self) -> dict[int, Why]:
        """Why each row is in the queue, by its number."""
        return {entry.row.number: entry.why for entry in self.entries}

    @property
    def audited(self) -> set[int]:
        """The numbers of the audit's rows."""
        return {number for number, why in self.why.items() if why is Why.AUDIT}

    def with_odd(self, odd: Iterable[int]) -> list[Entry]:
        """Return the entries after those rows, marked on a carpet, that are not among them."""
        marked = sorted(number for number in {*odd} - self.why.keys() if number in self.by_number)
        return [*(Entry(self.by_number[number], Why.REVIEW) for number in marked), *self.entries]


def queue_of(rows: Iterable[Row], constraints: Constraints, settings: Settings) -> Queue:
    """Return a table's queue: rows to review, least sure first, those of the audit among them.

    A row is to be reviewed if it was not accepted, or if its text does not satisfy its constraint.
    Of the others those that were planted are in the queue, too, and of the rest a sample is drawn:
    `seed` decides which, and a larger sample has the smaller one. Memory is for what is kept,
    whatever the table's size.

    Raises:
        BadConstraint: of a row.
    """
    review: list[Row] = []
    planted: list[Row] = []
    sample: list[tuple[int, int, Row]] = []  # heap of negative draws
    digits: dict[str, list[tuple[float, int, int, Row]]] = {}  # heaps of negative margins
    count = accepted = 0
    for row in rows:
        count += 1
        _keep_digits(digits, row)
        constraint = constraints.of(row)
        if row.decision != "ACCEPT" or not (constraint is None or constraint.allows(row.value)):
            review.append(row)
            continue
        if str(row.number) in settings.planted:
            planted.append(row)
            continue
        accepted += 1
        drawn = (-_draw(settings.seed, row.number), row.number, row)
        if len(sample) < settings.sample:
            heapq.heappush(sample, drawn)
        elif settings.sample:
            heapq.heappushpop(sample, drawn)
    review.sort(key=lambda row: (row.confidence, row.number))
    audit = [Entry(row, Why.AUDIT) for *_, row in sorted(sample, key=lambda each: -each[0])]
    hidden = [*audit, *(Entry(row, Why.PLANTED) for row in planted)]
    if planted:
        random.Random(settings.seed).shuffle(hidden)
    entries = _mixed(review, hidden, settings.seed)
    carpets = {
        label: sorted(DigitAt(-margin, -number, -place, row) for margin, number, place, row in heap)
        for label, heap in sorted(digits.items())
    }
    return Queue(tuple(entries), count, accepted, carpets)


def _mixed(review: list[Row], hidden: list[Entry], seed: int) -> list[Entry]:
    """Put accepted rows at random places among the others, where nothing tells them apart."""
    places = random.Random(seed).sample(range(len(review) + len(hidden)), len(hidden))
    mixed = [Entry(row, Why.REVIEW) for row in review]
    for place, entry in zip(sorted(places), hidden, strict=True):
        mixed.insert(place, entry)
    return mixed


def _draw(seed: int, number: int) -> int:
    """Return a row's number in the lottery; the lowest are drawn."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {number}".encode(), digest_size=8).digest())


def _keep_digits(heaps: dict[str, list[tuple[float, int, int, Row]]], row: Row) -> None:
    for position, digit in enumerate(row.digits):
        heap = heaps.setdefault(digit.label, [])
        entry = (-digit.margin, -row.number, -position, row)
        if len(heap) < CARPET:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
