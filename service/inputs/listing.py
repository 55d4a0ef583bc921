"""Folders, local and remote: their files by name, listed in bounded memory."""

import heapq
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import SettingsError
from service.extras import needs
from service.imaging.files import MACOS_METADATA
from service.inputs.open_files import REMOTE
from service.json_object import JsonObject

RUN = 8192  # names sorted at once; a folder with more is merged from sorted runs on disk


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that was found."""

    path: str
    identity: str  # changes when the file does
    size: int
    trouble: str = ""  # why it cannot be listed


def walk(folder: str, wanted: Callable[[str], bool]) -> Iterator[ListedFile]:
    """Yield the files below a folder, each folder's entries by name, and what cannot be listed.

    Args:
        folder: local or a URL.
        wanted: whether a file of that name is read.
    """
    if REMOTE in folder:
        yield from _walk_remote(folder, wanted)
        return
    for name, is_folder in sorted_on_disk(_scan(folder, wanted)):
        path = os.path.join(folder, name)  # noqa: PTH118 - a Path for each costs more than the stat
        if is_folder:
            yield from walk(path, wanted)
        elif not name:
            yield ListedFile(folder, "", -1, "the folder may not be listed")
        else:
            yield entry_of(path)


def entry_of(path: str) -> ListedFile:
    """Return a local file's entry; if it cannot be looked at, reading it will say why."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of strings, as above
    except (OSError, ValueError):
        return ListedFile(path, "", -1)
    return ListedFile(path, f"{status.st_size} {status.st_mtime_ns}", status.st_size)


def sorted_on_disk(
    entries: Iterable[tuple[str, bool]], run: int = RUN
) -> Iterator[tuple[str, bool]]:
    """Yield entries in order; those beyond one run wait in temporary files."""
    with ExitStack() as files:
        runs: list[Iterator[tuple[str, bool]]] = []
        held: list[tuple[str, bool]] = []
        for entry in entries:
            held.append(entry)
            if len(held) == run:
                file = files.enter_context(tempfile.TemporaryFile("w+", encoding="ascii"))
                file.writelines(json.dumps(each) + "\n" for each in sorted(held))
                file.seek(0)
                runs.append((name, folder) for name, folder in map(json.loads, file))
                held = []
        yield from heapq.merge(*runs, sorted(held))


def _scan(folder: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # A link to a folder is not followed: it may lead back.
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != MACOS_METADATA:
                        yield entry.name, True
                elif wanted(entry.name) and not (entry.is_symlink() and entry.is_dir()):
                    yield entry.name, False
    except OSError:  # no permission; the folder then becomes a row that says so
        yield "", False


def _walk_remote(folder: str, wanted: Callable[[str], bool]) -> Iterator[ListedFile]:
    system, root = filesystem(folder)

    def below(path: str) -> Iterator[ListedFile]:
        for info in sorted(system.ls(path, detail=True), key=lambda info: str(info["name"])):
            name = info["name"].rstrip("/")
            if info["type"] == "directory":
                if name != path.rstrip("/"):
                    yield from below(name)
            elif wanted(name):
                yield remote_entry(system, info)

    try:
        yield from below(root)
    except Exception as error:  # each store's client has exceptions of its own
        yield ListedFile(folder, "", -1, f"cannot be listed: {type(error).__name__}: {error}")


def filesystem(url: str) -> tuple[Any, str]:  # fsspec has no types
    """Return fsspec's file system for a URL, and the path in it."""
    with needs("batch", f"{url} needs fsspec"):
        import fsspec
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ValueError, ImportError) as error:
        raise SettingsError(f"cannot open {url}: {error}") from error


def remote_entry(system: Any, info: JsonObject) -> ListedFile:  # noqa: ANN401 - fsspec has no types
    """Return an entry from an object store's description of an object."""
    marks = [info.get(key) for key in ("size", "ETag", "etag", "mtime", "LastModified", "updated")]
    size = info.get("size")
    return ListedFile(
        system.unstrip_protocol(info["name"]),
        " ".join(str(mark) for mark in marks if mark is not None),
        -1 if size is None else int(size),
    )


def is_folder(path: str) -> bool:
    """Whether a local path is a folder; false if it cannot be looked at."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False
