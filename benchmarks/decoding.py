"""What reading a score map costs: prefix search, free and constrained, against the best path.

All are timed in turn on the score maps of the example strips. The best path, one label a position,
is the least that any decoder does; ratios to it carry over from machine to machine.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from service.imaging.decode import decode as decode_image
from service.recognition.decoding.automaton import Constraint
from service.recognition.decoding.constraints import all_of, length, luhn
from service.recognition.decoding.decoder import decode
from service.recognition.decoding.regex import pattern
from service.recognition.model import Scorer, Scores
from service.recognition.model_metadata import ModelMetadata
from service.recognition.normalize import normalize

STRIPS = Path(__file__).parent.parent / "examples" / "strips"


def main() -> None:
    """Print microseconds a strip, and ratios to the best path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    scorer = Scorer()
    metadata = scorer.metadata
    print("microseconds (times the best path's)")
    print(
        f"{'strip':24}{'positions':>10}{'digits':>7}{'best path':>11}"
        f"{'free, one':>15}{'free':>15}{'length':>15}{'pattern':>15}{'Luhn':>15}{'both':>15}"
    )
    with (STRIPS / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        page = decode_image((STRIPS / row["file"]).read_bytes())
        scores = scorer.score(normalize(page.gray).strip().pixels)[0]
        digits = len(row["text"])
        exact = length(digits, digits)
        written = pattern(rf"\d{{{(digits + 1) // 2}}}-?\d*")
        works = [
            lambda scores=scores: best_path(scores, metadata),
            lambda scores=scores: decode(scores, metadata, strings=1),
            *(
                reader(scores, metadata, constraint)
                for constraint in (None, exact, written, luhn(), all_of(exact, luhn()))
            ),
        ]
        times = [[seconds(work) for work in works] for _ in range(rounds)]
        best, *others = (median(column) for column in zip(*times, strict=True))
        cells = "".join(f"{1e6 * other:8.0f} ({other / best:4.0f})" for other in others)
        print(f"{row['file']:24}{len(scores):10}{digits:7}{1e6 * best:11.0f}{cells}")


def reader(
    scores: Scores, metadata: ModelMetadata, constraint: Constraint | None
) -> Callable[[], object]:
    """Return the work of reading one map."""
    return lambda: decode(scores, metadata, constraint)


def best_path(scores: Scores, metadata: ModelMetadata) -> str:
    """Return the text of the likeliest label at every position."""
    path = scores.argmax(axis=1).tolist()
    return "".join(
        metadata.labels[label]
        for label, before in zip(path, [metadata.none, *path], strict=False)
        if label not in (before, metadata.none)
    )


def seconds(work: Callable[[], object]) -> float:
    """Return what a piece of work takes of this thread: decoding uses one."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


if __name__ == "__main__":
    main()
