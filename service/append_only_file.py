"""A file that one process at a time appends to: what the journals of batch and review are kept in.

After a crash, all that was synced is there, and perhaps a part of what came later. Whoever reads
the file therefore checks each of its records, and cuts off a torn end before the next one.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from service.durable_files import writing
from service.errors import SettingsError, UnwritableOutput


class AppendOnlyFile:
    """A file open for appending, locked against every other process that opens it so.

    It can be read by its path meanwhile: nothing is buffered here.

    Args:
        path: of the file; made, empty, if there is none.
        taken: what to say where another process has it.

    Raises:
        SettingsError: another process has it.
        UnwritableOutput: it cannot be made or locked.
    """

    def __init__(self, path: Path, taken: str) -> None:
        self.path = path
        with writing(path):
            self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            if isinstance(error, BlockingIOError):
                raise SettingsError(taken) from error
            raise UnwritableOutput(f"cannot lock {path}: {error.strerror or error}") from error

    def append(self, content: bytes, sync: bool = True) -> None:
        """Write content at the end: all of it, or none.

        Args:
            content: whole records.
            sync: flush it to the disk, too, before this returns.

        Raises:
            UnwritableOutput: the disk is full, say; the file is as it was.
        """
        with writing(self.path):
            before = self._file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[self._file.write(rest) :]
                if sync:
                    os.fsync(self._file.fileno())
            except OSError:
                with suppress(OSError):  # what was written of it would be in the way of the next
                    self._file.truncate(before)
                raise

    def cut(self, size: int) -> None:
        """Drop what is beyond a number of bytes.

        Raises:
            UnwritableOutput: it cannot be.
        """
        with writing(self.path):
            self._file.truncate(size)

    def sync(self) -> None:
        """Flush what was appended to the disk.

        Raises:
            UnwritableOutput: the disk is full, say.
        """
        with writing(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, which releases its lock.

        Raises:
            UnwritableOutput: a file system reports only now what it could not write.
        """
        with writing(self.path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
