"""The main job, end to end: start the service, send it unseen strips, stop it; read a form.

Exits 0 only if the service started, answered every strip, read most of them without a mistake,
and stopped in order, and the form was read.
"""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from service.cli.score_plot import draw
from service.client.client import Client
from service.imaging.decode import decode

STRIPS = Path(__file__).parent / "strips"
FORM = Path(__file__).parent / "forms"
RIBBONS, FIELDS = Path("out") / "ribbons", Path("out") / "form.png"
LEAST_EXACT = 0.75  # fewer strips read exactly mean that something is broken
WIDTH = 112  # columns: thirty digits, twice
PATIENCE = 120  # seconds for everything; then the service is killed, and this ends


def main() -> int:
    """Run the demonstration and return its exit status."""
    console = Console(width=max(Console().width, WIDTH))
    began = time.monotonic()
    service = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DIGITSTRIP_LOG_FORMAT": "none"},
    )
    patience = threading.Timer(PATIENCE, service.kill)
    patience.start()
    try:
        address = wait_for_address(service)
        console.print(
            f"The service listens on {address}, {time.monotonic() - began:.1f} s after its start."
        )
        exact, strips = read_all(address, console)
    finally:
        service.send_signal(signal.SIGTERM)
        status = service.wait()
        patience.cancel()
    console.print(
        f"{exact} of {strips} strings read without a mistake; pictures in {RIBBONS}/; "
        f"the service stopped with status {status}."
    )
    read = read_form()
    console.print(f"A form, read field by field; its picture is {FIELDS}.")
    if read:
        return 1
    return 0 if exact >= LEAST_EXACT * strips and status == 0 else 1


def wait_for_address(service: "subprocess.Popen[str]") -> str:
    """Return the address that the service says it serves on."""
    assert service.stdout is not None
    for line in service.stdout:
        if line.startswith("serving on "):
            return line.removeprefix("serving on ").strip()
    raise SystemExit(f"the service ended with status {service.wait()} before it served")


def read_all(address: str, console: Console) -> tuple[int, int]:
    """Send every example strip, print and draw what comes back; return (exact, all)."""
    with (STRIPS / "labels.csv").open(newline="") as file:
        truths = {row["file"]: row["text"] for row in csv.DictReader(file)}
    RIBBONS.mkdir(parents=True, exist_ok=True)
    table = Table("strip", "truth", "reading", "confidence", "ms", box=None)
    exact = 0
    with Client(address) as client:
        for name, truth in truths.items():
            encoded = (STRIPS / name).read_bytes()
            sent = time.perf_counter()
            response = client.recognize(encoded, scores=True)
            took = time.perf_counter() - sent
            right = response.text == truth
            exact += right
            table.add_row(
                name,
                truth,
                f"[green]{response.text} ✓" if right else f"[red]{response.text} ✗",
                f"{response.confidence:.3f}",
                f"{1000 * took:.0f}",
            )
            draw(decode(encoded).gray, response).save((RIBBONS / name).with_suffix(".png"))
    console.print(table)
    return exact, len(truths)


def read_form() -> int:
    """Read a page of the example form, print and draw its fields; returns the exit status."""
    command = [sys.executable, "-m", "service.cli", "read", "--form", FORM / "form.toml"]
    options = [FORM / "photo.jpg", "--accept-errors", "5%", "--picture", FIELDS]
    return subprocess.run([*command, *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
