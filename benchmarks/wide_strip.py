"""Strips of 10,000, 100,000 and 1,000,000 pixels: that they are read, and in how much memory.

Each width runs in a process of its own, which reports its peak.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from service.imaging.decode import decode
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer

EXAMPLE = Path(__file__).parent.parent / "examples" / "strips" / "account-small.png"


def main() -> None:
    """Print, for each width, the digits read, the time and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, help="measure this width, in this process")
    width = parser.parse_args().width
    if width:
        measure(width)
        return
    for width in (10_000, 100_000, 1_000_000):
        subprocess.run([sys.executable, __file__, "--width", str(width)], check=True)


def measure(width: int) -> None:
    """Read an example again and again, side by side, as one page of the given width."""
    recognizer = Recognizer.load(ModelFiles.read())
    example = decode(EXAMPLE.read_bytes()).gray
    expected = recognizer.recognize(example).reading.text
    copies = width // example.shape[1]
    page = np.tile(example, (1, copies + 1))[:, :width]
    before = peak()
    began = time.perf_counter()
    found = recognizer.recognize(page)
    took = time.perf_counter() - began
    kept = found.strip.pixels.nbytes + found.scores.nbytes
    assert found.reading.text.startswith(expected * copies)
    print(
        f"{width:>9,} × {page.shape[0]} pixels: {len(found.reading.text):>6,} digits, "
        f"{found.scores.shape[1]:>7,} positions, {took:6.2f} s; peak {peak() / 2**20:6.0f} MiB, "
        f"{(peak() - before) / 2**20:6.0f} MiB over the start, of which page, strip and scores "
        f"are {(page.nbytes + kept) / 2**20:.0f} MiB"
    )


def peak() -> int:
    """Return this process's greatest resident memory so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
