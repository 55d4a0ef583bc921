"""Archives: the images in a zip or tar, in the archive's own order, without unpacking it."""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing

from service.batch.inputs.items import Item, open_seekable, opened_zip
from service.errors import DigitstripError

ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
REPEATED = "__MACOSX/"  # where macOS puts what is no file of the user's


def is_archive(name: str) -> bool:
    """Whether a name is an archive's."""
    return name.lower().endswith(ZIPS + TARS)


def members(
    path: str, identity: str, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Item]:
    """Yield the wanted members of an archive, and one that says so where it is damaged.

    Args:
        path: local or a URL.
        identity: the archive's own.
        wanted: tells by its name whether a member is.
        max_bytes: what a member of a compressed tar may have to be taken along.
    """
    found = (
        _in_zip(path, identity, wanted)
        if path.lower().endswith(ZIPS)
        else _in_tar(path, identity, wanted, max_bytes)
    )
    try:
        yield from found
    except DigitstripError:
        raise
    except Exception as error:  # what is damaged raises almost anything
        sentence = getattr(error, "strerror", None) or f"the archive is damaged: {error}"
        yield Item(path, path, identity, reason="UNREADABLE_SOURCE", trouble=sentence)


def _in_zip(path: str, identity: str, wanted: Callable[[str], bool]) -> Iterator[Item]:
    for info in opened_zip(path, identity).infolist():
        if _is_wanted(info, wanted):
            source = f"{path}/{info.filename}"
            known = f"{identity} {info.CRC}"
            yield Item(source, path, known, member=info.filename, size=info.file_size)


def _is_wanted(info: zipfile.ZipInfo, wanted: Callable[[str], bool]) -> bool:
    name = info.filename
    return not info.is_dir() and wanted(name) and not name.startswith(REPEATED)


def _in_tar(
    path: str, identity: str, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Item]:
    compressed = not path.lower().endswith(".tar")
    with (
        closing(open_seekable(path)) as file,
        tarfile.open(fileobj=file, mode="r|*" if compressed else "r:") as tar,
    ):
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            if not info.isfile() or not wanted(info.name):
                continue
            source = f"{path}/{info.name}"
            known = f"{identity} {info.offset_data}"
            if not compressed:
                yield Item(source, path, known, offset=info.offset_data, size=info.size)
            elif info.size > max_bytes:
                yield Item(source, path, known, size=info.size)
            else:
                data = tar.extractfile(info)
                content = data.read() if data is not None else b""
                yield Item(source, path, known, size=info.size, content=content)
