"""What a batch costs beside the bare pipeline, and what it keeps in memory.

The bare pipeline is one process a worker, each with one session, that turns bytes into text in a
loop: no rows, no order, no journal, nothing survives it. Both read the same strips, made anew
from the examples' digits, in turn.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from service.cpus import usable_cpus
from service.image import decode
from service.recognizer import Recognizer
from service.scorer import Scorer

STRIPS = Path(__file__).parent.parent / "examples" / "strips"
FOLDER = 1000  # strips of one folder
CRISP = ("account-small", "two-digits", "postcode-ruled", "form-shaded", "telephone-large")


def make_strips(folder: Path, count: int, seed: int) -> None:
    """Write strips of examples, each shifted, scaled, and with noise of its own."""
    rng = np.random.default_rng(seed)
    pages = [decode(next(STRIPS.glob(f"{name}.*")).read_bytes()) for name in CRISP]
    for index in range(count):
        page = pages[rng.integers(len(pages))]
        size = rng.uniform(0.9, 1.1)
        page = cv2.resize(page, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
        noisy = np.clip(page + rng.normal(0, 4, page.shape), 0, 255).astype(np.uint8)
        path = folder / f"{index // FOLDER:04}" / f"{index:07}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), noisy)


def bare(share: list[str]) -> float:
    """Read a share of the strips in a loop; return the seconds, without starting up."""
    cv2.setNumThreads(1)
    recognizer = Recognizer(Scorer())
    recognizer.recognize(decode(Path(share[0]).read_bytes()))
    began = time.perf_counter()
    for path in share:
        _ = recognizer.recognize(decode(Path(path).read_bytes())).reading.text
    return time.perf_counter() - began


def time_bare(folder: Path, workers: int) -> float:
    """Return the items a second of the bare pipeline, one process a worker."""
    paths = sorted(str(path) for path in folder.rglob("*.png"))
    shares = [paths[first::workers] for first in range(workers)]
    with get_context("spawn").Pool(workers) as pool:
        seconds = pool.map(bare, shares, chunksize=1)
    return len(paths) / max(seconds)


def time_batch(folder: Path, count: int, workers: int, output: Path) -> tuple[float, list[float]]:
    """Return the items a second of a whole run of the command, and its processes' peaks in MiB."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "service.cli", "batch", str(folder), "--progress", "none"]
    running = subprocess.Popen(
        [*command, "--output", str(output), "--workers", str(workers), "--refresh"]
    )
    peaks: dict[int, float] = {}
    while running.poll() is None:
        for pid in (running.pid, *children(running.pid)):
            peaks[pid] = max(peaks.get(pid, 0), peak(pid))
        time.sleep(0.2)
    if running.returncode:
        raise SystemExit(f"the batch ended with status {running.returncode}")
    seconds = time.perf_counter() - began
    return count / seconds, sorted(peaks.values())


def children(pid: int) -> list[int]:
    """Return a process's children, on Linux."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(each) for each in task.read_text().split()]
        except OSError:  # it ended
            continue
    return found


def peak(pid: int) -> float:
    """Return a process's greatest resident memory so far, in MiB, on Linux."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def main() -> None:
    """Print items a second of both, their ratio, and the batch's peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strips", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--rounds", type=int, default=3, help="of the smallest number of strips")
    parser.add_argument("--workers", type=int, default=usable_cpus())
    parser.add_argument("--format", default="jsonl", choices=["jsonl", "csv", "parquet"])
    parser.add_argument("--folder", type=Path, help="where to keep the strips; a temporary one")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        home = args.folder or Path(temporary)
        for number, count in enumerate(args.strips):
            folder, output = home / f"strips-{count}", home / f"out-{count}.{args.format}"
            if not folder.exists():
                folder.mkdir(parents=True)
                make_strips(folder, count, seed=1)
            rounds = args.rounds if number == 0 else 1
            told = []
            for _ in range(rounds):
                if number == 0:
                    alone = time_bare(folder, args.workers)
                speed, peaks = time_batch(folder, count, args.workers, output)
                if number == 0:
                    told.append((alone, speed))
            parent = " + ".join(f"{each:.0f}" for each in reversed(peaks))
            if told:
                ratios = [speed / alone for alone, speed in told]
                alone, speed = (statistics.median(each) for each in zip(*told, strict=True))
                print(
                    f"{count:>9,} strips: bare {alone:,.0f} items/s, batch {speed:,.0f} items/s, "
                    f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
                    f"{max(ratios):.2f}); peak {sum(peaks):.0f} MiB ({parent})"
                )
            else:
                print(
                    f"{count:>9,} strips: batch {speed:,.0f} items/s; peak {sum(peaks):.0f} MiB "
                    f"({parent})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
