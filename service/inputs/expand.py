"""Inputs of the command line, as items in a fixed order: the order of the rows."""

import glob
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import DigitstripError
from service.imaging.files import DOCUMENTS, STDIN, is_image_name, matches
from service.imaging.formats import SUFFIXES
from service.inputs.archives import is_archive, members
from service.inputs.items import Item
from service.inputs.listing import (
    ListedFile,
    entry_of,
    filesystem,
    is_folder,
    remote_entry,
    walk,
)
from service.inputs.manifest import LISTS, read_list, read_manifest
from service.inputs.open_files import REMOTE


def is_wanted(name: str) -> bool:
    """Whether a file of a folder or archive is an image or document, by its name."""
    return is_image_name(name, SUFFIXES | DOCUMENTS)


class Inputs:
    """Inputs of a command line; iterating yields their items, each time the same.

    A folder stands for the images and documents below it, by name; an archive for those in it; a
    glob for what it matches; a manifest for what it lists; `-` for a list on standard input; any
    other name for itself, whether it can be read or not.

    Args:
        names: local paths, globs, URLs of fsspec, `-`.
        listed: a file with what came on standard input, for `-`.
    """

    def __init__(self, names: Iterable[str], listed: Path | None = None) -> None:
        self.names = list(names)
        self.listed = listed

    def __iter__(self) -> Iterator[Item]:
        """Yield every item."""
        for name in self.names:
            yield from self._of(name)

    def _of(self, name: str) -> Iterator[Item]:
        if name == STDIN and self.listed is not None:
            with self.listed.open(encoding="utf-8", errors="surrogateescape") as file:
                yield from read_list(file, Path())
        elif REMOTE in name:
            yield from _remote(name)
        elif is_folder(name):
            yield from _items(walk(name, is_wanted), name)
        elif not Path(name).exists() and glob.has_magic(name):
            matched = matches(name)
            for each in matched:
                yield from _file(entry_of(each))
            if not matched:
                yield from _file(entry_of(name))
        elif Path(name).suffix.lower() in LISTS:
            yield from read_manifest(Path(name))
        else:
            yield from _file(entry_of(name))


@contextmanager
def inputs_of(names: Iterable[str]) -> Iterator[Inputs]:
    """Return the inputs; a list on standard input is kept in a temporary file meanwhile."""
    names = list(names)
    if STDIN not in names:
        yield Inputs(names)
        return
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Inputs(names, Path(file.name))


def _file(entry: ListedFile) -> Iterator[Item]:
    if is_archive(entry.path):
        yield from members(entry.path, entry.identity, is_wanted)
    elif is_folder(entry.path):
        yield from _items(walk(entry.path, is_wanted), entry.path)
    else:
        yield _item(entry)


def _item(entry: ListedFile) -> Item:
    reason = "UNREADABLE_SOURCE" if entry.trouble else ""
    size = entry.size if REMOTE in entry.path else -1  # a local file's is known when it is opened
    return Item(
        entry.path, entry.path, entry.identity, size=size, reason=reason, trouble=entry.trouble
    )


def _items(entries: Iterator[ListedFile], folder: str) -> Iterator[Item]:
    """Yield a folder's items; an empty folder is an item that says so."""
    empty = True
    for entry in entries:
        empty = False
        yield _item(entry)
    if empty:
        why = "there is no image in it"
        yield Item(folder, folder, "", reason="UNREADABLE_SOURCE", trouble=why)


def _remote(url: str) -> Iterator[Item]:
    """Yield the items of a URL: an archive's members, a glob's matches, a folder's, or itself."""
    try:
        system, path = filesystem(url)
        if glob.has_magic(path):
            found = system.glob(path, detail=True)
            entries = [remote_entry(system, found[name]) for name in sorted(found)]
        elif system.isdir(path):
            yield from _items(walk(url, is_wanted), url)
            return
        else:
            entries = [remote_entry(system, system.info(path))]
    except DigitstripError:
        raise
    except Exception as error:  # each store's client has exceptions of its own
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        yield Item(url, url, "", reason="UNREADABLE_SOURCE", trouble=why)
        return
    for entry in entries:
        if is_archive(entry.path):
            yield from members(entry.path, entry.identity, is_wanted)
        else:
            yield _item(entry)
