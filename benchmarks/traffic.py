"""What the load tests share: a server of their own, its process tree, and calls that are counted.

Everything stays on this machine's loopback, is bounded in time, and ends only what it started.
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.imaging.files import expand
from service.pb import recognizer_pb2 as pb

ROOT = Path(__file__).parent.parent
STRIPS = str(ROOT / "examples" / "strips" / "*.[!c]*")  # all but labels.csv
RECOGNIZE = "/digitstrip.v1.RecognizerService/Recognize"
TIMEOUT = 30.0  # seconds that a caller waits
CONNECTIONS = 4  # of one load


# A server


class Served:
    """A `digitstrip serve` process on a free port.

    Args:
        cores: the CPUs that it and its workers may use; all, if None.
        log: where its stderr goes.
        listen: its address.
        environment: settings, as DIGITSTRIP_…
    """

    def __init__(
        self,
        cores: Iterable[int] | None = None,
        log: int | Any = subprocess.DEVNULL,  # noqa: ANN401 - whatever Popen takes
        listen: str = "127.0.0.1:0",
        **environment: str,
    ) -> None:
        known = {f"DIGITSTRIP_{name.upper()}": value for name, value in environment.items()}
        with on_cores(cores):  # a process inherits them
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve", "--listen", listen],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=os.environ | known,
            )
        self.address = self.web = ""
        for line in self.process.stdout or ():
            if line.startswith("serving http"):
                self.web = line.split("/")[2]
            if line.startswith("serving on "):
                self.address = line.split()[-1]
                return
        raise RuntimeError(f"the server ended with status {self.process.wait()}")

    def tree(self) -> list[int]:
        """Return the ids of the server's process and of all below it."""
        return tree(self.process.pid)

    def workers(self) -> list[int]:
        """Return the ids of the processes that read."""
        return self.tree()[1:]

    def signal(self, sign: int) -> None:
        """Send a signal to the server alone."""
        self.process.send_signal(sign)

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end, and return its exit status."""
        if self.process.stdout:
            self.process.stdout.close()
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in self.tree():
                kill(pid)
            self.process.wait()
            raise

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def on_cores(cores: Iterable[int] | None) -> Iterator[None]:
    """Keep this thread, and what it starts, on some CPUs for a while; None leaves it as it is."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cores is None else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(root: int) -> list[int]:
    """Return a process's id and those of all below it."""
    found = [root]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:  # it ended meanwhile
            continue
    return found


def kill(pid: int) -> None:
    """End a process at once, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes used so far."""
    ticks = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What some processes hold."""

    mebibytes: float  # proportional set size: of what is shared, each one's part
    descriptors: int
    threads: int


def usage(pids: Iterable[int]) -> Usage:
    """Measure some processes."""
    kibibytes = descriptors = threads = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kibibytes += int(rollup.partition("\nPss:")[2].split()[0])
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number
            threads += len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
        except OSError:  # it ended meanwhile
            continue
    return Usage(kibibytes / 1024, descriptors, threads)


# Calls


@dataclass
class Tally:
    """What became of the calls of one load."""

    seconds: float = 0.0  # that the load lasted
    answered: list[float] = field(default_factory=list)  # seconds from when a call was due
    refused: list[float] = field(default_factory=list)  # seconds from when it was sent
    failed: dict[str, int] = field(default_factory=dict)  # by status code, all the others
    wrong: int = 0  # answers that are not what the image reads as

    @property
    def rate(self) -> float:
        """Return the answers a second."""
        return len(self.answered) / self.seconds if self.seconds else 0.0

    @property
    def sent(self) -> int:
        """Return how many calls there were."""
        return len(self.answered) + len(self.refused) + sum(self.failed.values())

    def figures(self) -> dict[str, Any]:
        """Return what is worth keeping."""
        return {
            "sent": self.sent,
            "answered": len(self.answered),
            "answered_per_second": round(self.rate, 1),
            "answered_ms": percentiles(self.answered),
            "refused": len(self.refused),
            "refused_ms": percentiles(self.refused),
            "failed": self.failed,
            "wrong": self.wrong,
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the greatest, in milliseconds."""
    if not len(seconds):
        return {}
    p50, p99, most = np.percentile(seconds, (50, 99, 100)) * 1e3
    return {"p50": round(p50, 2), "p99": round(p99, 2), "max": round(most, 2)}


