"""Structured logs on stderr: one line an image, as text or JSON. Logging delays no call.

Lines are written by a thread of their own. When stderr is slow, full or gone, lines are lost and
counted, and reading goes on.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

import structlog
from structlog.typing import EventDict

MOST_WAITING = 10_000  # lines, until which none is lost
SECONDS = 0.1  # from one writing to the next
LOGGER = logging.getLogger("service")
LOGGERS = (LOGGER, logging.getLogger("asyncio"))  # whose lines may not hold up the event loop


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"
    NONE = "none"


@contextmanager
def logging_to_stderr(format_: LogFormat) -> Iterator["Lines"]:
    """Write what the service logs to stderr while this lasts; yields what counts lost lines.

    With the format `none`, that is warnings and errors alone.
    """
    lines = Lines(sys.stderr)
    lines.setFormatter(_formatter(format_))
    LOGGER.setLevel(logging.WARNING if format_ is LogFormat.NONE else logging.INFO)
    for logger in LOGGERS:
        logger.addHandler(lines)
    lines.start()
    try:
        yield lines
    finally:
        for logger in LOGGERS:
            logger.removeHandler(lines)
        lines.stop()


class Lines(logging.Handler):
    """Keeps lines until its thread writes them, several at once: a call only appends to a queue.

    Args:
        stream: where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.lost = 0
        self.stuck = False  # in a write that does not end
        self._stream = stream
        self._waiting: deque[logging.LogRecord] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line in, without a lock: a deque needs none."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(record)
        else:
            self.lost += 1
        return True

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, but do not wait for a stream that takes nothing."""
        self._stopped.set()
        self._thread.join(timeout=1)
        self.stuck = self._thread.is_alive()

    def _write(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stopped.wait(SECONDS)
            records = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if records:
                self._write_all(records)

    def _write_all(self, records: list[logging.LogRecord]) -> None:
        try:
            self._stream.write("".join(f"{self.format(record)}\n" for record in records))
            self._stream.flush()
        except (OSError, ValueError):  # full, or closed
            self.lost += len(records)


def _formatter(format_: LogFormat) -> logging.Formatter:
    renderer = (
        structlog.processors.JSONRenderer()
        if format_ is LogFormat.JSON
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            _add_time,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _add_time(_: object, __: str, entry: EventDict) -> EventDict:
    """Add the time of the event, which is not that of writing it."""
    when = datetime.fromtimestamp(entry["_record"].created, UTC)
    entry["timestamp"] = f"{when:%Y-%m-%dT%H:%M:%S.%fZ}"
    return entry
