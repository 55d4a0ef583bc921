"""What a server does when something breaks: one fault after the other, on this machine alone.

Each fault lasts some seconds and returns what was seen. A fault is survived if what was accepted is
answered, nothing is answered wrongly, and the server says SERVING and reads afterwards.
"""

import argparse
import asyncio
import fcntl
import json
import multiprocessing
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
from traffic import (
    RECOGNIZE,
    STRIPS,
    Served,
    Tally,
    channels,
    close,
    closed_loop,
    images,
    is_serving,
    kill,
    requests,
    run,
    usage,
)

from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub

CLIENTS = 4
CONNECTIONS = 100  # that never speak
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4


@dataclass(frozen=True)
class Outcome:
    """What a fault did."""

    seen: str
    lost: int  # calls that were neither answered nor refused, of those who behaved
    recovered: bool  # whether the server says SERVING, reads, and ends with status 0 when asked to


def main() -> None:
    """Print a line for each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", choices=[[], *FAULTS], default=[])
    parser.add_argument("--seconds", type=float, default=20, help="of each")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    outcomes = {}
    for name in args.faults or FAULTS:
        outcome = outcomes[name] = FAULTS[name](args.seconds)
        state = "survived" if outcome.recovered and not outcome.lost else "NOT SURVIVED"
        print(f"{name}: {state}; lost {outcome.lost}; {outcome.seen}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({name: asdict(each) for name, each in outcomes.items()}))
    sys.exit(any(each.lost or not each.recovered for each in outcomes.values()))


class Load:
    """Clients who behave, beside a fault; in a thread, so that the fault can be made meanwhile."""

    def __init__(self, server: Served, seconds: float) -> None:
        self.tally = Tally()
        self._arguments = (closed_loop, server.address, ASKED, CLIENTS, seconds)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.tally = run(*self._arguments)

    def running(self) -> bool:
        """Say whether they still send."""
        return self._thread.is_alive()

    def end(self) -> Tally:
        """Wait until their time is over."""
        self._thread.join()
        return self.tally


def outcome(server: Served, tally: Tally, seen: str) -> Outcome:
    """See how a server is after a fault, and end it."""
    after = Tally() if server.process.poll() is None else None
    well = after is not None and is_serving(server.address)
    if well:
        after = run(closed_loop, server.address, ASKED, 1, 0.2)
        well = bool(after.answered) and not after.failed
    status = server.stop()
    counts = (
        f"{len(tally.answered):,} answered, {len(tally.refused):,} refused, others {tally.failed}"
    )
    seen = f"{seen}; {counts if tally.sent else 'no other load'}; exit status {status}"
    return Outcome(seen, sum(tally.failed.values()), well and status == 0)


# The faults


def workers_killed(seconds: float) -> Outcome:
    """Kill a worker every two seconds."""
    with Served(workers="2") as server:
        load, killed = Load(server, max(seconds, 3.0)), 0
        while load.running():
            time.sleep(2)
            if workers := server.workers():
                kill(workers[killed % len(workers)])
                killed += 1
        return outcome(server, load.end(), f"{killed} workers killed")


def clients_vanish(seconds: float) -> Outcome:
    """Kill client processes in the middle of their calls."""
    context = multiprocessing.get_context("spawn")
    with Served() as server:
        load, vanished = Load(server, seconds), 0
        while load.running():
            arguments = (closed_loop, server.address, ASKED, 8, 60.0)
            client = context.Process(target=run, args=arguments)
            client.start()
            time.sleep(min(3.0, seconds / 2))
            kill(client.pid or 0)
            client.join()
            vanished += 1
        return outcome(server, load.end(), f"{vanished} clients of 8 calls each vanished")


def half_open(seconds: float) -> Outcome:
    """Open connections that never say a word; reset some of them."""
    with Served() as server:
        load, before = Load(server, seconds), usage(server.tree()).descriptors
        sockets = [connect(server) for _ in range(CONNECTIONS)]
        time.sleep(seconds / 2)
        during = usage(server.tree()).descriptors
        for each in sockets[::2]:  # a reset instead of an end
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()
        tally = load.end()
        for each in sockets[1::2]:
            each.close()
        time.sleep(0.5)
        after = usage(server.tree()).descriptors
        seen = f"{CONNECTIONS} silent connections; descriptors {before}, {during}, then {after}"
        return outcome(server, tally, seen)


def slow_sender(seconds: float) -> Outcome:
    """Send the beginning of HTTP/2 one byte a second, then nonsense as slowly."""
    with Served() as server:
        load = Load(server, seconds)
        with connect(server) as slow:
            sent = 0
            with suppress(OSError):
                while load.running():
                    slow.sendall((PREFACE + bytes(10_000))[sent : sent + 1])
                    sent += 1
                    time.sleep(min(1.0, seconds / 4))
        return outcome(server, load.end(), f"{sent} bytes taken, one a second")


def short_deadlines(seconds: float) -> Outcome:
    """Send calls that must be answered within a millisecond."""

    async def hurried(address: str) -> Tally:
        tally, (channel,) = Tally(), channels(address, 1)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                await channel.unary_unary(RECOGNIZE)(ASKED[0], timeout=0.001)
                tally.answered.append(0.001)
            except grpc.aio.AioRpcError as error:
                tally.failed[error.code().name] = tally.failed.get(error.code().name, 0) + 1
        await close([channel])
        return tally

    with Served() as server:
        load = Load(server, seconds)
        tally = asyncio.run(hurried(server.address))
        late = tally.failed.pop("DEADLINE_EXCEEDED", 0)
        seen = f"{late:,} calls of 1 ms: all DEADLINE_EXCEEDED, but for {tally.failed or 'none'}"
        return outcome(server, load.end(), seen)


def log_disk_full(seconds: float) -> Outcome:
    """Let every line of the log fail to be written."""
    with Path("/dev/full").open("wb") as full, Served(log=full) as server:
        return outcome(server, Load(server, seconds).end(), "stderr is /dev/full")


def log_unread(seconds: float) -> Outcome:
    """Write the log into a pipe that is soon full, and that nobody reads."""
    unread, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)  # the least
    try:
        with Served(log=log) as server:
            seen = "stderr is a full pipe that nobody reads"
            return outcome(server, Load(server, seconds).end(), seen)
    finally:
        os.close(unread)
        os.close(log)


def certificate_expired(seconds: float) -> Outcome:
    """Serve TLS with a certificate that is out of date; then replace it, without a restart."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        make_certificate(key, certificate, days=-1)
        with Served(tls_key=str(key), tls_certificate=str(certificate)) as server:
            first = tls_call(server, certificate)
            fresh = Path(folder, "fresh.pem")
            make_certificate(key, fresh, days=1)
            fresh.replace(certificate)
            ends = time.monotonic() + max(seconds, 10)
            while (then := tls_call(server, certificate)) != "OK" and time.monotonic() < ends:
                time.sleep(0.2)
            status = server.stop()
    seen = f"with the expired one {first}, with its successor {then}; exit status {status}"
    return Outcome(seen, 0, first == "UNAVAILABLE" and then == "OK" and status == 0)


