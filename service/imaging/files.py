"""The command line's inputs: files, folders, globs and `-`, in a fixed order."""

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from service.errors import UnreadableSource
from service.imaging.formats import SUFFIXES

STDIN = "-"
DOCUMENTS = frozenset({".pdf"})  # suffixes of what is drawn page by page, not decoded
APPLE_DOUBLE = "._"  # what macOS puts a file's attributes into, beside it or in an archive
MACOS_METADATA = "__MACOSX"  # the folder of those, in an archive


@dataclass(frozen=True)
class Source:
    """Something to read: a path, or `-` for standard input."""

    name: str

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            UnreadableSource: it does not exist, is no regular file, or may not be read.
        """
        try:
            if self.name == STDIN:
                return sys.stdin.buffer.read()
            with open_regular(self.name) as file:
                return file.read()
        except IsADirectoryError as error:
            raise UnreadableSource("there is no image in it", "source") from error
        except OSError as error:
            raise UnreadableSource(error.strerror or str(error), "source") from error


def expand(names: Iterable[str], suffixes: frozenset[str] = SUFFIXES) -> Iterator[Source]:
    """Yield the sources that names stand for, at least one each.

    A folder stands for the files below it that have one of the suffixes, by name; a glob for what
    it matches; any other name for itself, whether it can be read or not.
    """
    for name in names:
        path = Path(name)
        try:
            exists, is_folder = path.exists(), path.is_dir()
        except OSError:  # a name too long, a folder above it closed: reading it will say which
            exists, is_folder = False, False
        found: list[str] = []
        if is_folder:
            found = [
                str(file)
                for file in sorted(path.rglob("*"))
                if is_image_name(str(file.relative_to(path)), suffixes) and file.is_file()
            ]
        elif name != STDIN and not exists and glob.has_magic(name):
            found = matches(name)
        yield from (Source(each) for each in found or [name])


def is_image_name(name: str, suffixes: frozenset[str] = SUFFIXES) -> bool:
    """Whether a file of a folder or archive is an image, by its name and the folders in it.

    What macOS leaves beside the user's own files is none, whatever its suffix.
    """
    file = PurePosixPath(name)
    if file.name.startswith(APPLE_DOUBLE) or MACOS_METADATA in file.parts:
        return False
    return file.suffix.lower() in suffixes


def matches(pattern: str) -> list[str]:
    """Return what a glob matches, by name.

    Folders that there are stand for themselves, even if their names look like patterns: in
    `in [1]/*.png` with a folder `in [1]`, the star alone is one.
    """
    parts = Path(pattern).parts
    for end in range(len(parts) - 1, 0, -1):
        folder = Path(*parts[:end])
        try:
            if folder.is_dir():
                rest = parts[end:]
                pattern = str(Path(glob.escape(str(folder)), *rest))
                break
        except OSError:  # too long, or not to be looked at
            continue
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute ones too


def open_regular(path: str | Path) -> BinaryIO:
    """Open a local file for reading; never wait for it, as opening a FIFO would.

    Raises:
        UnreadableSource: it is no regular file but a FIFO, a socket or a device.
        OSError: it cannot be opened, or is a folder.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UnreadableSource("it is a FIFO, socket or device, not a regular file", "source")
        return open(descriptor, "rb")  # noqa: PTH123 - of a descriptor; refuses a folder
    except BaseException:
        os.close(descriptor)
        raise
