"""The quarantine: copies of what could not be read, and a list of the reasons."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from service.batch.engines.worker import Status
from service.batch.inputs.items import Item
from service.batch.state.journal import Record, written
from service.errors import InputError

LIST = "reasons.jsonl"
NAME = 120  # characters of a source's name that a copy's name keeps
COPIED = 2**30  # bytes of one item


def quarantine(folder: Path, items: Iterable[Item], records: Iterable[Record]) -> None:
    """Copy every item that has a page without a reading, and list the reasons.

    Args:
        folder: made if there is none; the list in it is written anew.
        items: a run's inputs, in order.
        records: its pages, in order.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    numbered, at = iter(items), -1
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LIST).open("w", encoding="ascii")
    with file:
        for record in records:
            if record.page.status is not Status.FAILED:
                continue
            row = json.loads(record.page.row)
            copy = folder / name_of(row["source"], row["sha256"])
            # Of a document's pages the first one that failed brings the copy.
            if at < record.number:
                item = next(islice(numbered, record.number - at - 1, None))
                at = record.number
                with suppress(InputError):  # where there is nothing to copy
                    content = item.read(COPIED)
                    with written(copy):
                        copy.write_bytes(content)
            told = {key: row[key] for key in ("source", "page", "id", "sha256", "error")}
            told["copy"] = copy.name if copy.is_file() else None
            with written(folder):
                file.write(json.dumps(told) + "\n")


def name_of(source: str, sha256: str | None) -> str:
    """Return a file name that tells where a copy came from, and is its own."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", source)[-NAME:].lstrip(".") or "item"
    return f"{sha256[:12]}-{name}" if sha256 else name
