"""Parts: a run cut into blocks, each with a manifest of items and, once read, a file of rows.

All lie in one folder or object store that every machine of the run sees. A part appears whole, so
what was read is known by what is there, and any number of readers can come and go.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from service.batch.engines.worker import Page, Place, Status
from service.batch.inputs.items import Item
from service.batch.outputs.rows import COLUMNS
from service.batch.outputs.writers import GROUP, tables
from service.batch.state.journal import MARK, REFRESH, Record, Setting, differences, mark
from service.errors import SettingsError, UnwritableOutput
from service.extras import needs
from service.pb import recognizer_pb2 as pb

BLOCK = 256  # items of a block: a second or two of work
HEADER = "run.json"


class Counts(NamedTuple):
    """What became of a block."""

    block: int
    items: int
    failed: int
    review: int
    accepted: int


@dataclass(frozen=True)
class Parts:
    """The manifests and parts of a run.

    Args:
        location: a folder, absolute, or a URL.
        scores: whether rows have score maps.
    """

    location: str
    scores: bool

    def begin(self, settings: dict[str, Setting], refresh: bool) -> None:
        """Take note of what rows depend on; where that changed, all is read anew or nothing.

        Raises:
            SettingsError: it changed, and this is no refreshing.
        """
        system, root = self._system()
        told = json.dumps(settings)
        system.makedirs(root, exist_ok=True)
        header = f"{root}/{HEADER}"
        if system.exists(header):
            begun = json.loads(system.cat_file(header))
            if begun == settings:
                return
            if not refresh:
                raise SettingsError(
                    f"{self.location} was begun otherwise: {differences(begun, settings)}"
                )
            system.rm(root, recursive=True)
            system.makedirs(root, exist_ok=True)
        system.pipe_file(header, told.encode("ascii"))

    def plan(self, items: Iterable[Item], refresh: bool) -> tuple[int, list[int]]:
        """Write manifests; return how many blocks there are, and which are still to be read.

        Raises:
            SettingsError: a block is not what it was, and this is no refreshing.
        """
        import pyarrow as pa

        system, root = self._system()
        there = {path.rpartition("/")[2] for path in system.ls(root, detail=False)}
        items, block, waiting = iter(items), 0, []
        while group := list(islice(items, BLOCK)):
            told = block_mark(group)
            seen = self._mark(manifest_of(block)) if manifest_of(block) in there else None
            if seen != told:
                if seen is not None:
                    self._refuse(f"block {block} of its inputs is not what it was", refresh)
                    self._remove(part_of(block))
                rows = [item.to_columns() for item in group]
                table = pa.Table.from_pylist(rows, schema_of_items())
                self._write(manifest_of(block), table, told)
            if seen != told or part_of(block) not in there:
                waiting.append(block)
            block += 1
        if manifest_of(block) in there:
            self._refuse("there are fewer inputs than there were", refresh)
            for name in there - {HEADER}:
                if int(name[-16:-8]) >= block:
                    self._remove(name)
        return block, waiting

    def places(self, block: int) -> Iterator[Place]:
        """Yield a block's items."""
        columns = self._table(manifest_of(block)).to_pylist()
        for offset, each in enumerate(columns):
            yield Place(block * BLOCK + offset, 0, Item.from_columns(each))

    def write(self, block: int, pages: list[tuple[Place, Page, bool]]) -> Counts:
        """Write what became of a block's pages, each with whether it is its item's last."""
        import pyarrow as pa

        table = pa.concat_tables(tables((page for _, page, _ in pages), self.scores))
        own = {
            "item": pa.array([place.number for place, _, _ in pages], pa.int64()),
            "last": pa.array([last for _, _, last in pages], pa.bool_()),
            "status": pa.array([int(page.status) for _, page, _ in pages], pa.int8()),
            "mark": pa.array([mark(place.item) for place, _, _ in pages], pa.binary(MARK)),
        }
        for name, column in own.items():
            table = table.append_column(name, column)
        self._write(part_of(block), table, "")
        return counts_of(block, table)

    def counts(self, block: int) -> Counts | None:
        """Return what became of a block, or None if it is still to be read."""
        system, root = self._system()
        if not system.exists(f"{root}/{part_of(block)}"):
            return None
        return counts_of(block, self._table(part_of(block), ["status", "last"]))

    def records(self, blocks: int) -> Iterator[Record]:
        """Yield every page of the run, in order: the merge of the parts."""
        for block in range(blocks):
            table = self._table(part_of(block))
            for batch in table.to_batches(max_chunksize=256):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    yield _record(row)

    def remove(self) -> None:
        """Take all away: the output has it."""
        system, root = self._system()
        system.rm(root, recursive=True)

    def _system(self) -> tuple[Any, str]:
        with needs("ray", "--engine ray needs fsspec"):
            import fsspec
        system, root = fsspec.core.url_to_fs(self.location)
        return system, root.rstrip("/")

    def _mark(self, name: str) -> str:
        from pyarrow import parquet

        system, root = self._system()
        with system.open(f"{root}/{name}", "rb") as file:
            metadata = parquet.read_schema(file).metadata or {}
        return str(metadata.get(b"mark", b"").decode("ascii"))

    def _table(self, name: str, columns: list[str] | None = None) -> Any:  # noqa: ANN401
        from pyarrow import parquet

        system, root = self._system()
        with system.open(f"{root}/{name}", "rb") as file:
            return parquet.read_table(file, columns=columns)

    def _write(self, name: str, table: Any, told: str) -> None:  # noqa: ANN401
        from pyarrow import parquet

        system, root = self._system()
        partial = f"{root}/{name}.{uuid.uuid4().hex}"
        table = table.replace_schema_metadata({"mark": told})
        try:
            with system.open(partial, "wb") as file:
                parquet.write_table(table, file, compression="zstd", row_group_size=GROUP)
            system.mv(partial, f"{root}/{name}")
        except OSError as error:
            raise UnwritableOutput(f"cannot write {root}/{name}: {error}") from error

    def _remove(self, name: str) -> None:
        system, root = self._system()
        if system.exists(f"{root}/{name}"):
            system.rm_file(f"{root}/{name}")

    def _refuse(self, why: str, refresh: bool) -> None:
        if not refresh:
            raise SettingsError(f"{self.location} was begun with other inputs: {why}; {REFRESH}")


