"""A server in mixed traffic for a long time: does it grow?

Single calls, streams, images that cannot be read, callers who hang up, giants, and now and then the
model anew. Memory, descriptors and threads of all its processes are compared by thirds of the time.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
from traffic import (
    STRIPS,
    TIMEOUT,
    Served,
    Tally,
    call,
    channels,
    close,
    elsewhere,
    images,
    requests,
    run,
    usage,
)

from service.imaging.decode import decode
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub

GIANT_WIDTH = 30_000  # pixels
PAUSE = 0.05  # seconds between the calls of each kind, so that the machine is not all ours


def main() -> None:
    """Print medians of thirds; write every sample as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strips", nargs="*", default=[STRIPS])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--reload-seconds", type=float, default=120)
    parser.add_argument("--sample-seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    encoded, samples = images(args.strips), []
    with Served() as server, elsewhere() as client:
        began = reloaded = time.monotonic()
        load = client.submit(run, mixed, server.address, encoded, 60 * args.minutes)
        while not load.done():
            time.sleep(args.sample_seconds)
            front, *workers = server.tree()
            samples.append(
                {
                    "second": round(time.monotonic() - began),
                    "front": vars(usage([front])),
                    "all": vars(usage([front, *workers])),
                }
            )
            if time.monotonic() - reloaded > args.reload_seconds:
                server.signal(signal.SIGHUP)
                reloaded = time.monotonic()
        counts = load.result()
        status = server.stop()
    print("calls: " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    print(f"exit status {status}")
    show(samples)
    if args.json:
        args.json.write_text(json.dumps({"calls": counts, "samples": samples}))


def show(samples: list[dict[str, Any]]) -> None:
    """Print the medians of the three thirds."""
    third = max(len(samples) // 3, 1)
    thirds = [samples[:third], samples[third : 2 * third], samples[2 * third :]]
    print(f"{'':36}{'first third':>12}{'second':>10}{'last':>10}")
    for whom, name in (("front", "the process that takes calls"), ("all", "all processes")):
        for what in ("mebibytes", "descriptors", "threads"):
            told = [statistics.median(each[whom][what] for each in part) for part in thirds]
            row = "".join(f"{value:>10.0f}" for value in told)
            print(f"{name + ', ' + what:42}{row}")


async def mixed(address: str, encoded: list[bytes], seconds: float) -> Counter[str]:
    """Send all kinds of traffic at once and return how many calls of each there were."""
    counts: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    asked, damaged = requests(encoded), requests([each[: len(each) // 2] for each in encoded])
    giant = requests([wide(encoded[0])])[0]
    opened = channels(address)

    async def again(name: str, send: Any, pause: float = PAUSE) -> None:  # noqa: ANN401
        rng = random.Random(name)
        while time.monotonic() < ends:
            counts[f"{name}: {await send(rng)}"] += 1
            await asyncio.sleep(pause)

    async def single(rng: random.Random, among: list[bytes] = asked) -> str:
        tally = Tally()
        await call(rng.choice(opened), rng.choice(among), time.monotonic(), tally)
        return "answered" if tally.answered else next(iter(tally.failed), "RESOURCE_EXHAUSTED")

    async def bad(rng: random.Random) -> str:
        return await single(rng, damaged)

    async def large(rng: random.Random) -> str:
        return await single(rng, [giant])

    async def hung_up(rng: random.Random) -> str:
        request = pb.RecognizeRequest.FromString(rng.choice([*asked, giant]))
        reading = RecognizerServiceStub(rng.choice(opened)).Recognize(request)
        await asyncio.sleep(rng.uniform(0, 0.02))
        reading.cancel()
        return "done"

    async def stream(rng: random.Random) -> str:
        sent = [pb.RecognizeRequest.FromString(rng.choice([*asked, *damaged])) for _ in range(20)]
        each = (pb.RecognizeStreamRequest(id=str(at), request=one) for at, one in enumerate(sent))
        told = RecognizerServiceStub(rng.choice(opened)).RecognizeStream(each, timeout=TIMEOUT)
        try:
            answered = len({answer.id async for answer in told})
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "whole" if answered == len(sent) else "incomplete"

    async def connection(_: random.Random) -> str:
        opened_now = channels(address, 1)
        tally = Tally()
        await call(opened_now[0], asked[0], time.monotonic(), tally)
        await close(opened_now)
        return "answered" if tally.answered else "failed"

    await asyncio.gather(
        *(again("single", single, PAUSE * (1 + number % 2)) for number in range(4)),
        again("bad", bad),
        again("hung up", hung_up),
        again("stream", stream),
        again("connection", connection, 0.5),
        again("giant", large, 5),
    )
    await close(opened)
    return counts


def wide(encoded: bytes) -> bytes:
    """Return an image repeated side by side to a giant's width."""
    page = decode(encoded).gray
    copies = GIANT_WIDTH // page.shape[1]
    return cv2.imencode(".png", np.tile(page, (1, copies)))[1].tobytes()


if __name__ == "__main__":
    main()
