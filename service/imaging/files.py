"""The command line's inputs: files, folders, globs and `-`, in a fixed order."""

import glob
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from service.errors import UnreadableSource
from service.imaging.formats import SUFFIXES

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """Something to read: a path, or `-` for standard input."""

    name: str

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            UnreadableSource: it does not exist, is a folder, or may not be read.
        """
        try:
            return sys.stdin.buffer.read() if self.name == STDIN else Path(self.name).read_bytes()
        except IsADirectoryError as error:
            raise UnreadableSource("there is no image in it", "source") from error
        except OSError as error:
            raise UnreadableSource(error.strerror or str(error), "source") from error


def expand(names: Iterable[str]) -> Iterator[Source]:
    """Yield the sources that names stand for, at least one each.

    A folder stands for the images below it, by name; a glob for what it matches; any other
    name for itself, whether it can be read or not.
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
                if file.suffix.lower() in SUFFIXES and file.is_file()
            ]
        elif name != STDIN and not exists and glob.has_magic(name):
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - absolute ones too
        yield from (Source(each) for each in found or [name])
