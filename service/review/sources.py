"""The scans that rows were read from: files, members of archives, URLs, pages of documents.

A table may come from anybody and name any file of this machine, or any URL. So a review opens only
what lies beneath some roots.
"""

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from service.errors import UnreadableSource, quoted
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.imaging.page import Page
from service.inputs.archives import is_archive, members
from service.inputs.documents import Document, max_bytes_of
from service.inputs.expand import is_wanted
from service.inputs.items import Item
from service.inputs.listing import entry_of
from service.inputs.names import names_of, printable
from service.inputs.open_files import REMOTE

KEPT = 4  # archives whose members are known


class Sources:
    """Finds and decodes the scans of a table.

    Args:
        folder: of the table, from which a source is looked for if it is not there from here.
        dpi: dots an inch that a PDF's pages are drawn at.
        limits: how large a scan may be.
        roots: folders and URLs beneath which scans are opened; None is anywhere.
    """

    def __init__(
        self,
        folder: Path,
        dpi: int,
        limits: Limits | None = None,
        roots: tuple[str, ...] | None = None,
    ) -> None:
        self.folder = folder
        self.dpi = dpi
        self.limits = limits or Limits()
        self.roots = roots
        folders = (root for root in roots or () if REMOTE not in root)
        self._folders = tuple(os.path.realpath(folder) for folder in folders)

    def allow(self, source: str) -> bool:
        """Return whether a source lies beneath the roots, be it there or not."""
        if REMOTE in source:
            return self._is_beneath(source)
        return any(map(self._is_beneath, self._names(source)))

    def read(self, source: str, sha256: str | None = None) -> bytes:
        """Return a source's bytes, those of a certain digest where one is given.

        Raises:
            InputError: they cannot be read, are too many, or are others now.
        """
        changed = False
        if not self.allow(source):
            raise UnreadableSource(
                f"{quoted(source)} lies outside of {', '.join(self.roots or ())}; --root names "
                "further folders or URLs whose scans are shown",
                "source",
            )
        for item in self._items(source):
            encoded = b"".join(item.pieces(max_bytes_of(source, self.limits)))
            if sha256 is None or hashlib.sha256(encoded).hexdigest() == sha256:
                return encoded
            changed = True
        if changed:
            raise UnreadableSource("the file has changed since it was read", "source")
        raise UnreadableSource(
            f"there is no such file, here or from {self.folder}; start the command where the "
            "batch was started",
            "source",
        )

    def page(self, source: str, page: int, sha256: str | None = None) -> Page:
        """Return a page, from 0, decoded.

        Raises:
            InputError: it cannot be read or decoded.
            MissingExtra: it is of a PDF, which cannot be drawn.
        """
        document = Document(self.read(source, sha256), self.limits, self.dpi)
        content, index = document.page(page)
        return decode(content, index, self.limits) if isinstance(content, bytes) else Page(content)

    def _items(self, source: str) -> Iterator[Item]:
        """Yield what a source may name: a file, or an archive's members of that name."""
        if REMOTE in source and not is_in_archive(source):
            yield Item(source, source)
            return
        for name in self._names(source):
            if REMOTE not in name and self._is_beneath(name) and _is_file(name):
                yield Item(name, name)
                return
        if found := is_in_archive(source):
            for name in self._names(found.archive):
                if self._is_beneath(name) and (REMOTE in name or _is_file(name)):
                    identity = "" if REMOTE in name else entry_of(name).identity
                    yield from _members(name, identity).get(printable(found.member), ())
                    return

    def _names(self, source: str) -> dict[str, None]:
        """Return what a source may be named, from here and from the table's folder."""
        here = names_of(source)
        return dict.fromkeys((*here, *(str(self.folder / name) for name in here)))

    def _is_beneath(self, name: str) -> bool:
        """Return whether a file, wherever links lead, or a URL is beneath a root."""
        if self.roots is None:
            return True
        if REMOTE in name:  # a chain of file systems, as fsspec has it, would have several URLs
            plain = "::" not in name and ".." not in unquote(name).split("/")
            return plain and any(
                REMOTE in root and name.startswith(root.rstrip("/") + "/") for root in self.roots
            )
        try:
            path = Path(os.path.realpath(name))
        except ValueError:  # a null character
            return False
        return any(map(path.is_relative_to, self._folders))


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError as error:  # its folder is closed to us, or its name too long
        raise UnreadableSource(error.strerror or str(error), "source") from error


class _InArchive(NamedTuple):
    archive: str
    member: str


def is_in_archive(source: str) -> _InArchive | None:
    """Return which part of a source is an archive's name, if one is: `scans.zip/a.png`."""
    parts = source.split("/")
    for count in range(1, len(parts)):
        archive = "/".join(parts[:count])
        if is_archive(archive) and (REMOTE in archive or not Path(archive).is_dir()):
            return _InArchive(archive, "/".join(parts[count:]))
    return None


@lru_cache(KEPT)
def _members(archive: str, identity: str) -> dict[str, list[Item]]:
    """Return an archive's members by their `printable` names, which may repeat."""
    found: dict[str, list[Item]] = {}
    for item in members(archive, identity, is_wanted):
        if not item.reason:
            found.setdefault(printable(item.source[len(archive) + 1 :]), []).append(item)
    return found
