"""One process that tries inputs of one kind until it is stopped, or until one breaks it.

With atheris, inputs are chosen by the code that they reach (libFuzzer); without, at random.
"""

import argparse
import faulthandler
import random
import resource
import sys
import time
import warnings
from pathlib import Path

SEEN = (
    "PIL",
    "service.imaging.decode",
    "service.imaging.structure",
    "service.imaging.header",
    "service.imaging.tiff",
    "service.api.requests",
    "service.api.wire",
    "service.inputs",
    "service.batch.state.journal",
    "service.workers.framing",
    "tarfile",
    "zipfile",
)
SEEN_TOO = (
    "service.recognition.decoding.regex",
    "service.recognition.decoding.automaton",
    "service.recognition.decoding.constraints",
)
LONGEST_INPUT = 200_000  # bytes
LONGEST = 10  # seconds for one input
SPARE = 768 * 2**20  # bytes of memory for what the limits in examine.py allow, and much more
PULSE = 250  # inputs from one line about memory to the next

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("kind")
parser.add_argument("folder", type=Path, help="receives the inputs that are kept")
parser.add_argument("seconds", type=int)
parser.add_argument("seed", type=int)
parser.add_argument("--random", action="store_true", help="without atheris")
args = parser.parse_args()

try:
    if args.random:
        raise ImportError
    import atheris

    with atheris.instrument_imports(include=[*SEEN, *SEEN_TOO]):
        from tests.fuzz.damage import damage
        from tests.fuzz.examine import examine
        from tests.fuzz.seeds import seeds
except ImportError:
    atheris = None
    from tests.fuzz.damage import damage
    from tests.fuzz.examine import examine
    from tests.fuzz.seeds import seeds

from service.recognition.model import ModelFiles  # noqa: E402
from service.recognition.recognizer import Recognizer  # noqa: E402 - what is instrumented comes first


def main():
    warnings.simplefilter("ignore")  # as the readers do
    recognizer = Recognizer.load(ModelFiles.read())
    valid = seeds()[args.kind]
    for each in valid:
        examine(args.kind, each, recognizer)  # loads all that is loaded late
    began, tried = megabytes("VmRSS"), 0
    allow_memory(SPARE)

    def one(data):
        nonlocal tried
        examine(args.kind, data, recognizer, sparing=True)
        tried += 1
        if tried % PULSE == 0:
            print(f"PULSE {tried} {began} {megabytes('VmRSS')} {megabytes('VmHWM')}", flush=True)

    (search if atheris else at_random)(one, valid)


def search(one, valid):
    """Let libFuzzer choose; half of its changes are ours."""
    corpus = args.folder / "corpus" / args.kind
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(valid):
        (corpus / f"seed-{number}").write_bytes(data)

    def mutate(data, longest, seed):
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return damage(args.kind, data, rng)[:longest]
        data = atheris.Mutate(data, longest)
        return damage("png", data, rng)[:longest] if args.kind == "png" else data

    options = {
        "max_total_time": args.seconds,
        "max_len": LONGEST_INPUT,
        "timeout": LONGEST,
        "rss_limit_mb": megabytes("VmRSS") + SPARE // 2**20,
        "seed": args.seed,
        "artifact_prefix": f"{args.folder}/{args.kind}-",
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def at_random(one, valid):
    """Damage a valid input, again and again; one that is the last is kept by this process."""
    last = args.folder / f"{args.kind}-crash-{args.seed}"
    rng = random.Random(args.seed)
    ends = time.monotonic() + args.seconds
    while time.monotonic() < ends:
        data = rng.choice(valid)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            data = damage(args.kind, data, rng)[:LONGEST_INPUT]
        last.write_bytes(data)
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        one(data)
        faulthandler.cancel_dump_traceback_later()
    last.unlink(missing_ok=True)


def allow_memory(more):
    """Bound the address space to what it is now and some more."""
    limit = (megabytes("VmSize") << 20) + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def megabytes(name):
    """A figure of this process: VmSize, VmRSS, or VmHWM, the highest of the latter."""
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) >> 10


if __name__ == "__main__":
    main()
