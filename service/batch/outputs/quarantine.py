"""The quarantine: copies of items that could not be read, and a list of the reasons."""

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from service.batch.pages import Record
from service.durable_files import writing
from service.inputs.items import Item
from service.json_object import JsonObject

LIST = "reasons.jsonl"
NAME = 120  # characters of a source's name that a copy's name keeps

# Copies items to files, and yields for each whether there was something to copy.
Copy = Callable[[Iterable[tuple[Item, Path]]], Iterator[bool]]


def quarantine(folder: Path, items: Iterable[Item], records: Iterable[Record], copy: Copy) -> None:
    """Copy every item that has a failed page, and list the reasons.

    Args:
        folder: made if there is none; the list in it is replaced.
        items: of the run, in order.
        records: of the run, in order.
        copy: by workers: this process reads nothing that it was given.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LIST).open("w", encoding="ascii")
    rows: deque[list[JsonObject]] = deque()  # of the items that are being copied
    with file:
        for copied in copy(_wanted(folder, items, records, rows)):
            for row in rows.popleft():
                listed = {key: row[key] for key in ("source", "page", "id", "sha256", "error")}
                listed["copy"] = name_of(row["source"], row["sha256"]) if copied else None
                with writing(folder):
                    file.write(json.dumps(listed) + "\n")


def _wanted(
    folder: Path,
    items: Iterable[Item],
    records: Iterable[Record],
    rows: deque[list[JsonObject]],
) -> Iterator[tuple[Item, Path]]:
    """Yield each item with failed pages once, and note their rows."""
    numbered, at = iter(items), -1
    item: Item | None = None
    for record in records:
        if record.page.status.is_failure:
            row = json.loads(record.page.row)
            if record.number != at or item is None:
                if item is not None:
                    yield item, folder / name_of(rows[-1][0]["source"], rows[-1][0]["sha256"])
                item = next(islice(numbered, record.number - at - 1, None))
                at = record.number
                rows.append([])
            rows[-1].append(row)
    if item is not None:
        yield item, folder / name_of(rows[-1][0]["source"], rows[-1][0]["sha256"])


def name_of(source: str, sha256: str | None) -> str:
    """Return a file name that shows where a copy came from; the digest makes it unique."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", source)[-NAME:].lstrip(".") or "item"
    return f"{sha256[:12]}-{name}" if sha256 else name
