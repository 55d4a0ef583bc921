"""Results of pages, the same whichever engine read them."""

from enum import IntEnum
from typing import NamedTuple

from service.batch.plan import Place


class PageStatus(IntEnum):
    """Outcome of a page."""

    READ = 0  # no decision was requested
    ACCEPT = 1
    REVIEW = 2
    FAILED = 3
    RETRY = 4  # failed for a reason that may pass; the same command reads it again
    MISREGISTERED = 5  # of a form: to be reviewed, and not read

    @property
    def is_failure(self) -> bool:
        """Whether there is no reading."""
        return self in (PageStatus.FAILED, PageStatus.RETRY)


class PageResult(NamedTuple):
    """The result of a page: its row as JSON, and its scores."""

    page: int  # from 0
    status: PageStatus
    confidence: float  # 0 if it was not read
    row: bytes
    scores: bytes  # a serialized pb.ScoreMap, or empty


class ItemResult(NamedTuple):
    """The results of an item's pages, or of the first of them."""

    place: Place
    pages: list[PageResult]
    following: range  # pages that are still to be read


class Record(NamedTuple):
    """A page as a run's state on disk holds it."""

    number: int  # of its item
    last: bool  # of the item's pages
    mark: bytes  # fingerprint of the item as it was listed
    page: PageResult
    start: int = 0  # byte offset in the journal; shards have none
    end: int = 0
