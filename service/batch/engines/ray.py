"""Ray Data: the same recognizer in actors on many machines, a block of items at a time.

Each actor keeps its session in a process of its own, as the local engine does, so that an image
that crashes a process costs neither the actor nor the block. When a node is lost, Ray retries its
blocks on others.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from service.batch.engines.local import LocalEngine
from service.batch.job import Job
from service.batch.plan import Plan
from service.batch.state.shards import BlockCounts, Shards
from service.errors import DigitstripError
from service.extras import needs

LOOPBACK = "127.0.0.1"


class BlockReader:
    """A Ray actor: reads blocks.

    Args:
        plan: how.
        shards: where they lie.
    """

    def __init__(self, plan: Plan, shards: Shards) -> None:
        self.shards = shards
        self.engine = LocalEngine(plan, 1)

    def __call__(self, batch: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
        """Read blocks; the numbers of each are a row."""
        counts = [self._read(int(block)) for block in batch["block"]]
        return {name: [getattr(each, name) for each in counts] for name in BlockCounts._fields}

    def _read(self, block: int) -> BlockCounts:
        if (counts := self.shards.counts(block)) is not None:  # by an actor that was lost later
            return counts
        pages = []
        for result in self.engine.read(self.shards.places(block)):
            for page in result.pages:
                last = not result.following and page is result.pages[-1]
                pages.append((result.place, page, last))
        return self.shards.write(block, pages)


def read_blocks(job: Job, plan: Plan, shards: Shards, blocks: list[int]) -> Iterator[BlockCounts]:
    """Read blocks on Ray, and yield the numbers of each, in any job.

    Raises:
        MissingExtra: there is no Ray here.
        DigitstripError: no item could be read, for a reason that is not the item's.
    """
    with _connected(job) as ray:
        from ray import data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        actors = job.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        read = data.from_items(
            [{"block": block} for block in blocks], override_num_blocks=len(blocks)
        ).map_batches(
            BlockReader,
            batch_size=1,
            compute=data.ActorPoolStrategy(min_size=1, max_size=min(actors, len(blocks))),
            num_cpus=1,
            fn_constructor_kwargs={"plan": plan, "shards": shards},
        )
        try:
            for row in read.iter_rows():
                yield BlockCounts(**{name: int(row[name]) for name in BlockCounts._fields})
        except ray.exceptions.RayError as error:
            cause = error.__cause__
            raise (
                cause
                if isinstance(cause, DigitstripError)
                else DigitstripError(f"Ray gave up: {error}")
            ) from error


@contextmanager
def _connected(job: Job) -> Iterator[Any]:  # Ray itself, imported only where it is needed
    """Be connected to a cluster, or to a local Ray that nothing outside this machine reaches."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send statistics home
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors are raised, not logged
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if job.ray_address is None or job.ray_address.startswith(LOOPBACK):
        # Ray takes the machine's outside address for the loopback one, but where this says not to.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with needs("ray", "--engine ray needs Ray"):
        import ray
    if job.ray_address is not None:
        ray.init(job.ray_address, logging_level=logging.ERROR, log_to_driver=False)
    else:
        ray.init(
            "local",
            num_cpus=job.processes,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    try:
        yield ray
    finally:
        ray.shutdown()
