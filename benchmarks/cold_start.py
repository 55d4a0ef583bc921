"""Cold start: `digitstrip read` on one image, as a whole process.

Measured in turn with a process that only imports the three libraries that reading cannot do
without (numpy, OpenCV, onnxruntime); the ratio is what we add.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

EXAMPLE = Path(__file__).parent.parent / "examples" / "strips" / "postcode-ruled.png"
READ = [sys.executable, "-m", "service.cli", "read", str(EXAMPLE)]
BARE = [sys.executable, "-c", "import numpy, cv2, onnxruntime"]


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for command in (READ, BARE):  # files into the page cache
        seconds(command)
    times = [(seconds(READ), seconds(BARE)) for _ in range(rounds)]
    print(f"digitstrip read, one image:          {median(read for read, _ in times):.2f} s")
    print(f"importing its three large libraries: {median(bare for _, bare in times):.2f} s")
    print(f"ratio: {median(read / bare for read, bare in times):.2f} (median of {rounds} rounds)")


def seconds(command: list[str]) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
