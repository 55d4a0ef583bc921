"""One thing to read, and where its bytes lie; small, so that millions can pass on."""

import io
import zipfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, cast

from service.errors import DigitstripError, TooManyBytes, UnreadableSource, of_reason
from service.extras import needs

REMOTE = "://"  # in the name of what fsspec opens
MOST_OPEN = 4  # archives kept open by one process


@dataclass(frozen=True, slots=True)
class Item:
    """An image or document that becomes one row a page.

    `path` is local or a URL; `member` is the name inside a zip archive, `offset` and `size` the
    bytes inside a plain tar; `content` holds what can only be read in passing, as in a compressed
    tar. `identity` changes when the input does, as far as its listing tells.
    """

    source: str  # as the row names it
    path: str = ""
    identity: str = ""
    id: str | None = None  # the manifest's
    page: int | None = None  # only this one, counted from 0
    constraint: bytes = b""  # a serialized pb.Constraint; its fields outweigh the run's
    member: str = ""
    offset: int = 0
    size: int = -1
    content: bytes | None = None
    reason: str = ""  # why it cannot be read at all, known from its listing
    trouble: str = ""  # the same as a sentence

    def read(self, max_bytes: int) -> bytes:
        """Return the bytes; of more than `max_bytes`, no more is read than shows it.

        Raises:
            InputError: they cannot be read; of the class whose reason the listing gave.
            TooManyBytes: the listing or the file itself says that there are more.
        """
        if self.reason:
            raise of_reason(self.reason, self.trouble, "source")
        if self.size > max_bytes:
            raise too_many_bytes(self.size, max_bytes)
        try:
            content = self._read(max_bytes + 1)
        except IsADirectoryError as error:
            raise UnreadableSource("there is no image in it", "source") from error
        except OSError as error:
            raise UnreadableSource(error.strerror or str(error), "source") from error
        except DigitstripError:
            raise
        except Exception as error:  # damaged archives raise almost anything; so do object stores
            raise UnreadableSource(f"{type(error).__name__}: {error}", "source") from error
        if len(content) > max_bytes:
            raise too_many_bytes(self._size_on_disk(len(content)), max_bytes)
        return content

    def _read(self, most: int) -> bytes:
        if self.content is not None:
            return self.content
        if self.member:
            with opened_zip(self.path, self.identity).open(self.member) as file:
                return file.read(most)
        if REMOTE in self.path:
            with open_seekable(self.path) as file:
                return file.read(most)
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            content = file.read(most if self.size < 0 else self.size)
        if 0 <= self.size != len(content):
            raise EOFError(f"it ends after {len(content):,} of {self.size:,} bytes")
        return content

    def _size_on_disk(self, least: int) -> int:
        """Return how large a local file is; of others, only that it is larger is known."""
        local = self.content is None and not self.member and REMOTE not in self.path
        return Path(self.path).stat().st_size if local else least

    def to_columns(self) -> dict[str, Any]:
        """Return the item as the columns of a manifest block."""
        return asdict(self)

    @classmethod
    def from_columns(cls, columns: dict[str, Any]) -> Self:
        """Return the item that `to_columns` gave."""
        return cls(**columns)


def too_many_bytes(size: int, allowed: int) -> TooManyBytes:
    """Return the error that `service.imaging.decode` raises for an image of that size."""
    return TooManyBytes(
        f"the image has {size:,} bytes; at most {allowed:,} are allowed", "image.encoded"
    )


@lru_cache(MOST_OPEN)
def opened_zip(path: str, version: str) -> zipfile.ZipFile:
    """Return an open zip archive; a process keeps the latest ones open."""
    return zipfile.ZipFile(open_seekable(path))


def open_seekable(path: str) -> io.BufferedIOBase:
    """Open a local file, or a URL through fsspec, for reading anywhere in it."""
    if REMOTE in path:
        with needs("batch", f"{path} needs fsspec"):
            import fsspec
        return cast(io.BufferedIOBase, fsspec.open(path, "rb").open())
    return Path(path).open("rb")
