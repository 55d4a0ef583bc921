"""Prometheus metrics: the load, the time by stage, and the quality of what is read."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service.held_bytes import HeldBytes
from service.serving.observability.metrics_server import serve_metrics
from service.workers.admission_queue import Answer
from service.workers.pool import WorkerPool

PREFIX = "digitstrip_"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1)


class Metrics:
    """Counters and histograms, in a registry of their own.

    Args:
        live: metrics that are collected at each scrape.
    """

    def __init__(self, live: Collector) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # of no use here
        self.registry = CollectorRegistry()
        self.registry.register(live)
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Calls, by method and code.", "method", "code")
        self.images = self._counter("images", "Images, by code and reason.", "code", "reason")
        self.refused = self._counter(
            "refused", "Images and calls refused before any work.", "reason"
        )
        self.pixels = self._counter("pixels", "Pixels of the pages recognized.")
        self.decisions = self._counter("decisions", "Decisions, by decision.", "decision")
        self.outcomes = self._counter("constraint_outcomes", "Effects of constraints.", "outcome")
        self.reloads = self._counter("reloads", "Model reloads, by result.", "result")
        self.seconds = self._histogram("stage_seconds", "Seconds by stage.", SECONDS, "stage")
        self.none_share = self._histogram("none_share", "Share of positions with none.", SHARES)
        self.confidence = self._histogram("confidence", "Confidences of the texts.", CONFIDENCES)
        self.consulted = self._counter(
            "second_reader_consulted", "Images for which the second reader was consulted."
        )
        self.disagreed = self._counter(
            "readers_disagreed", "Images on which the two readers disagreed."
        )
        self.model = Info(f"{PREFIX}model", "The model in use.", registry=self.registry)

    def count_answer(self, answer: Answer) -> None:
        """Count an image that was recognized, and how well."""
        self.pixels.inc(answer.pixels)
        self.none_share.observe(answer.none_share)
        self.confidence.observe(answer.confidence)
        if answer.readers_agree is not None:
            self.consulted.inc()
            self.disagreed.inc(not answer.readers_agree)
        for stage, seconds in answer.seconds.items():
            self.seconds.labels(stage).observe(seconds)
        if answer.decision:
            self.decisions.labels(answer.decision).inc()
        if answer.outcome:
            self.outcomes.labels(answer.outcome).inc()

    def listen(self, address: str) -> Callable[[], None]:
        """Serve Prometheus at host:port; return the function that stops it.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        return serve_metrics(address, self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, what, labels, registry=self.registry)

    def _histogram(
        self, name: str, what: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(PREFIX + name, what, labels, buckets=buckets, registry=self.registry)


class Live(Collector):
    """The state of queues, workers and received messages at the moment of a scrape.

    Args:
        pool: of the workers.
        held: counts the bytes of messages.
        slow_messages: returns how many messages take long to arrive.
        now: the clock of the event loop.
        lost_lines: returns how many log lines were lost.
    """

    def __init__(
        self,
        pool: WorkerPool,
        held: HeldBytes,
        slow_messages: Callable[[], int],
        now: Callable[[], float],
        lost_lines: Callable[[], int],
    ) -> None:
        self.pool, self.held, self.slow_messages = pool, held, slow_messages
        self.now, self.lost_lines = now, lost_lines

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        images = GaugeMetricFamily(
            f"{PREFIX}queue_images", "Images waiting for a worker.", labels=["group"]
        )
        pixels = GaugeMetricFamily(f"{PREFIX}queue_pixels", "Pixels in flight.", labels=["group"])
        age = GaugeMetricFamily(
            f"{PREFIX}queue_age_seconds", "Wait of the first in the queue.", labels=["group"]
        )
        workers = GaugeMetricFamily(
            f"{PREFIX}workers", "Worker processes that are ready.", labels=["group"]
        )
        for group in self.pool.groups:
            name = [group.queue.name]
            images.add_metric(name, len(group.queue.waiting))
            pixels.add_metric(name, group.queue.in_flight)
            age.add_metric(name, group.queue.age(self.now()))
            workers.add_metric(name, len(group.workers))
        yield from (images, pixels, age, workers)
        yield GaugeMetricFamily(
            f"{PREFIX}workers_resident_bytes",
            "Resident memory of all workers.",
            sum(map(resident_bytes, self.pool.pids)),
        )
        yield CounterMetricFamily(f"{PREFIX}worker_deaths", "Workers that died.", self.pool.deaths)
        yield GaugeMetricFamily(
            f"{PREFIX}held_bytes",
            "Bytes of requests and responses that are held or arriving.",
            self.held.total,
        )
        yield GaugeMetricFamily(
            f"{PREFIX}slow_messages",
            "Messages that take long to arrive, and streams that wait for one.",
            self.slow_messages(),
        )
        yield CounterMetricFamily(
            f"{PREFIX}log_lines_lost", "Log lines that could not be written.", self.lost_lines()
        )


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory in bytes, or 0 where the system does not report it."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
