"""HTTP beside gRPC: how much one server answers over each, how soon, and what HTTP adds to it.

The ways take turns on the same server and strips, from clients in a process of their own, each over
a connection that it keeps. Memory is that of the process that answers, as its share (PSS).
"""

import argparse
import asyncio
import base64
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traffic import (
    STRIPS,
    Served,
    Tally,
    closed_loop,
    cpu_seconds,
    elsewhere,
    images,
    percentiles,
    requests,
    run,
    usage,
)

CLIENTS = (1, 16)
ROUNDS = 20
WARM_UP = 2.0  # seconds of each way
METHOD = "/digitstrip.v1.RecognizerService/Recognize"


def main() -> None:
    """Print tables; write all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strips", nargs="*", default=[STRIPS])
    parser.add_argument("--seconds", type=float, default=1, help="of a way's turn")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    encoded = images(args.strips)
    figures: dict[str, Any] = {"memory": memory(encoded)}
    for clients in CLIENTS:
        figures[f"{clients} clients"] = speed(encoded, clients, args.seconds, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def speed(encoded: list[bytes], clients: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure every way in turn, and print a row of each."""
    asked = requests(encoded)
    with Served(web_listen="127.0.0.1:0") as server, elsewhere() as client:
        ways: dict[str, tuple[Callable[..., Any], str, list[bytes]]] = {
            "gRPC": (closed_loop, server.address, asked),
            "HTTP, Connect, proto": http(server, METHOD, "application/proto", asked),
            "HTTP, Connect, JSON": http(server, METHOD, "application/json", as_json(encoded)),
            "HTTP, /v1/read": http(server, "/v1/read", "image/png", encoded),
        }
        totals = {name: Total() for name in ways}
        for load, address, sent in ways.values():
            client.submit(run, load, address, sent, clients, WARM_UP).result()
        for _ in range(rounds):
            for name, (load, address, sent) in ways.items():
                front, workers = cpu_of(server)
                tally = client.submit(run, load, address, sent, clients, seconds).result()
                front_after, workers_after = cpu_of(server)
                totals[name].add(tally, front_after - front, workers_after - workers)
    print(f"\n{f'{clients} clients':24}{'answers/s':>10}{'p50 ms':>9}{'p99 ms':>9}", end="")
    print(f"{'front, CPU ms':>15}{'workers, CPU ms':>17}{'failed':>8}")
    return {name: total.show(name) for name, total in totals.items()}


@dataclass
class Total:
    """What became of all rounds of one way."""

    answered: list[float] = field(default_factory=list)  # seconds
    failed: int = 0
    seconds: float = 0.0
    front: float = 0.0  # seconds of CPU, of the process that answers
    workers: float = 0.0

    def add(self, tally: Tally, front: float, workers: float) -> None:
        """Count a round."""
        self.answered += tally.answered
        self.failed += sum(tally.failed.values()) + len(tally.refused)
        self.seconds += tally.seconds
        self.front += front
        self.workers += workers

    def show(self, name: str) -> dict[str, Any]:
        """Print a row, and return its figures."""
        count = len(self.answered)
        figures: dict[str, Any] = {
            "answers_per_second": count / self.seconds,
            **percentiles(self.answered),
            "front_cpu_ms": 1e3 * self.front / count,
            "workers_cpu_ms": 1e3 * self.workers / count,
            "failed": self.failed,
        }
        print(
            f"{name:24}{figures['answers_per_second']:>10.1f}{figures['p50']:>9.1f}"
            f"{figures['p99']:>9.1f}{figures['front_cpu_ms']:>15.2f}"
            f"{figures['workers_cpu_ms']:>17.2f}{self.failed:>8}",
            flush=True,
        )
        return figures


def cpu_of(server: Served) -> tuple[float, float]:
    """Return the CPU seconds used so far: of the process that answers, and of its workers."""
    return cpu_seconds([server.process.pid]), cpu_seconds(server.workers())


def memory(encoded: list[bytes]) -> dict[str, float]:
    """Measure the process that answers, with HTTP and without, after the same calls."""
    asked, figures = requests(encoded), {}
    for name, web_listen in (("gRPC alone", ""), ("with HTTP", "127.0.0.1:0")):
        with Served(workers="1", web_listen=web_listen) as server, elsewhere() as client:
            client.submit(run, closed_loop, server.address, asked, 1, WARM_UP).result()
            figures[name] = usage([server.process.pid]).mebibytes
            print(f"{name:24}{figures[name]:>8.1f} MiB of PSS")
            if web_listen:
                load, address, sent = http(server, "/v1/read", "image/png", encoded)
                client.submit(run, load, address, sent, 1, WARM_UP).result()
                after = figures["after reading over it"] = usage([server.process.pid]).mebibytes
                print(f"{'after reading over it':24}{after:>8.1f}")
    return figures


def as_json(encoded: list[bytes]) -> list[bytes]:
    """Return requests in JSON."""
    return [
        json.dumps({"image": {"encoded": base64.b64encode(each).decode()}}).encode()
        for each in encoded
    ]


def http(
    server: Served, path: str, content_type: str, bodies: list[bytes]
) -> tuple[Callable[..., Any], str, list[bytes]]:
    """Return a load over HTTP, its address and its requests, as bytes."""
    heads = [
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        for body in bodies
    ]
    return http_loop, server.web, [head + body for head, body in zip(heads, bodies, strict=True)]


async def http_loop(address: str, asked: list[bytes], clients: int, seconds: float) -> Tally:
    """Have some clients send a request each, as soon as the one before was answered."""
    tally = Tally()
    host, _, port = address.rpartition(":")
    began = time.monotonic()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for turn in itertools.count(number):
            if (sent := time.monotonic()) >= began + seconds:
                break
            writer.write(asked[turn % len(asked)])
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                int(line[16:])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length: ")
            )
            await reader.readexactly(size)
            status = head[9:12].decode()
            if status == "200":
                tally.answered.append(time.monotonic() - sent)
            else:
                tally.failed[status] = tally.failed.get(status, 0) + 1
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    tally.seconds = time.monotonic() - began
    return tally


if __name__ == "__main__":
    main()
