"""What became of a run: counts by reason, shares, and the least certain readings."""

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from service.batch.engines.worker import Page, Status
from service.batch.state.journal import Record

BARS = 20  # of the histogram of confidences
LEAST = 24  # least certain readings that the report shows
SHOWN = 200  # set-aside rows that the report lists


class Least(NamedTuple):
    """One of the least certain readings."""

    confidence: float
    number: int  # of its item
    page: int
    row: bytes  # JSON


@dataclass
class Summary:
    """Counts of a run's rows."""

    items: int = 0
    rows: int = 0
    accepted: int = 0
    review: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    confidences: list[int] = field(default_factory=lambda: [0] * BARS)
    least: list[tuple[float, int, int, bytes]] = field(default_factory=list)  # a heap of negatives
    aside: list[dict[str, Any]] = field(default_factory=list)  # the first rows set aside

    @property
    def failed(self) -> int:
        """Rows without a reading."""
        return sum(self.reasons.values())

    @property
    def read(self) -> int:
        """Rows with one."""
        return self.rows - self.failed

    def add(self, number: int, page: Page) -> None:
        """Count a row."""
        self.rows += 1
        if page.status is Status.FAILED:
            row = json.loads(page.row)
            self.reasons[row["error"]["reason"]] += 1
            if len(self.aside) < SHOWN:
                self.aside.append(row)
            return
        self.accepted += page.status is Status.ACCEPT
        self.review += page.status is Status.REVIEW
        self.confidences[min(int(page.confidence * BARS), BARS - 1)] += 1
        # Of equal ones the earlier stays, whatever order they are told in.
        entry = (-page.confidence, -number, -page.page, page.row)
        if len(self.least) < LEAST:
            heapq.heappush(self.least, entry)
        else:
            heapq.heappushpop(self.least, entry)

    def least_certain(self) -> list[Least]:
        """Return the least certain readings, the least one first."""
        ordered = sorted(self.least, reverse=True)
        return [
            Least(-confidence, -number, -page, row) for confidence, number, page, row in ordered
        ]

    def sentences(self) -> Iterator[str]:
        """Yield what to tell at the end of a run."""
        decided = self.accepted + self.review
        share = f", {self.review / decided:.1%} of them to review" if decided else ""
        yield f"{self.rows:,} rows of {self.items:,} items: {self.read:,} read{share}"
        for reason, count in self.reasons.most_common():
            yield f"{count:>9,}  {reason}"

    def to_json(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "items": self.items,
            "rows": self.rows,
            "read": self.read,
            "accepted": self.accepted,
            "review": self.review,
            "failed": dict(sorted(self.reasons.items())),
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """Return the counts that `to_json` gave."""
        return cls(
            items=told["items"],
            rows=told["rows"],
            accepted=told["accepted"],
            review=told["review"],
            reasons=Counter(told["failed"]),
        )


class Counted:
    """Passes a journal's pages on, counting them, and folds what was read into a fingerprint."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = records
        self.summary = Summary()
        self._inputs = hashlib.blake2b(digest_size=16)

    def __iter__(self) -> Iterator[Page]:
        """Yield every page."""
        for record in self.records:
            self.summary.add(record.number, record.page)
            if record.last:
                self.summary.items += 1
                self._inputs.update(record.mark)
            yield record.page

    @property
    def inputs(self) -> str:
        """What stands for the inputs."""
        return self._inputs.hexdigest()
