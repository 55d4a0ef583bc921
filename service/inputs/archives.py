"""Archives: the images in a zip or tar, in the archive's own order, without unpacking it."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import BinaryIO, Self

from service.errors import InputError, SettingsError
from service.inputs.items import Item
from service.inputs.open_files import open_tar, opened_zip

ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MOST_HEADER = 2**20  # bytes of a tar between two members' data: names, extended attributes
MOST_DEFAULTS = 64  # entries of a tar's global headers


def is_archive(name: str) -> bool:
    """Whether a name is an archive's."""
    return name.lower().endswith(ZIPS + TARS)


def members(path: str, identity: str, wanted: Callable[[str], bool]) -> Iterator[Item]:
    """Yield the wanted members of an archive, and one that says so where it is damaged.

    No member's bytes are kept: readers find them by the item's place in the archive.

    Args:
        path: local or a URL.
        identity: the archive's own.
        wanted: whether a member of that name is read.
    """
    in_zip = path.lower().endswith(ZIPS)
    try:
        yield from (_in_zip if in_zip else _in_tar)(path, identity, wanted)
    except SettingsError:  # a library is missing, which is no fault of the archive
        raise
    except InputError as error:
        yield Item(path, path, identity, reason=error.reason, trouble=str(error))
    except Exception as error:  # what is damaged raises almost anything
        sentence = getattr(error, "strerror", None) or f"the archive is damaged: {error}"
        yield Item(path, path, identity, reason="UNREADABLE_SOURCE", trouble=sentence)


def _in_zip(path: str, identity: str, wanted: Callable[[str], bool]) -> Iterator[Item]:
    for entry, info in enumerate(opened_zip(path, identity).infolist()):
        if not info.is_dir() and wanted(info.filename):
            source = f"{path}/{info.filename}"
            yield Item(source, path, identity, entry=entry, size=info.file_size)


def _in_tar(path: str, identity: str, wanted: Callable[[str], bool]) -> Iterator[Item]:
    file, compressed = open_tar(path)
    with closing(file):
        headers = _Headers(file)
        with tarfile.TarFile(fileobj=headers, tarinfo=_Member) as tar:  # type: ignore[arg-type]
            while (info := tar.next()) is not None:
                headers.taken = 0
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                if len(tar.pax_headers) > MOST_DEFAULTS:
                    raise tarfile.ReadError(f"it has over {MOST_DEFAULTS} global headers")
                if info.isfile() and wanted(info.name):
                    yield Item(
                        f"{path}/{info.name}",
                        path,
                        identity,
                        offset=info.offset_data,
                        size=info.size,
                        compressed=compressed,
                    )


class _Member(tarfile.TarInfo):
    """A member whose damaged header is an error; `tarfile` takes it for the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """Read the next header."""
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error


class _Headers:
    """A tar as `tarfile` reads its headers: forward, and none of any size.

    `tarfile` takes a long name or an extended header into memory whole, whatever its size, and a
    few megabytes of gzip can hold one of gigabytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.taken = 0  # bytes since the last member
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int) -> bytes:
        """Return the next bytes of a header."""
        self.taken += size
        if self.taken > MOST_HEADER:
            raise tarfile.ReadError(f"a header has over {MOST_HEADER:,} bytes")
        return self.file.read(size)
