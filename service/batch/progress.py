"""Progress of a run: a bar for people, lines for logs, or nothing."""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from service.batch.options import ProgressMode
from service.batch.pages import PageResult, PageStatus
from service.errors import DigitstripError

LINE_SECONDS = 10.0  # between lines of a log
COUNTED_AT_ONCE = 4096  # items, before the counting looks whether the run is over


class Progress:
    """Shows items a second, the time that is left, errors, and the share to review.

    Args:
        console: standard error as a rule.
        mode: AUTO is a bar on a terminal, and lines elsewhere.
        items: counted in the background, for the time that is left.
    """

    def __init__(self, console: Console, mode: ProgressMode, items: Iterable[object]) -> None:
        if mode is ProgressMode.AUTO:
            mode = ProgressMode.BAR if console.is_terminal else ProgressMode.LINES
        self.console, self.mode = console, mode
        self.total: int | None = None
        self.before = self.items = self.failed = self.review = self.decided = 0
        self._stopped = threading.Event()
        self._since = self._line = time.monotonic()
        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shares]}"),
            console=console,
            refresh_per_second=4,
            disable=mode is not ProgressMode.BAR,
        )
        self._task = self._bar.add_task("", total=None, shares="")
        self._counting = threading.Thread(target=self._count, args=(items,), daemon=True)

    def skip(self, items: int) -> None:
        """Count items that earlier runs read."""
        if items > 0:
            if self.items == self.before:  # nothing was read yet
                self._since = time.monotonic()
            self.before += items
            self.items += items

    def add_page(self, page: PageResult, last: bool) -> None:
        """Count a page, and its item if it is the last one."""
        self.add(
            last,
            page.status.is_failure,
            page.status in (PageStatus.REVIEW, PageStatus.MISREGISTERED),
            page.status is PageStatus.ACCEPT,
        )

    def add(self, items: int, failed: int, review: int, accepted: int) -> None:
        """Count several items and pages."""
        self.items += items
        self.failed += failed
        self.review += review
        self.decided += review + accepted
        if self.mode is ProgressMode.BAR and items:
            self._bar.update(
                self._task, completed=self.items, total=self.total, shares=self._shares()
            )
        elif self.mode is ProgressMode.LINES and time.monotonic() - self._line > LINE_SECONDS:
            self._line = time.monotonic()
            self.console.print(self._sentence())

    def _sentence(self) -> str:
        seconds = time.monotonic() - self._since
        speed = (self.items - self.before) / seconds if seconds else 0.0
        of = f" of {self.total:,}" if self.total else ""
        left = ""
        if self.total and speed:
            left = f", {in_words((self.total - self.items) / speed)} left"
        return f"{self.items:,}{of} items, {speed:,.1f} items/s{left}, {self._shares()}"

    def _shares(self) -> str:
        share = f", {self.review / self.decided:.1%} to review" if self.decided else ""
        return f"{self.failed:,} errors{share}"

    def _count(self, items: Iterable[object]) -> None:
        """Count the items in the background; if that fails, the time left is not shown."""
        count = 0
        with suppress(DigitstripError, OSError):
            for _ in items:
                count += 1
                if count % COUNTED_AT_ONCE == 0 and self._stopped.is_set():
                    return
            self.total = count

    def __enter__(self) -> Self:
        self._bar.start()
        if self.mode is not ProgressMode.NONE:
            self._counting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._bar.stop()


class _Speed(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        """Return the figure."""
        return Text(f"{task.speed or 0.0:,.1f} items/s")


def in_words(seconds: float) -> str:
    """Return a time in hours, minutes or seconds."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
