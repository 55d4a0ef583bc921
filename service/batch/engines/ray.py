"""Ray Data: the same recognizer in actors on many machines, a block of items at a time.

Each actor keeps its session in a process of its own, as the local engine does, so that an image
that kills a process costs neither the actor nor the block. A node that is lost costs the blocks
that it was at; Ray gives them to others.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.batch.engines.local import LocalEngine, tasks_of
from service.batch.engines.worker import Plan
from service.batch.job import Order
from service.batch.state.shards import Counts, Parts
from service.errors import DigitstripError
from service.extras import needs

LOOPBACK = "127.0.0.1"


class BlockReader:
    """A Ray actor: reads blocks.

    Args:
        plan: how.
        parts: where they lie.
    """

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self.parts = parts
        self.plan = plan
        self.engine = LocalEngine(plan, 1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        """Read blocks; what became of each is a row."""
        counts = [self._read(int(block)) for block in batch["block"]]
        return {name: [getattr(each, name) for each in counts] for name in Counts._fields}

    def _read(self, block: int) -> Counts:
        if (counts := self.parts.counts(block)) is not None:  # by an actor that was lost later
            return counts
        pages = []
        for answer in self.engine.read(tasks_of(self.parts.places(block), self.plan)):
            for page in answer.pages:
                last = not answer.following and page is answer.pages[-1]
                pages.append((answer.place, page, last))
        return self.parts.write(block, pages)


def read_blocks(order: Order, plan: Plan, parts: Parts, blocks: list[int]) -> Iterator[Counts]:
    """Read blocks on Ray, and yield what became of each, in any order.

    Raises:
        MissingExtra: there is no Ray here.
        DigitstripError: no item could be read, for a reason that is not the item's.
    """
    with _connected(order) as ray:
        from ray import data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        actors = order.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        read = data.from_items(
            [{"block": block} for block in blocks], override_num_blocks=len(blocks)
        ).map_batches(
            BlockReader,
            batch_size=1,
            compute=data.ActorPoolStrategy(min_size=1, max_size=min(actors, len(blocks))),
            num_cpus=1,
            fn_constructor_kwargs={"plan": plan, "parts": parts},
        )
        try:
            for row in read.iter_rows():
                yield Counts(**{name: int(row[name]) for name in Counts._fields})
        except ray.exceptions.RayError as error:
            cause = error.__cause__
            raise (
                cause
                if isinstance(cause, DigitstripError)
                else DigitstripError(f"Ray gave up: {error}")
            ) from error


@contextmanager
def _connected(order: Order) -> Iterator[Any]:
    """Be connected to a cluster, or to a local Ray that nothing outside this machine reaches."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong, we tell
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if order.ray_address is None or order.ray_address.startswith(LOOPBACK):
        # Ray takes the machine's outside address for the loopback one, but where this says not to.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with needs("ray", "--engine ray needs Ray"):
        import ray
    if order.ray_address is not None:
        ray.init(order.ray_address, logging_level=logging.ERROR, log_to_driver=False)
    else:
        ray.init(
            "local",
            num_cpus=order.processes,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    try:
        yield ray
    finally:
        ray.shutdown()
