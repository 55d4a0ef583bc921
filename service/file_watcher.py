"""A value made from files, made anew when they change."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from service.errors import DigitstripError

SECONDS = 1.0  # between looks at the files

Value = TypeVar("Value")
Stamp = tuple[tuple[int, int, int], ...]

logger = logging.getLogger(__name__)


class Watched(Generic[Value]):
    """The latest value that could be made; safe to use from several threads.

    Files that cannot be read or make no value later leave the old one in place, and the log says
    so once.

    Args:
        files: what it is made from.
        make: makes it.

    Raises:
        DigitstripError: it cannot be made at first.
    """

    def __init__(self, files: Sequence[Path], make: Callable[[], Value]) -> None:
        self._files, self._make = files, make
        self._stamp = stamp(files)
        self._value = make()
        self._looked = time.monotonic()

    @property
    def value(self) -> Value:
        """The value."""
        now = time.monotonic()
        if now - self._looked >= SECONDS:
            self._looked = now
            self._look()
        return self._value

    def _look(self) -> None:
        if (seen := stamp(self._files)) == self._stamp:
            return
        self._stamp = seen
        names = ", ".join(map(str, self._files))
        try:
            self._value = self._make()
        except DigitstripError as error:
            logger.error("kept the old value", extra={"files": names, "error": str(error)})
        else:
            logger.info("read anew", extra={"files": names})


def stamp(files: Sequence[Path]) -> Stamp:
    """Return what changes when one of the files does: also when a link is turned elsewhere."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        told = file.stat()
    except OSError:
        return 0, 0, 0
    return told.st_ino, told.st_size, told.st_mtime_ns
