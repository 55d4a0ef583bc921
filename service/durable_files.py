"""Files that survive a crash: written beside their place, synced, and renamed into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import UnwritableOutput

PARTIAL = ".partial"  # suffix of a file that is being written
FINISHED = ".run.json"  # suffix of what a batch's output was made from


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate the errors of writing a file.

    Raises:
        UnwritableOutput: it cannot be written: the disk is full, say.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a run's own file beside another."""
    return path.with_name(path.name + suffix)


def new_partial(path: Path) -> Path:
    """Return `path`.partial, which is an empty file now.

    What an earlier run left there is removed. So is a link, whose target is not written to.

    Raises:
        OSError: it cannot be made.
    """
    partial = beside(path, PARTIAL)
    partial.unlink(missing_ok=True)
    partial.open("xb").close()
    return partial


def put_in_place(path: Path) -> None:
    """Rename `path`.partial to `path`; after a crash either the old or the new one is there.

    Raises:
        OSError: it cannot be synced or renamed.
    """
    partial = beside(path, PARTIAL)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Flush a file's name to the disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
