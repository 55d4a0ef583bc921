"""Structured logs on stderr: one line an image, as text or JSON; none of them is worth a call.

Lines are written by a thread of their own. When stderr is slow, full or gone, lines are lost and
counted, and reading goes on.
"""

import logging
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from logging.handlers import QueueHandler, QueueListener

import structlog

MOST_WAITING = 10_000  # lines, until which none is lost
LOGGER = logging.getLogger("service")


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"
    NONE = "none"


class Lost:
    """Counts the lines that could not be written."""

    def __init__(self) -> None:
        self.lines = 0

    def count(self, record: logging.LogRecord) -> None:
        """Count one; takes the place of a handler's own complaint, which would go to stderr."""
        self.lines += 1


@contextmanager
def logging_to_stderr(format_: LogFormat) -> Iterator[Lost]:
    """Write what the service logs to stderr while this lasts; yields the count of lost lines."""
    lost = Lost()
    if format_ is LogFormat.NONE:
        yield lost
        return
    lines: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_formatter(format_))
    waiting = _Waiting(lines)
    stream.handleError = waiting.handleError = lost.count  # type: ignore[method-assign]
    listener = QueueListener(lines, stream)
    LOGGER.addHandler(waiting)
    LOGGER.setLevel(logging.INFO)
    listener.start()
    try:
        yield lost
    finally:
        listener.stop()
        LOGGER.removeHandler(waiting)


class _Waiting(QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave the record as it is: it stays in this process."""
        return record


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
            structlog.processors.TimeStamper(fmt="iso"),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