def answers_unread(seconds: float) -> Outcome:
    """Send stream after stream whose answers are never read; memory must not grow with them."""
    request = pb.RecognizeRequest.FromString(ASKED[0])
    request.include_scores = True  # so that answers are large

    def forever() -> Iterator[pb.RecognizeStreamRequest]:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            yield pb.RecognizeStreamRequest(id="unread", request=request)

    with Served() as server:
        load = Load(server, seconds)
        with grpc.insecure_channel(server.address) as channel:
            streams = [RecognizerServiceStub(channel).RecognizeStream(forever()) for _ in range(5)]
            time.sleep(seconds / 2)
            middle = usage(server.tree()).mebibytes
            tally = load.end()
            last = usage(server.tree()).mebibytes
            for stream in streams:
                stream.cancel()
        seen = f"5 streams unread; {middle:.0f} MiB in the middle, {last:.0f} MiB at the end"
        return outcome(server, tally, seen)


FAULTS: dict[str, Callable[[float], Outcome]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        workers_killed,
        clients_vanish,
        half_open,
        slow_sender,
        short_deadlines,
        log_disk_full,
        log_unread,
        certificate_expired,
        answers_unread,
    )
}
ASKED = requests(images([STRIPS]))


def connect(server: Served) -> socket.socket:
    """Open a plain connection."""
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def make_certificate(key: Path, certificate: Path, days: int) -> None:
    """Write a self-signed certificate for localhost that ends some days from now; needs openssl."""
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    asked = certificate.with_suffix(".csr")
    if key.exists():
        openssl("req", "-new", "-key", key, *name, "-out", asked)
    else:
        openssl(
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, *name, "-out", asked
        )
    signing = ("-signkey", key, "-copy_extensions", "copy", "-days", days)
    openssl("x509", "-req", "-in", asked, *signing, "-out", certificate)


def openssl(*arguments: object) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def tls_call(server: Served, roots: Path) -> str:
    """Make a call over TLS and return its status code's name."""
    credentials = grpc.ssl_channel_credentials(roots.read_bytes())
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(server.address, credentials, options) as channel:
        try:
            channel.unary_unary(RECOGNIZE)(ASKED[0], timeout=5)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


if __name__ == "__main__":
    main()
