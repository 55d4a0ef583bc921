"""Summary of a run: counts by reason, shares, and the least certain readings."""

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from service.batch.pages import PageResult, PageStatus, Record
from service.json_object import JsonObject
from service.recognition.calibration import not_calibrated

BARS = 20  # of the histogram of confidences
LEAST = 24  # least certain readings that the report shows
SHOWN = 200  # failed rows that the report lists
NAMED = 3  # of them that the command line names


class Least(NamedTuple):
    """One of the least certain readings that are not to be reviewed."""

    confidence: float
    number: int  # of its item
    page: int
    row: bytes  # JSON


def _no_bars() -> list[int]:
    return [0] * BARS


def _counted(count: int, things: str) -> str:
    """Return how many there are of things in the plural."""
    return f"{count:,} {things.removesuffix('s') if count == 1 else things}"


@dataclass
class Summary:
    """Counts of a run's rows, or of its forms' fields."""

    unit: str = "rows"  # what is counted
    items: int = 0
    rows: int = 0
    accepted: int = 0
    review: int = 0
    misregistered: int = 0  # fields of forms
    reasons: Counter[str] = field(default_factory=Counter)  # of failed rows
    retries: Counter[str] = field(default_factory=Counter)  # of those that may pass
    confidences: list[int] = field(default_factory=_no_bars)  # not to be reviewed
    unsure: list[int] = field(default_factory=_no_bars)  # to be reviewed
    failures: list[JsonObject] = field(default_factory=list)  # the first failed rows
    uncalibrated: str = ""  # the digest of the model that read, if it is not calibrated
    _least: list[tuple[float, int, int, bytes]] = field(default_factory=list)  # heap of negatives

    @property
    def failed(self) -> int:
        """Rows without a reading."""
        return sum(self.reasons.values())

    @property
    def read(self) -> int:
        """Rows with one."""
        return self.rows - self.failed - self.misregistered

    def add(self, number: int, page: PageResult) -> None:
        """Count a row."""
        self.rows += 1
        if page.status.is_failure:
            row = json.loads(page.row)
            reason = row["error"]["reason"]
            self.reasons[reason] += 1
            self.retries[reason] += page.status is PageStatus.RETRY
            if len(self.failures) < SHOWN:
                self.failures.append(row)
            return
        if page.status is PageStatus.MISREGISTERED:
            self.misregistered += 1
            return
        self.accepted += page.status is PageStatus.ACCEPT
        bars = self.unsure if page.status is PageStatus.REVIEW else self.confidences
        bars[min(int(page.confidence * BARS), BARS - 1)] += 1
        if page.status is PageStatus.REVIEW:
            self.review += 1
            return
        # Of equal ones the earlier stays.
        entry = (-page.confidence, -number, -page.page, page.row)
        if len(self._least) < LEAST:
            heapq.heappush(self._least, entry)
        else:
            heapq.heappushpop(self._least, entry)

    def least_certain(self) -> list[Least]:
        """Return the least certain readings that are not to be reviewed, the least one first."""
        ordered = sorted(self._least, reverse=True)
        return [
            Least(-confidence, -number, -page, row) for confidence, number, page, row in ordered
        ]

    def sentences(self) -> Iterator[str]:
        """Yield the lines that end a run."""
        decided = self.accepted + self.review
        share = f", {self.review:,} to review ({self.review / decided:.1%})" if decided else ""
        failed = f", {self.failed:,} failed" if self.failed else ""
        lost = f", {self.misregistered:,} misregistered" if self.misregistered else ""
        rows, items = _counted(self.rows, self.unit), _counted(self.items, "items")
        yield f"{rows} of {items}: {self.read:,} read{share}{lost}{failed}"
        for reason, count in self.reasons.most_common():
            again = "; the same command tries again" if self.retries[reason] else ""
            yield f"{count:>9,}  {reason}{again}"
        for row in self.failures[:NAMED]:
            yield f"           {row['source']}: {row['error']['message']}"
        if self.uncalibrated:
            yield not_calibrated(self.uncalibrated)

    def to_json(self) -> JsonObject:
        """Return the counts."""
        return {
            "unit": self.unit,
            "items": self.items,
            "rows": self.rows,
            "read": self.read,
            "accepted": self.accepted,
            "review": self.review,
            "misregistered": self.misregistered,
            "failed": dict(sorted(self.reasons.items())),
            "retries": dict(sorted((+self.retries).items())),
            "uncalibrated": self.uncalibrated,
        }

    @classmethod
    def from_json(cls, counts: JsonObject) -> Self:
        """Return the counts that `to_json` gave."""
        return cls(
            unit=counts.get("unit", "rows"),
            items=counts["items"],
            rows=counts["rows"],
            accepted=counts["accepted"],
            review=counts["review"],
            misregistered=counts.get("misregistered", 0),
            reasons=Counter(counts["failed"]),
            retries=Counter(counts["retries"]),
            uncalibrated=counts.get("uncalibrated", ""),
        )


class CountedPages:
    """A run's pages, counted as they pass, with the fingerprint of the inputs they came from.

    Args:
        records: of the run.
        summary: to count in.
        counted: what is counted of a page: itself, or a form's fields.
    """

    def __init__(
        self,
        records: Iterable[Record],
        summary: Summary,
        counted: Callable[[PageResult], Iterable[PageResult]],
    ) -> None:
        self.records = records
        self.summary = summary
        self.counted = counted
        self._inputs = hashlib.blake2b(digest_size=16)

    def __iter__(self) -> Iterator[PageResult]:
        """Yield every page."""
        for record in self.records:
            for each in self.counted(record.page):
                self.summary.add(record.number, each)
            if record.last:
                self.summary.items += 1
                self._inputs.update(record.mark)
            yield record.page

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the inputs."""
        return self._inputs.hexdigest()
