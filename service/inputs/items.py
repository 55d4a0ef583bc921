"""One thing to read, and where its bytes lie; small, so that millions can pass through a run."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self

from service.errors import DigitstripError, TooManyBytes, UnreadableSource, of_reason
from service.imaging.files import open_regular
from service.imaging.limits import RAISED
from service.inputs.open_files import (
    REMOTE,
    open_seekable,
    opened_tar,
    opened_zip,
)
from service.json_object import JsonObject

PIECE = 2**18  # bytes read at a time

_TAR = Lock()  # a decompressed tar has one position, which threads would share


@dataclass(frozen=True, slots=True)
class Item:
    """An image or document that becomes one row a page.

    `path` is local or a URL. Inside an archive, `entry` is the place in a zip's directory (names
    may repeat), `offset` and `size` are bytes in the tar, decompressed where it is `compressed`.
    `identity` changes when the input does, as far as its listing shows.
    """

    source: str  # as the row names it
    path: str = ""
    identity: str = ""
    id: str | None = None  # from the manifest
    page: int | None = None  # only this one, from 0
    constraint: bytes = b""  # a serialized pb.Constraint; its fields override the run's
    entry: int | None = None
    offset: int | None = None
    size: int = -1  # unknown
    compressed: bool = False
    reason: str = ""  # why it cannot be read at all, known from its listing
    trouble: str = ""  # the same as a sentence

    def pieces(self, max_bytes: int) -> Generator[bytes, None, None]:
        """Yield the bytes, some at a time; of more than `max_bytes`, no more than shows it.

        Raises:
            InputError: they cannot be read; of the class whose reason the listing gave.
            TooManyBytes: the listing or the file itself says that there are more.
        """
        if self.reason:
            raise of_reason(self.reason, self.trouble, "source")
        if self.size > max_bytes:
            raise too_many_bytes(self.size, max_bytes)
        held = 0
        try:
            with self._opened() as (file, size):
                if size > max_bytes:
                    raise too_many_bytes(size, max_bytes)
                inside = self.offset is not None  # a tar has more after the item
                while piece := file.read(min(PIECE, size - held) if inside else PIECE):
                    held += len(piece)
                    if held > max_bytes:
                        raise too_many_bytes(held, max_bytes)
                    yield piece
                if inside and held < size:
                    raise EOFError(f"it ends after {held:,} of {size:,} bytes")
        except IsADirectoryError as error:
            raise UnreadableSource("there is no image in it", "source") from error
        except DigitstripError:
            raise
        except OSError as error:
            raise UnreadableSource(error.strerror or str(error), "source") from error
        except Exception as error:  # damaged archives raise almost anything; so do object stores
            raise UnreadableSource(f"{type(error).__name__}: {error}", "source") from error

    def bytes_at_most(self, max_bytes: int) -> int:
        """Return how many bytes reading it takes at most, as far as that is known beforehand."""
        size = self.size
        if size < 0 and REMOTE not in self.path:
            try:
                size = os.stat(self.path).st_size  # noqa: PTH116 - a Path costs more than the stat
            except (OSError, ValueError):
                size = 0
        return max_bytes if size < 0 else min(size, max_bytes)

    @property
    def is_local_file(self) -> bool:
        """Whether it is a local file by itself: neither remote nor in an archive."""
        in_archive = self.entry is not None or self.offset is not None
        return bool(self.path) and not in_archive and REMOTE not in self.path

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """Open the item; yields a file that stands at its start, and its size or -1."""
        if self.entry is not None:
            archive = opened_zip(self.path, self.identity)
            with archive.open(archive.infolist()[self.entry]) as member:
                yield member, self.size  # type: ignore[misc]  # IO[bytes] reads as well
        elif self.compressed:
            with _TAR:
                file = opened_tar(self.path, self.identity)
                file.seek(self.offset or 0)
                yield file, self.size
        elif REMOTE in self.path:
            with open_seekable(self.path) as file:
                file.seek(self.offset or 0)
                yield file, self.size
        else:
            with open_regular(self.path) as file:
                file.seek(self.offset or 0)
                whole = Path(self.path).stat().st_size if self.offset is None else self.size
                yield file, whole

    def to_columns(self) -> JsonObject:
        """Return the item as the columns of a block's list."""
        return asdict(self)

    @classmethod
    def from_columns(cls, columns: JsonObject) -> Self:
        """Return the item that `to_columns` gave."""
        return cls(**columns)


def too_many_bytes(size: int, allowed: int) -> TooManyBytes:
    """Return the error that `service.imaging.decode` raises for an image of that size."""
    return TooManyBytes(
        f"the image has {size:,} bytes; at most {allowed:,} are allowed; {RAISED['max_bytes']}",
        "image.encoded",
    )
