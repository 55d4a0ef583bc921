"""A server among callers who behave and callers who do not: `python -m tests.trouble --minutes 10`.

Calls come at random moments, so many a second on average; a share of them makes trouble, of all
kinds in turn by chance (kinds.py); now and then a worker is killed, and the model is reloaded. Of
those who behave, it says whether each was answered, rightly, and how soon; of all, with what
sentences calls failed; of the server, whether Linux killed a process of it, and its memory,
descriptors and threads by quarters of the time.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import grpc

from benchmarks.traffic import closed_loop, images, percentiles, requests, usage
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import STRIPS, Figures, Service, free_address
from tests.support.memory_group import MemoryGroup
from tests.trouble.kinds import BUSY, KINDS, Target, sentence

PATIENCE = 30.0  # seconds that a caller who behaves waits for an answer, retries included
MAX_TROUBLE = 8  # calls that make trouble at once
SAMPLE_SECONDS = 5.0
MOST_SENTENCES = 12  # that are shown of those with which calls failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=4.0, help="calls a second that behave")
    parser.add_argument("--trouble", type=float, default=1.0, help="calls a second that do not")
    parser.add_argument("--kill-seconds", type=float, default=60.0, help="between two workers")
    parser.add_argument("--reload-seconds", type=float, default=120.0)
    parser.add_argument("--memory", type=int, default=0, help="MiB of a control group; 0: none")
    parser.add_argument("--cores", type=float, help="of the control group, such as 0.25")
    parser.add_argument("--load", type=float, help="of the capacity, in place of --rate")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    group = MemoryGroup(args.memory * 2**20, args.cores) if args.memory else None
    if args.cores and not group:
        parser.error("--cores are of the control group that --memory makes")
    outcome = run(
        60 * args.minutes, args.rate, args.trouble, args.kinds, group,
        args.kill_seconds, args.reload_seconds, args.seed, args.load,
    )  # fmt: skip
    show(outcome)
    if args.json:
        args.json.write_text(json.dumps(outcome))
    sys.exit(not survived(outcome))


def survived(outcome):
    """Whether nobody who behaves noticed, and no kind of trouble got what it must not."""
    return (
        outcome["status"] == 0
        and not outcome["killed"]
        and not outcome["polite"]["failed"]
        and not outcome["polite"]["wrong"]
        and not outcome["unexpected"]
    )


def run(
    seconds, rate, trouble, kinds=tuple(KINDS), group=None,
    kill_seconds=60.0, reload_seconds=120.0, seed=1, load=None, **environment,
):  # fmt: skip
    """Start a server, have it called for some seconds, and return what became of it."""
    metrics = free_address()
    web = free_address()
    usual = {
        "DIGITSTRIP_METRICS_LISTEN": metrics,
        "DIGITSTRIP_WEB_LISTEN": web,
        "DIGITSTRIP_LOG_FORMAT": "none",
    }
    server = Service(prefix=group.command if group else None, **usual | environment)
    samples = []
    try:
        calls = Calls(
            server, Target(server.address, metrics, web, random.Random(seed)), kinds, seed
        )
        if load:
            rate = load * capacity(server)
            print(f"{rate:.1f} calls a second are {load:.0%} of the capacity", flush=True)
        asyncio.run(calls.all(seconds, rate, trouble, kill_seconds, reload_seconds, samples))
        try:
            figures = Figures(metrics).all()
        except OSError:  # it is no more; its status says why
            figures = {}
    finally:
        status = stopped(server)
    outcome = {
        "seconds": seconds,
        "status": status,
        "killed": 0,
        "peak_mib": None,
        "polite": calls.polite(),
        "trouble": dict(sorted(calls.trouble.items())),
        "unexpected": dict(calls.unexpected),
        "said": {"polite": calls.said, "trouble": calls.target.said},
        "refused": {
            dict(labels)["reason"]: value
            for (name, *labels), value in figures.items()
            if name == "digitstrip_refused_total"
        },
        "samples": samples,
    }
    if group:
        with group:
            outcome |= {"killed": group.killed, "peak_mib": (group.peak or 0) >> 20}
    return outcome


def stopped(server):
    """The exit status of a server that is asked to end, or None if it did not within a minute."""
    try:
        return server.stop()[0]
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
        return None


def capacity(server):
    """How many example strips a second a server reads."""
    asked = requests(images())
    asyncio.run(closed_loop(server.address, asked, 4, 5))  # warms up
    return asyncio.run(closed_loop(server.address, asked, 4, 20)).rate


class Calls:
    """Those who call a server, and what became of their calls."""

    def __init__(self, server, target, kinds, seed):
        self.server, self.target, self.kinds = server, target, list(kinds)
        self.rng = random.Random(seed)
        self.trouble, self.unexpected, self.failed = Counter(), Counter(), Counter()
        self.said = Counter()  # of calls that behave, those that were tried again too
        self.wrong, self.took, self.retried, self.deaths = Counter(), [], 0, 0
        self.texts = {}  # of the example strips, as the server reads them undisturbed

    async def all(self, seconds, rate, trouble, kill_seconds, reload_seconds, samples):
        """Call for some seconds."""
        async with grpc.aio.insecure_channel(self.server.address) as channel:
            self.stub = RecognizerServiceStub(channel)
            for path in sorted(STRIPS.glob("*.[!c]*")):  # all but labels.csv
                self.texts[path.name] = (await self.stub.Recognize(request(path))).text
            ends = time.monotonic() + seconds
            await asyncio.gather(
                self.at_random(rate, ends, self.behave, 64),
                self.at_random(trouble, ends, self.make_trouble, MAX_TROUBLE),
                self.every(kill_seconds, ends, self.kill_worker),
                self.every(reload_seconds, ends, self.reload),
                self.every(SAMPLE_SECONDS, ends, lambda: self.sample(samples)),
            )

    async def at_random(self, rate, ends, call, most):
        """Begin a call at random moments, with no more than `most` in progress."""
        running = set()
        while rate and (now := time.monotonic()) < ends:
            await asyncio.sleep(min(self.rng.expovariate(rate), ends - now))
            if len(running) < most:
                running.add(task := asyncio.create_task(call()))
                task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def every(self, seconds, ends, act):
        """Act at even intervals."""
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(seconds, left))
            if left > seconds:
                act()

    async def behave(self):
        """Have a strip read; try again where the server is busy, as clients do."""
        name = self.rng.choice(list(self.texts))
        message = request(STRIPS / name)
        began = time.monotonic()
        while True:
            try:
                answer = await self.stub.Recognize(message, timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                self.said[sentence(error)] += 1
                if code in BUSY and time.monotonic() - began < PATIENCE:
                    self.retried += 1
                    await asyncio.sleep(self.rng.uniform(0.1, 0.3))
                    continue
                self.failed[code] += 1
                return
            self.took.append(time.monotonic() - began)
            if answer.text != self.texts[name]:
                self.wrong[f"{name}: {answer.text}"] += 1
            return

    async def make_trouble(self):
        """Make trouble of one kind."""
        weights = [KINDS[name].weight for name in self.kinds]
        (name,) = self.rng.choices(self.kinds, weights)
        try:
            got = await KINDS[name].make(self.target)
        except OSError as error:
            got = f"no connection: {type(error).__name__}"
        self.trouble[f"{name}: {got}"] += 1
        if got not in KINDS[name].allowed:
            self.unexpected[f"{name}: {got}"] += 1

    def kill_worker(self):
        """Kill a worker, as a decoder's crash does."""
        if workers := self.server.workers:
            self.deaths += 1
            self.server.signal_workers(signal.SIGKILL, [self.rng.choice(workers)])

    def reload(self):
        """Have the model reloaded."""
        self.server.process.send_signal(signal.SIGHUP)

    def sample(self, samples):
        """Measure the server's processes."""
        pid = self.server.process.pid
        samples.append(
            {
                "second": round(time.monotonic()),
                "front": vars(usage([pid])),
                "all": vars(usage([pid, *self.server.workers])),
            }
        )

    def polite(self):
        """What became of the calls that behave."""
        return {
            "answered": len(self.took),
            "wrong": dict(self.wrong),
            "failed": dict(self.failed),
            "retried": self.retried,
            "ms": {name: float(value) for name, value in percentiles(self.took).items()},
            "workers_killed": self.deaths,
        }


