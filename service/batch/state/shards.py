"""Shards: a run cut into blocks, each with a list of its items and, once read, a file of rows.

All lie in one folder or object store that every machine of the run sees. A shard appears whole, so
what was read is known by what is there, and any number of readers can come and go.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

from service.batch.job import Setting
from service.batch.outputs.rows import COLUMNS
from service.batch.outputs.writers import GROUP, tables
from service.batch.pages import PageResult, PageStatus, Record
from service.batch.plan import Place
from service.batch.state.marks import MARK, REFRESH, differences, mark
from service.errors import SettingsError, UnwritableOutput
from service.extras import needs
from service.inputs.items import Item
from service.json_object import JsonObject, parse_json
from service.pb import recognizer_pb2 as pb

MADE_BY = "digitstrip batch"
BLOCK = 256  # items of a block: a second or two of work
HEADER = "run.json"
NAMES = re.compile(r"run\.json|(block|shard)-\d{8}\.parquet(\.[0-9a-f]{32})?")


class BlockCounts(NamedTuple):
    """Numbers of a block's items and rows."""

    block: int
    items: int
    failed: int
    retries: int  # of the failed ones, those that the next run reads again
    review: int
    accepted: int


class Shards:
    """The lists and shards of a run.

    Args:
        location: a folder, absolute, or a URL.
        scores: whether rows have score maps.
    """

    def __init__(self, location: str, scores: bool) -> None:
        self.location = location
        self.scores = scores
        self.blocks = 0

    def begin(self, settings: dict[str, Setting], refresh: bool) -> None:
        """Write down what rows depend on, or compare it with what was written down.

        Raises:
            SettingsError: it has changed, and this is no refreshing, or the folder is not a run's.
        """
        system, root = self._system()
        system.makedirs(root, exist_ok=True)
        header = f"{root}/{HEADER}"
        if system.exists(header):
            try:
                begun = parse_json(system.cat_file(header))
                if begun.pop("made_by") != MADE_BY:
                    raise KeyError
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise SettingsError(
                    f"{self.location}/{HEADER} was not written by `digitstrip batch`, or is "
                    "damaged; it is left as it is: move it away, or name another folder"
                ) from error
            if begun == settings:
                return
            if not refresh:
                changed = differences(begun, settings)
                raise SettingsError(
                    f"cannot resume {self.location}: the settings have changed: {changed}"
                )
            self.remove()
            system.makedirs(root, exist_ok=True)
        system.pipe_file(header, json.dumps({"made_by": MADE_BY, **settings}).encode("ascii"))

    def plan(self, items: Iterable[Item], refresh: bool) -> list[int]:
        """List the items block by block; return which blocks are still to be read.

        Raises:
            SettingsError: a block is not what it was, and this is no refreshing.
        """
        import pyarrow as pa

        system, root = self._system()
        there = {path.rpartition("/")[2] for path in system.ls(root, detail=False)}
        items, block, waiting = iter(items), 0, []
        while group := list(islice(items, BLOCK)):
            fingerprint = block_mark(group)
            seen = self._mark(list_of(block)) if list_of(block) in there else None
            if seen != fingerprint:
                if seen is not None:
                    self._refuse(f"block {block} of its inputs has changed", refresh)
                    self._delete(shard_of(block))
                rows = [item.to_columns() for item in group]
                table = pa.Table.from_pylist(rows, schema_of_items())
                self._write(list_of(block), table, fingerprint)
            elif shard_of(block) in there:
                counts = self.counts(block)
                if counts is not None and counts.retries:
                    self._delete(shard_of(block))
                    there.remove(shard_of(block))
            if seen != fingerprint or shard_of(block) not in there:
                waiting.append(block)
            block += 1
        if list_of(block) in there:
            self._refuse("there are fewer inputs than there were", refresh)
            for name in there - {HEADER}:
                if NAMES.fullmatch(name) and int(re.findall(r"\d{8}", name)[0]) >= block:
                    self._delete(name)
        self.blocks = block
        return waiting

    def places(self, block: int) -> Iterator[Place]:
        """Yield a block's items."""
        columns = self._table(list_of(block)).to_pylist()
        for offset, each in enumerate(columns):
            yield Place(block * BLOCK + offset, 0, Item.from_columns(each))

    def write(self, block: int, pages: list[tuple[Place, PageResult, bool]]) -> BlockCounts:
        """Write the results of a block's pages, each with whether it is its item's last."""
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
        self._write(shard_of(block), table, "")
        return counts_of(block, table)

    def counts(self, block: int) -> BlockCounts | None:
        """Return a block's numbers, or None if it is still to be read."""
        system, root = self._system()
        if not system.exists(f"{root}/{shard_of(block)}"):
            return None
        return counts_of(block, self._table(shard_of(block), ["status", "last"]))

    def records(self) -> Iterator[Record]:
        """Yield every page of the run, in order: the merge of the shards."""
        for block in range(self.blocks):
            table = self._table(shard_of(block))
            for batch in table.to_batches(max_chunksize=256):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    yield _record(row)

    def remove(self) -> None:
        """Delete the run's files, since the output has all of them, and the folder if it is empty.

        What else lies there is left.
        """
        system, root = self._system()
        for path in system.ls(root, detail=False):
            name = path.rpartition("/")[2]
            if NAMES.fullmatch(name) and name != HEADER:
                self._delete(name)
        self._delete(HEADER)
        with suppress(OSError):
            system.rmdir(root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open between calls."""

    def _system(self) -> tuple[Any, str]:  # fsspec has no types
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

    def _table(self, name: str, columns: list[str] | None = None) -> Any:  # noqa: ANN401 - pyarrow has no types
        from pyarrow import parquet

        system, root = self._system()
        with system.open(f"{root}/{name}", "rb") as file:
            return parquet.read_table(file, columns=columns)

    def _write(self, name: str, table: Any, fingerprint: str) -> None:  # noqa: ANN401 - an Arrow table
        from pyarrow import parquet

        system, root = self._system()
        partial = f"{root}/{name}.{uuid.uuid4().hex}"
        table = table.replace_schema_metadata({"mark": fingerprint})
        try:
            with system.open(partial, "wb") as file:
                parquet.write_table(table, file, compression="zstd", row_group_size=GROUP)
            system.mv(partial, f"{root}/{name}")
        except OSError as error:
            raise UnwritableOutput(f"cannot write {root}/{name}: {error}") from error

    def _delete(self, name: str) -> None:
        system, root = self._system()
        if system.exists(f"{root}/{name}"):
            system.rm_file(f"{root}/{name}")

    def _refuse(self, why: str, refresh: bool) -> None:
        if not refresh:
            raise SettingsError(f"cannot resume {self.location}: {why}; {REFRESH}")


def list_of(block: int) -> str:
    """Return the name of a block's list of items."""
    return f"block-{block:08}.parquet"


def shard_of(block: int) -> str:
    """Return the name of a block's rows."""
    return f"shard-{block:08}.parquet"


def block_mark(items: Iterable[Item]) -> str:
    """Return the fingerprint of a block's items."""
    fingerprint = hashlib.blake2b(digest_size=MARK)
    for item in items:
        fingerprint.update(mark(item))
    return fingerprint.hexdigest()


def counts_of(block: int, table: Any) -> BlockCounts:  # noqa: ANN401 - an Arrow table
    """Return the numbers of a block's rows."""
    status = table.column("status").to_pylist()
    retries = status.count(PageStatus.RETRY)
    return BlockCounts(
        block,
        sum(table.column("last").to_pylist()),
        status.count(PageStatus.FAILED) + retries,
        retries,
        status.count(PageStatus.REVIEW),
        status.count(PageStatus.ACCEPT),
    )


def schema_of_items() -> Any:  # noqa: ANN401 - pyarrow is not imported without need
    """Return the Arrow schema of a block's list."""
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
            ("entry", number),
            ("offset", number),
            ("size", number),
            ("compressed", pa.bool_()),
            ("reason", text),
            ("trouble", text),
        ]
    )


def _record(row: JsonObject) -> Record:
    kept = {column: row[column] for column in COLUMNS}
    scores = b""
    if row.get("scores"):
        rows, positions, labels = row["scores"]["shape"]
        scores = pb.ScoreMap(
            rows=rows,
            positions=positions,
            labels=[""] * labels,
            log_probabilities=row["scores"]["data"],
        ).SerializeToString()
    line = json.dumps(kept).encode("ascii")
    page = PageResult(
        row["page"] - 1, PageStatus(row["status"]), row["confidence"] or 0.0, line, scores
    )
    return Record(row["item"], row["last"], row["mark"], page)
