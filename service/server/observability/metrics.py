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
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service.api.json_records import decision_word, outcome_word
from service.errors import SettingsError
from service.pb import recognizer_pb2 as pb
from service.workers.admission_queue import Answer
from service.workers.pool import ReaderPool

PREFIX = "digitstrip_"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1)


class Metrics:
    """What is counted, in a registry of its own.

    Args:
        live: what is asked for at each scrape.
    """

    def __init__(self, live: Collector) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series of no use here
        self.registry = CollectorRegistry()
        self.registry.register(live)
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Calls, by method and code.", "method", "code")
        self.images = self._counter("images", "Images, by code and reason.", "code", "reason")
        self.refused = self._counter("refused", "Refused before any work.", "reason")
        self.pixels = self._counter("pixels", "Pixels of pages that were read.")
        self.decisions = self._counter("decisions", "Decisions that were asked for.", "decision")
        self.outcomes = self._counter("constraint_outcomes", "What constraints did.", "outcome")
        self.reloads = self._counter("reloads", "Models loaded anew, or not.", "result")
        self.seconds = self._histogram("stage_seconds", "Seconds by stage.", SECONDS, "stage")
        self.none_share = self._histogram("none_share", "Share of positions with none.", SHARES)
        self.confidence = self._histogram("confidence", "Of what was read.", CONFIDENCES)
        self.model = Info(f"{PREFIX}model", "The model that reads.", registry=self.registry)

    def count_reading(self, answer: Answer, response: pb.RecognizeResponse) -> None:
        """Count an image that was read, and how well."""
        self.pixels.inc(answer.pixels)
        self.none_share.observe(answer.none_share)
        self.confidence.observe(response.confidence)
        for stage, seconds in answer.seconds.items():
            self.seconds.labels(stage).observe(seconds)
        if decision := decision_word(response):
            self.decisions.labels(decision).inc()
        if outcome := outcome_word(response):
            self.outcomes.labels(outcome).inc()

    def listen(self, address: str) -> Callable[[], None]:
        """Answer Prometheus at host:port; returns what ends that.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        host, _, port = address.rpartition(":")
        try:
            server, thread = start_http_server(int(port), host.strip("[]"), self.registry)
        except OSError as error:
            raise SettingsError(f"cannot listen on {address} for metrics: {error}") from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, what, labels, registry=self.registry)

    def _histogram(
        self, name: str, what: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(PREFIX + name, what, labels, buckets=buckets, registry=self.registry)


class Live(Collector):
    """What queues and readers are like at the moment of a scrape.

    Args:
        pool: whose they are.
        now: the clock of its event loop.
        lost_lines: tells how many lines of log were lost.
    """

    def __init__(
        self, pool: ReaderPool, now: Callable[[], float], lost_lines: Callable[[], int]
    ) -> None:
        self.pool, self.now, self.lost_lines = pool, now, lost_lines

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        images = GaugeMetricFamily(f"{PREFIX}queue_images", "Images that wait.", labels=["lane"])
        pixels = GaugeMetricFamily(f"{PREFIX}queue_pixels", "Pixels in flight.", labels=["lane"])
        age = GaugeMetricFamily(
            f"{PREFIX}queue_age_seconds", "Wait of the first in the queue.", labels=["lane"]
        )
        readers = GaugeMetricFamily(f"{PREFIX}readers", "Processes that read.", labels=["lane"])
        for lane in self.pool.lanes:
            images.add_metric([lane.name], len(lane.waiting))
            pixels.add_metric([lane.name], lane.in_flight)
            age.add_metric([lane.name], lane.age(self.now()))
            readers.add_metric([lane.name], self.pool.ready(lane))
        yield from (images, pixels, age, readers)
        yield GaugeMetricFamily(
            f"{PREFIX}readers_resident_bytes",
            "Memory of all readers.",
            sum(map(resident_bytes, self.pool.pids)),
        )
        yield CounterMetricFamily(
            f"{PREFIX}reader_deaths", "Readers that ended of themselves.", self.pool.deaths
        )
        yield CounterMetricFamily(
            f"{PREFIX}log_lines_lost", "Lines of log that could not be written.", self.lost_lines()
        )


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory, or 0 where that is not told."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
