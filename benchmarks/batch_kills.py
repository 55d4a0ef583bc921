"""kill -9 at random moments: the parent or a worker; resumed, the output must be the same bytes.

Every trial starts a run and kills at a random moment of it. Where the parent was hit, the
same command is started again, killed once more at random in every third trial, and ended.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batch import children, make_strips

FORMATS = ("jsonl", "csv", "parquet")


def start(folder: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start a batch."""
    command = [sys.executable, "-m", "service.cli", "batch", str(folder), "--progress", "none"]
    return subprocess.Popen(
        [*command, "--output", str(output), "--workers", "2"], stderr=subprocess.PIPE
    )


def workers(pid: int) -> list[int]:
    """Return a batch's readers; its other child only tidies up."""
    found = []
    for child in children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:  # it ended
            continue
        if b"spawn_main" in command:
            found.append(child)
    return found


def kill_one(running: subprocess.Popen[bytes], rng: random.Random, worker: bool) -> str:
    """Kill the parent or one of its workers; say what was hit."""
    victims = workers(running.pid) if worker else [running.pid]
    if running.poll() is not None or not victims:
        return "nothing"
    try:
        os.kill(rng.choice(victims), signal.SIGKILL)
    except ProcessLookupError:  # it ended at this moment
        return "nothing"
    return "a worker" if worker else "the parent"


def main() -> None:
    """Print each trial; exit 1 if an output differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--strips", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    different = 0
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        folder = home / "strips"
        folder.mkdir()
        make_strips(folder, args.strips, seed=2)
        (folder / "damaged.png").write_bytes(b"no image")
        undisturbed, began = {}, time.perf_counter()
        for kind in FORMATS:
            running = start(folder, home / f"whole.{kind}")
            running.communicate()
            undisturbed[kind] = (home / f"whole.{kind}").read_bytes()
        longest = (time.perf_counter() - began) / len(FORMATS)
        print(f"undisturbed: {longest:.1f} s")
        for trial in range(args.trials):
            kind, worker = FORMATS[trial % 3], trial % 2 == 1
            output = home / f"trial-{trial}.{kind}"
            killed, kills = [], 1 if trial % 3 else 2
            running = start(folder, output)
            for _ in range(kills):
                wait = rng.uniform(0.3, 0.9 * longest / kills)
                time.sleep(wait)
                killed.append(f"{kill_one(running, rng, worker)} at {wait:.2f} s")
                if running.poll() is not None or not worker:
                    running.communicate()
                    running = start(folder, output)
            _, said = running.communicate(timeout=600)
            same = output.exists() and output.read_bytes() == undisturbed[kind]
            left = sorted(path.name for path in home.glob(f"trial-{trial}.{kind}.*"))
            different += not same
            print(
                f"{trial + 1:>3} {kind:8} killed {', '.join(killed)}: exit {running.returncode}, "
                f"{'the same bytes' if same else 'DIFFERENT'}, left beside it: {', '.join(left)}"
                f"{' ' + said.decode() if said else ''}",
                flush=True,
            )
            output.unlink(missing_ok=True)
    print(f"{args.trials - different} of {args.trials} the same")
    raise SystemExit(bool(different))


if __name__ == "__main__":
    main()
