"""What a batch costs beside the bare pipeline, and what it keeps in memory.

The bare pipeline is one process a worker, each with one session, that turns bytes into text in a
loop: no rows, no order, no journal, nothing survives it. Both read the same strips, made again
from the examples' digits, in turn.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from service.imaging.decode import decode
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from service.workers.cpu_quota import usable_cpus

STRIPS = Path(__file__).parent.parent / "examples" / "strips"
FOLDER = 1000  # strips of one folder
# Examples that are read at the first look, at four tenths of their size: what a batch costs besides
# reading shows the more, the less there is to read.
EASY, SIZE = ("two-digits", "postcode-ruled", "amount-blue-ink"), 0.4


def make_strips(folder: Path, count: int, seed: int, ordinary: bool = False) -> None:
    """Write strips of examples, each scaled, with noise of its own; ordinary: of all of them."""
    rng = np.random.default_rng(seed)
    named = (
        STRIPS.glob("*.[!c]*") if ordinary else (next(STRIPS.glob(f"{name}.*")) for name in EASY)
    )
    pages = [decode(name.read_bytes()).gray for name in sorted(named)]
    for index in range(count):
        page = pages[rng.integers(len(pages))]
        size = (1 if ordinary else SIZE) * rng.uniform(0.9, 1.1)
        page = cv2.resize(page, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
        noisy = np.clip(page + rng.normal(0, 3, page.shape), 0, 255).astype(np.uint8)
        path = folder / f"{index // FOLDER:04}" / f"{index:07}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), noisy)


def bare(share: list[str]) -> float:
    """Read a share of the strips in a loop; return the seconds, without starting up."""
    cv2.setNumThreads(1)
    recognizer = Recognizer.load(ModelFiles.read())
    recognizer.recognize(decode(Path(share[0]).read_bytes()))
    began = time.perf_counter()
    for path in share:
        _ = recognizer.recognize(decode(Path(path).read_bytes())).reading.text
    return time.perf_counter() - began


def cpu_seconds() -> float:
    """Return what the ended children of this process, and theirs, had of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_bare(folder: Path, workers: int) -> tuple[float, float]:
    """Return the bare pipeline's items a second of time, and of processor time."""
    paths = sorted(str(path) for path in folder.rglob("*.png"))
    shares = [paths[first::workers] for first in range(workers)]
    before = cpu_seconds()
    with get_context("spawn").Pool(workers) as pool:
        seconds = pool.map(bare, shares, chunksize=1)
        pool.close()
        pool.join()
    return len(paths) / max(seconds), len(paths) / (cpu_seconds() - before)


def time_batch(
    folder: Path, count: int, workers: int, output: Path
) -> tuple[float, float, list[float]]:
    """Return the same of a whole run of the command, and its processes' peaks in MiB."""
    began, before = time.perf_counter(), cpu_seconds()
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
    return count / seconds, count / (cpu_seconds() - before), sorted(peaks.values())


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
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="of the first number of strips; 0 leaves the bare pipeline out",
    )
    parser.add_argument(
        "--ordinary", action="store_true", help="all examples, at about their own size"
    )
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
                make_strips(folder, count, seed=1, ordinary=args.ordinary)
            bare_rates, batch_rates = [], []
            for _ in range(max(args.rounds, 1) if number == 0 else 1):
                if number == 0 and args.rounds:
                    bare_rates.append(time_bare(folder, args.workers))
                *rates, peaks = time_batch(folder, count, args.workers, output)
                batch_rates.append(rates)
            print(f"{count:>9,} strips")
            for index, what in enumerate(("second", "processor second")):
                speeds = [rates[index] for rates in batch_rates]
                line = f"{statistics.median(speeds):7,.0f} items a {what}"
                if bare_rates:
                    alone = [rates[index] for rates in bare_rates]
                    ratios = [each / one for each, one in zip(speeds, alone, strict=True)]
                    line += f"; bare {statistics.median(alone):,.0f}; ratio "
                    line += f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to "
                    line += f"{max(ratios):.2f})"
                print(line)
            parts = " + ".join(f"{each:.0f}" for each in reversed(peaks))
            print(f"        peak memory {sum(peaks):.0f} MiB ({parts})", flush=True)


if __name__ == "__main__":
    main()
