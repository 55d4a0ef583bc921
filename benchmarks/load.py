"""A server under load: how much it answers, how soon, and how much of the bare pipeline that is.

The bare pipeline is what a script would do: bytes → text in a loop, one process a core, no gRPC.
The server is measured in rounds that alternate with it, on the same strips and the same cores.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
from traffic import (
    STRIPS,
    Served,
    closed_loop,
    cpu_seconds,
    elsewhere,
    images,
    open_loop,
    requests,
    run,
)

from service.api.responses import to_response
from service.imaging.decode import decode
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer

CLIENTS = (1, 2, 8, 64)
SHARES = (0.5, 0.8)  # of the capacity, at which requests are sent in the open loop
BUSY = 8  # clients a worker that keep it busy


def main() -> None:
    """Print tables; write all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strips", nargs="*", default=[STRIPS])
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of server against bare pipeline")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--parts", nargs="*", default=["clients", "ratio"])
    args = parser.parse_args()
    encoded = images(args.strips)
    figures: dict[str, Any] = {}
    if "clients" in args.parts:
        figures["clients"] = by_clients(encoded, args.seconds)
    if "ratio" in args.parts:
        cores = sorted(os.sched_getaffinity(0))
        apart = against_bare(encoded, args.seconds, args.rounds, cores[:1], cores[-1:])
        show_ratio(f"server on core {cores[0]}, clients on core {cores[-1]}", apart)
        together = against_bare(encoded, args.seconds, args.rounds, cores, cores)
        show_ratio(f"server and clients on the same {len(cores)} cores", together)
        figures["ratio"] = {"apart": apart, "together": together}
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def by_clients(encoded: list[bytes], seconds: float) -> dict[str, Any]:
    """Measure throughput and latency by clients, then at a part of the capacity."""
    asked, figures = requests(encoded), {}
    with Served() as server, elsewhere() as client:
        client.submit(run, closed_loop, server.address, asked, BUSY, 2.0).result()  # warms up
        print(f"{'':24}{'answers/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}{'failed':>8}")
        most = 0.0
        for clients in CLIENTS:
            load = client.submit(run, closed_loop, server.address, asked, clients, seconds)
            figures[f"closed, {clients} clients"] = show(f"{clients} clients", load.result())
            most = max(most, load.result().rate)
        for share in SHARES:
            rate = share * most
            load = client.submit(run, open_loop, server.address, asked, rate, 2 * seconds)
            name = f"open, {share:.0%} of that"
            figures[name] = show(name, load.result())
    return figures


def show(name: str, tally: Any) -> dict[str, Any]:  # noqa: ANN401 - a Tally, from another process
    """Print a row and return its figures."""
    figures: dict[str, Any] = tally.figures()
    latencies = figures["answered_ms"]
    print(
        f"{name:24}{tally.rate:>10.1f}{latencies['p50']:>9.1f}{latencies['p99']:>9.1f}"
        f"{len(tally.refused):>9}{sum(tally.failed.values()):>8}",
        flush=True,
    )
    return figures


def against_bare(
    encoded: list[bytes], seconds: float, rounds: int, serving: list[int], calling: list[int]
) -> dict[str, list[float]]:
    """Measure, in turn, a server with a worker a core, and the bare pipeline on the same cores."""
    asked = requests(encoded)
    figures: dict[str, list[float]] = {"served": [], "bare": [], "served_cpu": [], "bare_cpu": []}
    context = multiprocessing.get_context("spawn")
    with (
        Served(serving, workers=str(len(serving)), threads_per_image="1") as server,
        elsewhere(calling) as client,
        ProcessPoolExecutor(len(serving), context, prepare, (serving,)) as pipelines,
    ):

        def serve(seconds: float) -> tuple[float, float]:
            clients, before = BUSY * len(serving), cpu_seconds(server.tree())
            load = client.submit(run, closed_loop, server.address, asked, clients, seconds)
            tally = load.result()
            used = cpu_seconds(server.tree()) - before
            return tally.rate, used / max(len(tally.answered), 1)

        def read(seconds: float) -> tuple[float, float]:
            until = time.time() + seconds
            loops = [pipelines.submit(read_until, encoded, until) for _ in serving]
            counts, used = zip(*(loop.result() for loop in loops), strict=True)
            return sum(counts) / seconds, sum(used) / sum(counts)

        serve(2), read(2)  # warm up
        for _ in range(rounds):
            for name, measure in (("served", serve), ("bare", read)):
                rate, used = measure(seconds)
                figures[name].append(rate)
                figures[f"{name}_cpu"].append(used)
    return figures


def prepare(cores: list[int]) -> None:
    """Make this process a bare pipeline: as a script would, with the model loaded once."""
    global recognizer  # noqa: PLW0603 - of this process, which does nothing else
    os.sched_setaffinity(0, cores)
    cv2.setNumThreads(1)
    recognizer = Recognizer.load(ModelFiles.read())


def read_until(encoded: list[bytes], until: float) -> tuple[int, float]:
    """Read images until a time of day; return how many, and the CPU seconds that it took."""
    count, began = 0, time.process_time()
    while time.time() < until:
        recognition = recognizer.recognize(decode(encoded[count % len(encoded)]))
        to_response(recognition, recognizer)
        count += 1
    return count, time.process_time() - began


def show_ratio(name: str, figures: dict[str, list[float]]) -> None:
    """Print the medians of the rounds, and the range of their ratios."""
    print(f"{name}, {len(figures['served'])} rounds:")
    for what, ours, theirs, unit in (
        ("answers/s", figures["served"], figures["bare"], 1),
        ("ms of CPU an image", figures["bare_cpu"], figures["served_cpu"], 1e3),
    ):
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        served, bare = (ours, theirs) if unit == 1 else (theirs, ours)
        print(
            f"  {what:20} served {unit * statistics.median(served):7.2f}, bare pipeline "
            f"{unit * statistics.median(bare):7.2f}: ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