def manifest_of(block: int) -> str:
    """Return the name of a block's manifest."""
    return f"block-{block:08}.parquet"


def part_of(block: int) -> str:
    """Return the name of a block's rows."""
    return f"part-{block:08}.parquet"


def block_mark(items: Iterable[Item]) -> str:
    """Return what stands for a block's items."""
    told = hashlib.blake2b(digest_size=MARK)
    for item in items:
        told.update(mark(item))
    return told.hexdigest()


def counts_of(block: int, table: Any) -> Counts:  # noqa: ANN401 - an Arrow table
    """Return what became of a block's rows."""
    status = table.column("status").to_pylist()
    return Counts(
        block,
        sum(table.column("last").to_pylist()),
        status.count(Status.FAILED),
        status.count(Status.REVIEW),
        status.count(Status.ACCEPT),
    )


def schema_of_items() -> Any:  # noqa: ANN401 - pyarrow is not imported without need
    """Return the Arrow schema of a manifest."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema(
        [
            ("source", text),
            ("path", text),
            ("identity", text),
            ("id", text),
            ("page", number),
            ("constraint", pa.binary()),
            ("member", text),
            ("offset", number),
            ("size", number),
            ("content", pa.binary()),
            ("reason", text),
            ("trouble", text),
        ]
    )


def _record(row: dict[str, Any]) -> Record:
    told = {column: row[column] for column in COLUMNS}
    scores = b""
    if row.get("scores"):
        rows, positions, labels = row["scores"]["shape"]
        scores = pb.ScoreMap(
            rows=rows,
            positions=positions,
            labels=[""] * labels,
            log_probabilities=row["scores"]["data"],
        ).SerializeToString()
    line = json.dumps(told).encode("ascii")
    page = Page(row["page"], Status(row["status"]), row["confidence"] or 0.0, line, scores)
    return Record(row["item"], row["last"], row["mark"], page, 0, 0)
