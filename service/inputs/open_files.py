"""Opening what items lie in: regular files, objects of a store, zip and tar archives."""

import bz2
import gzip
import io
import lzma
import zipfile
from functools import lru_cache
from typing import Any, BinaryIO, cast

from service.extras import needs
from service.imaging.files import open_regular

REMOTE = "://"  # in the name of what fsspec opens
MOST_OPEN = 4  # archives kept open by one process
XZ_MEMORY = 2**27  # bytes that decompressing xz may take; `xz -9` takes half
PIECE = 2**16  # bytes of compressed data read at a time


def open_seekable(path: str) -> BinaryIO:
    """Open a local file, or a URL through fsspec, for reading anywhere in it."""
    if REMOTE in path:
        with needs("batch", f"{path} needs fsspec"):
            import fsspec
        return cast(BinaryIO, fsspec.open(path, "rb").open())
    return open_regular(path)


@lru_cache(MOST_OPEN)
def opened_zip(path: str, identity: str) -> zipfile.ZipFile:
    """Return an open zip archive; a process keeps the latest ones open."""
    return _OwnedZip(open_seekable(path))


@lru_cache(MOST_OPEN)
def opened_tar(path: str, identity: str) -> BinaryIO:
    """Return an open tar, decompressed; a process keeps the latest ones open.

    Seeking back in a compressed one decompresses it from its start again.
    """
    return open_tar(path)[0]


def open_tar(path: str) -> tuple[BinaryIO, bool]:
    """Open a tar for reading anywhere in it, decompressed; return whether it is compressed."""
    file = open_seekable(path)
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return _owned(gzip.GzipFile(fileobj=file), file), True
    if magic.startswith(b"BZh"):
        return _owned(bz2.BZ2File(file), file), True
    if magic == b"\xfd7zXZ\0":
        return cast(BinaryIO, io.BufferedReader(_XzFile(file))), True
    return file, False


class _OwnedZip(zipfile.ZipFile):
    """A zip archive that closes its file with itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            super().__init__(file)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        super().close()
        self._file.close()


def _owned(decompressed: Any, file: BinaryIO) -> BinaryIO:  # noqa: ANN401 - either class
    return cast(BinaryIO, io.BufferedReader(_Owned(decompressed, file)))


class _Owned(io.RawIOBase):
    """Decompressed data that closes its file with itself, as those of `gzip` and `bz2` do not."""

    def __init__(self, decompressed: Any, file: BinaryIO) -> None:  # noqa: ANN401 - either class
        self._decompressed = decompressed
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        return int(self._decompressed.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._decompressed.seek(offset, whence))

    def tell(self) -> int:
        return int(self._decompressed.tell())

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._decompressed.close()
            self._file.close()


class _XzFile(io.RawIOBase):
    """Decompressed xz in bounded memory, which `lzma.LZMAFile` has no setting for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        view = memoryview(buffer).cast("B")
        while True:
            if self._xz.eof:  # the next stream of several, if there is one
                rest = (self._xz.unused_data or self._file.read(PIECE)).lstrip(b"\0")
                if not rest:
                    return 0
                self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
            elif self._xz.needs_input:
                rest = self._file.read(PIECE)
                if not rest:
                    raise EOFError("the xz data ends before its end marker")
            else:
                rest = b""
            if data := self._xz.decompress(rest, len(view)):
                view[: len(data)] = data
                self._at += len(data)
                return len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            offset += self._at if whence == io.SEEK_CUR else self._size()
        if offset < self._at:
            self._rewind()
        scrap = bytearray(PIECE)
        while self._at < offset:
            if not self.readinto(memoryview(scrap)[: offset - self._at]):
                break
        return self._at

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()

    def _size(self) -> int:
        raise io.UnsupportedOperation("the size of xz data is not known before its end")

    def _rewind(self) -> None:
        self._file.seek(0)
        self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
        self._at = 0