def request(path):
    """The request for an image."""
    return pb.RecognizeRequest(image=pb.Image(encoded=path.read_bytes()))


def show(outcome):
    """Print an outcome."""
    polite = outcome["polite"]
    print(f"{outcome['seconds']:.0f} s; exit status {outcome['status']}")
    print(
        f"killed by Linux for want of memory: {outcome['killed']}; peak {outcome['peak_mib']} MiB"
    )
    print(
        f"calls that behave: {polite['answered']:,} answered, wrong {polite['wrong'] or 'none'}, "
        f"others {polite['failed'] or 'none'}; {polite['retried']:,} retries; ms {polite['ms']}; "
        f"{polite['workers_killed']} workers killed meanwhile"
    )
    print(f"trouble: {', '.join(f'{each} {n:,}' for each, n in outcome['trouble'].items())}")
    print(f"what it must not get: {outcome['unexpected'] or 'none'}")
    print(f"refused before any work: {outcome['refused']}")
    for whom, said in outcome["said"].items():
        print(f"what failed calls ended with, {whom}:")
        for each, count in said.most_common(MOST_SENTENCES):
            print(f"{count:>9,}  {each}")
    samples = outcome["samples"]
    if len(samples) < 4:
        return
    quarter = len(samples) / 4
    parts = [samples[round(at * quarter) : round((at + 1) * quarter)] for at in range(4)]
    print(f"{'medians by quarters of the time':44}" + "".join(f"{at + 1:>8}" for at in range(4)))
    for whom, name in (("front", "the process that speaks gRPC"), ("all", "all processes")):
        for what in ("mebibytes", "descriptors", "threads"):
            medians = [statistics.median(each[whom][what] for each in part) for part in parts]
            row = "".join(f"{value:>8.0f}" for value in medians)
            print(f"{name + ', ' + what:44}{row}")


if __name__ == "__main__":
    main()
