"""A server that is asked for four times as much as it can do.

By default it has one core and its clients another, so that what is measured is the server; and all
ask for the same strip, as of several a full server takes the smaller ones. It should go on
answering as much as it can, refuse the rest at once, say SERVING, take no more memory, and be
itself again a second later. The capacity is measured before and after; the higher one counts.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from traffic import (
    ROOT,
    Served,
    Tally,
    call,
    channels,
    close,
    closed_loop,
    cpu_seconds,
    elsewhere,
    health,
    images,
    open_loop,
    requests,
    run,
    usage,
)

STRIP = ROOT / "examples" / "strips" / "postcode-ruled.png"
BUSY = 8  # clients that keep a worker busy
USUAL = 2.0  # times an undisturbed request's time, within which one counts as usual


def main() -> None:
    """Print what happened; write all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strips", nargs="*", default=[str(STRIP)])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--times", type=float, default=4, help="the capacity")
    parser.add_argument("--together", action="store_true", help="on the same cores as its clients")
    parser.add_argument("--workers", type=int, help="of the server; one a core by default")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    serving, calling = (cores, cores) if args.together else (cores[:1], cores[-1:])
    asked = requests(images(args.strips))
    workers = args.workers or len(serving)
    with (
        Served(serving, workers=str(workers)) as server,
        elsewhere(calling) as client,
        elsewhere(calling) as asker,
    ):
        figures = overload(server, client, asker, asked, args.times, args.seconds, workers)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def overload(
    server: Served,
    client: Any,  # noqa: ANN401 - executors
    asker: Any,  # noqa: ANN401
    asked: list[bytes],
    times: float,
    seconds: float,
    workers: int,
) -> dict[str, Any]:
    """Measure the capacity, go beyond it, and see how soon all is as before."""

    def capacity(seconds: float) -> tuple[float, float]:
        """Return answers a second, and CPU seconds of an answer."""
        before = cpu_seconds(server.tree())
        load = client.submit(run, closed_loop, server.address, asked, BUSY * workers, seconds)
        tally = load.result()
        return tally.rate, (cpu_seconds(server.tree()) - before) / len(tally.answered)

    capacity(3.0)  # warms up
    peak, cpu_at_peak = capacity(10.0)
    calm = statistics.median(client.submit(run, one_by_one, server.address, asked, 2.0).result())
    print(f"capacity {peak:.1f} answers/s; an undisturbed request takes {1e3 * calm:.1f} ms")

    before = cpu_seconds(server.tree())
    load = client.submit(run, open_loop, server.address, asked, times * peak, seconds)
    watched = asker.submit(run, health, server.address, seconds)
    memory = []
    while not load.done():
        memory.append(usage(server.tree()).mebibytes)
        time.sleep(1)
    tally = load.result()
    cpu_beyond = (cpu_seconds(server.tree()) - before) / len(tally.answered)
    after = client.submit(run, one_by_one, server.address, asked, 3.0).result()
    peak = max(peak, capacity(10.0)[0])
    figures = tally.figures() | {
        "capacity": peak,
        "cpu_ms": (1e3 * cpu_at_peak, 1e3 * cpu_beyond),
        "calm_ms": 1e3 * calm,
        "health": watched.result(),
        "mebibytes": memory,
        "after_ms": [1e3 * took for took in after],
    }
    show(tally, figures, peak, calm, after)
    return figures


def show(
    tally: Tally, figures: dict[str, Any], peak: float, calm: float, after: list[float]
) -> None:
    """Print the figures that matter."""
    answered, refused = figures["answered_ms"], figures["refused_ms"]
    memory = figures["mebibytes"]
    third = max(len(memory) // 3, 1)
    first, last = statistics.median(memory[:third]), statistics.median(memory[-third:])
    print(f"asked for {tally.sent / tally.seconds:.1f} a second for {tally.seconds:.0f} s")
    print(f"answered {tally.rate:.1f}/s, {tally.rate / peak:.0%} of the capacity")
    at_peak, beyond = figures["cpu_ms"]
    print(
        f"  with {beyond:.2f} ms of the server's CPU each, refusals included; {at_peak:.2f} ms at "
        f"its capacity: {at_peak / beyond:.0%}"
    )
    print(f"  after p50 {answered['p50']:.0f} ms, p99 {answered['p99']:.0f} ms")
    if refused:
        latency = f"p50 {refused['p50']:.1f} ms, p99 {refused['p99']:.1f} ms"
        print(f"refused {len(tally.refused):,}, {latency}")
    print(f"failed otherwise: {tally.failed or 'none'}")
    print(f"health: {figures['health']['statuses']}, p99 {figures['health']['ms']['p99']:.0f} ms")
    print(f"memory: {first:.0f} MiB in the first third, {last:.0f} MiB in the last")
    soon = recovery(after, calm)
    print(f"recovered after {soon:.2f} s" if soon is not None else "did not recover within 3 s")


async def one_by_one(address: str, asked: list[bytes], seconds: float) -> list[float]:
    """Send a request every tenth of a second and return how long each took; refused, infinity."""
    took, opened = [], channels(address, 1)
    ends = time.monotonic() + seconds
    while (sent := time.monotonic()) < ends:
        answered = await call(opened[0], asked[len(took) % len(asked)], sent, Tally())
        took.append(time.monotonic() - sent if answered else float("inf"))
        await asyncio.sleep(max(0.1 - (time.monotonic() - sent), 0))
    await close(opened)
    return took


def recovery(after: list[float], calm: float) -> float | None:
    """Return the seconds until three requests in a row took no longer than usual; None if never."""
    now = 0.0
    for first in range(len(after) - 2):
        # One image may cost several times another: the middle one of three decides.
        if statistics.median(after[first : first + 3]) <= USUAL * calm:
            return now
        now += max(0.1, after[first])
    return None


if __name__ == "__main__":
    main()
