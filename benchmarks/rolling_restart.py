"""Two servers that are restarted in turn, again and again, while clients use both.

The clients are gRPC's own round robin, without retries of theirs: what a server that drains must
not lose, it must not lose by itself.
"""

import argparse
import json
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from traffic import STRIPS, Served, Tally, closed_loop, elsewhere, images, is_serving, requests, run


def main() -> None:
    """Print how many requests were sent, and how many failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strips", nargs="*", default=[STRIPS])
    parser.add_argument("--restarts", type=int, default=10, help="in all, of both servers")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=3, help="seconds from one to the next")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    asked = requests(images(args.strips))
    restarted = restart(asked, args.restarts, args.clients, args.pause)
    tally = restarted.tally
    failed = sum(tally.failed.values())
    print(
        f"{args.restarts} restarts, exit statuses {sorted(set(restarted.statuses))}, each ended "
        f"after {max(restarted.seconds):.2f} s at most: {tally.sent:,} requests sent, "
        f"{len(tally.answered):,} answered, {len(tally.refused)} refused, {failed} failed "
        f"{tally.failed or ''}"
    )
    if args.json:
        args.json.write_text(json.dumps(tally.figures() | {"drained_s": restarted.seconds}))
    sys.exit(failed > 0)


@dataclass(frozen=True)
class Restarted:
    """What came of some restarts."""

    tally: Tally
    statuses: list[int]
    seconds: list[float]  # from SIGTERM to the end of the process


def restart(asked: list[bytes], restarts: int, clients: int, pause: float) -> Restarted:
    """Restart two servers in turn under load."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    servers = [Served(listen=address, workers="1") for address in addresses]
    statuses, seconds = [], []
    try:
        with elsewhere() as client:
            target = f"ipv4:{','.join(addresses)}"
            # Longer than the restarts may take; what is left of it is load on both servers.
            lasts = restarts * (pause + 3) + pause
            load = client.submit(run, closed_loop, target, asked, clients, lasts)
            for number in range(restarts):
                time.sleep(pause)
                which = number % 2
                began = time.monotonic()
                statuses.append(servers[which].stop())
                seconds.append(time.monotonic() - began)
                servers[which] = Served(listen=addresses[which], workers="1")
                assert is_serving(addresses[which])
            return Restarted(load.result(), statuses, seconds)
    finally:
        for server in servers:
            server.stop()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


if __name__ == "__main__":
    main()