def images(names: Sequence[str] = (STRIPS,)) -> list[bytes]:
    """Return the encoded images that some names stand for."""
    return [source.read() for source in expand(list(names))]


def requests(encoded: Iterable[bytes]) -> list[bytes]:
    """Return serialized requests, so that clients spend no time on them."""
    return [
        pb.RecognizeRequest(image=pb.Image(encoded=each)).SerializeToString() for each in encoded
    ]


async def call(channel: grpc.aio.Channel, request: bytes, due: float, tally: Tally) -> bool:
    """Make one call and count what became of it; return whether it was answered."""
    sent = time.monotonic()
    try:
        await channel.unary_unary(RECOGNIZE)(request, timeout=TIMEOUT)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            tally.refused.append(time.monotonic() - sent)
        else:
            tally.failed[error.code().name] = tally.failed.get(error.code().name, 0) + 1
        return False
    tally.answered.append(time.monotonic() - due)
    return True


def channels(address: str, number: int = CONNECTIONS) -> list[grpc.aio.Channel]:
    """Return channels that have connections of their own; several addresses take turns.

    Args:
        address: as gRPC names them: host:port, or `ipv4:host:port,host:port`.
        number: of channels.
    """
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    return [grpc.aio.insecure_channel(address, options) for _ in range(number)]


async def closed_loop(address: str, asked: list[bytes], clients: int, seconds: float) -> Tally:
    """Have some clients send a request each, as soon as the one before was answered.

    Each goes round all that is asked, from a place of its own, so that none weighs more.
    """
    tally, opened = Tally(), channels(address, min(clients, CONNECTIONS))
    began = time.monotonic()

    async def client(number: int) -> None:
        channel = opened[number % len(opened)]
        for turn in itertools.count(number):
            if (due := time.monotonic()) >= began + seconds:
                return
            if not await call(channel, asked[turn % len(asked)], due, tally):
                await asyncio.sleep(0.01)

    await asyncio.gather(*map(client, range(clients)))
    tally.seconds = time.monotonic() - began
    await close(opened)
    return tally


async def open_loop(address: str, asked: list[bytes], rate: float, seconds: float) -> Tally:
    """Send requests at random moments, on average so many a second, whatever becomes of them.

    An answer's time runs from the moment at which its request was due: a sender that is held up
    delays none of the figures away (coordinated omission, as Gil Tene calls it).
    """
    tally, opened = Tally(), channels(address)
    rng, running = random.Random(1), set()
    due = began = time.monotonic()
    while due < began + seconds:
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(call(rng.choice(opened), rng.choice(asked), due, tally))
        running.add(task)
        task.add_done_callback(running.discard)
        due += rng.expovariate(rate)
    tally.seconds = time.monotonic() - began
    await asyncio.gather(*running)
    await close(opened)
    return tally


async def close(opened: Iterable[grpc.aio.Channel]) -> None:
    """Close channels."""
    await asyncio.gather(*(channel.close() for channel in opened))


def run(load: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - whatever the load gives
    """Run a load to its end; a function, so that another process can call it."""
    return asyncio.run(load(*arguments))


@contextmanager
def elsewhere(cores: Iterable[int] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Yield an executor of one fresh process, on some cores, so that load is not made by us."""
    chosen = list(cores) if cores is not None else list(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    with ProcessPoolExecutor(1, context, os.sched_setaffinity, (0, chosen)) as executor:
        executor.submit(warm_up).result()
        yield executor


def warm_up() -> None:
    """Do nothing, in a process that has now imported what it needs."""


async def health(address: str, seconds: float, every: float = 0.25) -> dict[str, Any]:
    """Ask for the server's health again and again; count the answers, and how soon."""
    statuses: dict[str, int] = {}
    took = []
    (channel,) = channels(address, 1)
    stub = health_pb2_grpc.HealthStub(channel)
    ends = time.monotonic() + seconds
    while (sent := time.monotonic()) < ends:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
            name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        except grpc.aio.AioRpcError as error:
            name = error.code().name
        statuses[name] = statuses.get(name, 0) + 1
        took.append(time.monotonic() - sent)
        await asyncio.sleep(every)
    await channel.close()
    return {"statuses": statuses, "ms": percentiles(took)}


def is_serving(address: str) -> bool:
    """Ask once for a server's health."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
