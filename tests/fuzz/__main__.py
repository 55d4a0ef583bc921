"""Try damaged inputs of every kind: `python -m tests.fuzz --minutes 10`.

Each kind runs in a process of its own, whose memory and time for one input are bounded. An input
that crashes it, raises what is not ours, hangs, or takes too much memory is kept in the folder.
"""

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import ROOT
from tests.fuzz.seeds import seeds

MOST_FINDINGS = 5  # of a kind, after which it is left
SLACK = 60  # seconds to start and to end


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    parser.add_argument("--kinds", nargs="*", default=list(seeds()), choices=list(seeds()))
    parser.add_argument("--folder", type=Path, default=None, help="receives what is found")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="do without atheris")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="digitstrip-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    guided = find_spec("atheris") is not None and not args.random
    print(f"{'guided by coverage (atheris)' if guided else 'at random'}; findings in {folder}")
    print(
        f"{'kind':10}{'inputs':>10}{'seconds':>9}{'start MiB':>11}{'end':>6}{'most':>6}  findings"
    )
    found = 0
    for kind in args.kinds:
        found += try_kind(kind, folder, 60 * args.minutes / len(args.kinds), args)
    sys.exit(found > 0)


def try_kind(kind, folder, seconds, args):
    """Run one kind, again if an input ends it, and print what came of it."""
    ends = time.monotonic() + seconds
    inputs, memory, before = 0, None, set(kept(kind, folder))
    for run in itertools.count():
        left = ends - time.monotonic()
        said = run_child(kind, folder, max(left, 1), args.seed + run, args.random)
        pulses = [
            list(map(int, pulse)) for pulse in re.findall(r"PULSE (\d+) (\d+) (\d+) (\d+)", said)
        ]
        done = re.search(r"Done (\d+) runs", said)
        inputs += int(done[1]) if done else (pulses[-1][0] if pulses else 0)
        memory = memory or (pulses[0][1:] if pulses else None)
        if pulses:
            memory = [memory[0], pulses[-1][2], max(memory[2], pulses[-1][3])]
        new = sorted(set(kept(kind, folder)) - before)
        if len(new) >= MOST_FINDINGS or ends - time.monotonic() < 2:
            break
    start, end, most = memory or ("-", "-", "-")
    names = ", ".join(path.name for path in new) or "none"
    print(f"{kind:10}{inputs:>10,}{seconds:>9.0f}{start:>11}{end:>6}{most:>6}  {names}", flush=True)
    return len(new)


def kept(kind, folder):
    """Inputs that ended a process: crash-…, timeout-… and oom-…."""
    return [path for path in folder.glob(f"{kind}-*") if path.suffix != ".log"]


def run_child(kind, folder, seconds, seed, at_random):
    """Run a child to its end and return what it printed, which is also kept if it failed."""
    command = [sys.executable, "-m", "tests.fuzz.child", kind, folder, f"{seconds:.0f}", f"{seed}"]
    with tempfile.TemporaryFile() as said:
        try:
            status = subprocess.run(
                [*map(str, command), *(["--random"] if at_random else [])],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                timeout=seconds + SLACK,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = "none: it did not end"
            (folder / f"{kind}-timeout-{seed}").touch()
        said.seek(0)
        text = said.read().decode(errors="replace")
    if status != 0:
        (folder / f"{kind}-{seed}.log").write_text(f"status {status}\n{text[-20_000:]}")
        if not kept(kind, folder):  # it died without a word, or could not begin
            (folder / f"{kind}-crash-{seed}").touch()
    return text


if __name__ == "__main__":
    main()
