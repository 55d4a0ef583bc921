"""A value made from files that is reloaded when they change."""

import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from service.errors import DigitstripError, SettingsError

SECONDS = 1.0  # between checks of the files

Value = TypeVar("Value")
Stamp = tuple[tuple[int, ...], ...]

logger = logging.getLogger(__name__)


class Watched(Generic[Value]):
    """The latest value that could be made from files; safe to use from several threads.

    If the files change and cannot be read, or make no value, the old value stays, the log says so
    once, and the next check tries again.

    Args:
        files: that the value is made from.
        make: makes it.

    Raises:
        DigitstripError: the value cannot be made at first.
    """

    def __init__(self, files: Sequence[Path], make: Callable[[], Value]) -> None:
        self._files, self._make = files, make
        self._stamp = stamp(files)
        self._failure = ""  # the latest, while it lasts
        self._value = make()
        self._checked = time.monotonic()

    @property
    def value(self) -> Value:
        """The value."""
        now = time.monotonic()
        if now - self._checked >= SECONDS:
            self._checked = now
            self._check()
        return self._value

    def _check(self) -> None:
        if (seen := stamp(self._files)) == self._stamp:
            return
        names = ", ".join(map(str, self._files))
        try:
            self._value = self._make()
        except DigitstripError as error:
            # The stamp is not kept, so that the next check tries again.
            if str(error) != self._failure:
                self._failure = str(error)
                fields = {"files": names, "error": str(error)}
                logger.error("reload failed; the old value stays", extra=fields)
        else:
            self._stamp, self._failure = seen, ""
            logger.info("files reloaded", extra={"files": names})


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file; a FIFO or device is refused without blocking.

    Raises:
        SettingsError: the path is not a regular file.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SettingsError(f"{path} is not a regular file")
        return file.read()


def stamp(files: Sequence[Path]) -> Stamp:
    """Return a value that changes when one of the files does, or a link to it."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
