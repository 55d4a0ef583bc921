"""Draw the dashboard from a real run: docs/dashboard.png.

    python deploy/tools/dashboard_picture.py docs/dashboard.png [--prometheus PATH] [--minutes 5]

serves the shipped model, lets a Prometheus watch it (the program of Debian's package `prometheus`),
sends more and more strips from processes of their own, past what the queue takes, kills a reader,
reloads the model, and then asks Prometheus what the dashboard's panels ask it. Loopback only.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import yaml
from panels import draw

from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub

ROOT = Path(__file__).parents[2]
STRIPS = sorted((ROOT / "examples" / "strips").glob("*.[!c]*"))
SCRAPE_SECONDS = 1
RATE = "15s"  # what Grafana would put for $__rate_interval
STEP_SECONDS = 2
# Clients that send as fast as they are answered, for equal parts of the run. The last but one is
# more than the queue takes.
PHASES = (1, 2, 4, 96, 3)
LEAST_PAUSE = 0.05  # seconds until a refused client asks again, if the refusal names none
CONSTRAINTS = (
    None,
    pb.Constraint(length=pb.LengthRange(min=4, max=12)),
    pb.Constraint(pattern=r"\d{5}"),
    pb.Constraint(check_digit=pb.CHECK_DIGIT_LUHN),
)


def send(address: str, clients: int, seconds: float) -> None:
    """Send strips for some time, every client the next when it has its answer."""
    asyncio.run(_send(address, clients, seconds))


async def _send(address: str, clients: int, seconds: float) -> None:
    images = [path.read_bytes() for path in STRIPS]
    ends = time.monotonic() + seconds

    async def client(first: int) -> None:
        for number in itertools.count(first):
            if time.monotonic() > ends:
                return
            request = pb.RecognizeRequest(
                image=pb.Image(encoded=images[number % len(images)]),
                accepted_error_rate=0.01,
                constraint=CONSTRAINTS[number // len(images) % len(CONSTRAINTS)],
            )
            try:
                await stub.Recognize(request, timeout=20)
            except grpc.RpcError:  # the dashboard tells of it
                await asyncio.sleep(LEAST_PAUSE)

    async with grpc.aio.insecure_channel(address) as channel:
        stub = RecognizerServiceStub(channel)
        await asyncio.gather(*(client(7 * each) for each in range(clients)))


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def serving(metrics: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service; yields its process and its address."""
    command = [sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"]
    environment = os.environ | {
        "DIGITSTRIP_LOG_FORMAT": "none",
        "DIGITSTRIP_METRICS_LISTEN": metrics,
    }
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stdout is not None
            yield run, next(line.split()[-1] for line in run.stdout if line.startswith("serving"))
        finally:
            run.terminate()


@contextlib.contextmanager
def watching(program: str, metrics: str) -> Iterator[str]:
    """Run a Prometheus that scrapes the service; yields its URL."""
    listen = f"127.0.0.1:{free_port()}"
    job = {"job_name": "digitstrip", "static_configs": [{"targets": [metrics]}]}
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "prometheus.yml"
        scrape = {"scrape_interval": f"{SCRAPE_SECONDS}s"}
        settings.write_text(yaml.safe_dump({"global": scrape, "scrape_configs": [job]}))
        command = [program, f"--config.file={settings}", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address={listen}", "--log.level=error"]
        with subprocess.Popen(command) as run:
            try:
                yield f"http://{listen}"
            finally:
                run.terminate()


def ask(url: str, expression: str, began: float, ended: float) -> list[dict[str, object]]:
    """Ask Prometheus for an expression's series over a time."""
    query = {"query": expression.replace("$__rate_interval", RATE), "step": STEP_SECONDS}
    asked = urllib.parse.urlencode(query | {"start": began, "end": ended})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{asked}", timeout=30) as answer:
        series: list[dict[str, object]] = json.load(answer)["data"]["result"]
        return series


def run_load(run: subprocess.Popen[str], address: str, minutes: float) -> None:
    """Send strips in all phases; kill a worker and reload the model on the way."""
    seconds = 60 * minutes / len(PHASES)
    for number, clients in enumerate(PHASES):
        sender = multiprocessing.Process(target=send, args=(address, clients, seconds))
        sender.start()
        time.sleep(seconds / 2)
        if number == 1:
            workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
            os.kill(int(workers[0]), signal.SIGKILL)
        if number == 2:
            run.send_signal(signal.SIGHUP)
        sender.join()


def main() -> None:
    """Run, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--prometheus", default=shutil.which("prometheus"))
    parser.add_argument("--minutes", type=float, default=5)
    arguments = parser.parse_args()
    if arguments.prometheus is None:
        parser.error("Prometheus is not here: `apt install prometheus`, or name its program")
    board = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
    metrics = f"127.0.0.1:{free_port()}"
    with serving(metrics) as (run, address), watching(arguments.prometheus, metrics) as url:
        time.sleep(5)
        began = time.time()
        run_load(run, address, arguments.minutes)
        ended = time.time()
        answers = {
            (panel["id"], target["refId"]): ask(url, target["expr"], began, ended)
            for panel in board["panels"]
            for target in panel["targets"]
        }
    draw(board, answers, began, ended, arguments.out)


if __name__ == "__main__":
    main()
