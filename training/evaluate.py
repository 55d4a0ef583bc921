"""The service over labelled digits and strips: what a model's figures are made of."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from service.errors import InputError
from service.image import Gray, decode
from service.recognizer import Recognizer
from service.scorer import Scorer
from training.augment import blank, noise, uncentred
from training.config import Config
from training.dataset import DatasetError, DigitSet
from training.strips import random_strip

BATCH = 500  # windows scored in one run


@dataclass(frozen=True)
class Read:
    """One labelled strip and what was read."""

    source: str
    truth: str
    text: str
    confidence: float


@dataclass(frozen=True)
class StripFigures:
    """How well strings were read."""

    strips: int
    exact: float  # share of strings without a mistake
    character_error_rate: float  # edits per character of the truth

    @classmethod
    def of(cls, reads: Iterable[Read]) -> "StripFigures":
        """Count what was read."""
        reads = list(reads)
        edits = sum(Levenshtein.distance(read.text, read.truth) for read in reads)
        return cls(
            strips=len(reads),
            exact=sum(read.text == read.truth for read in reads) / len(reads),
            character_error_rate=edits / max(sum(len(read.truth) for read in reads), 1),
        )


@dataclass(frozen=True)
class WindowFigures:
    """How well single windows were told."""

    digits: int
    digit_error: float  # share of centred digits not told; `none` is a mistake too
    nothing: dict[str, int]  # windows without a digit, by kind
    none_found: dict[str, float]  # by kind, the share of windows without a digit told as `none`


@dataclass(frozen=True)
class Figures:
    """All figures of one model."""

    digest: str  # of the model file
    training: dict[str, Any]  # what the model says of its own making
    seed: int
    windows: WindowFigures
    synthetic: StripFigures
    folders: dict[str, StripFigures]  # by the folder's name
    reads: list[Read]  # the folders' strips


def evaluate_windows(scorer: Scorer, digits: DigitSet, seed: int) -> WindowFigures:
    """Score each digit in its centred window, and as many windows with nothing in the centre.

    Args:
        scorer: the model.
        digits: digits that were neither trained nor selected on.
        seed: decides the windows without a digit.
    """
    told = labels_of(scorer, digits.images)
    rng = np.random.default_rng([seed, 1])
    kinds = {
        "blank": np.stack([blank(rng) for _ in range(1000)]),
        "noise": np.stack([noise(rng) for _ in range(1000)]),
        "side digits": np.stack(
            [
                uncentred(
                    rng, list(digits.images[rng.integers(len(digits), size=rng.integers(1, 3))])
                )
                for _ in range(8000)
            ]
        ),
    }
    none = scorer.contract.none
    found = {kind: labels_of(scorer, windows) == none for kind, windows in kinds.items()}
    everything = np.concatenate(list(found.values()))
    return WindowFigures(
        digits=len(digits),
        digit_error=float((told != digits.labels).mean()),
        nothing={kind: len(right) for kind, right in found.items()} | {"all": len(everything)},
        none_found={kind: float(right.mean()) for kind, right in found.items()}
        | {"all": float(everything.mean())},
    )


def labels_of(scorer: Scorer, windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the likeliest label of each window.

    Args:
        scorer: the model.
        windows: (windows, 32, 32) uint8.
    """
    parts = [windows[first : first + BATCH] for first in range(0, len(windows), BATCH)]
    return np.concatenate([scorer.run(part)[:, 0, 0].argmax(axis=1) for part in parts])


def synthetic_strips(
    digits: DigitSet, seed: int, count: int, lengths: tuple[int, int] = (2, 10)
) -> Iterator[tuple[str, str, Gray]]:
    """Yield (name, truth, page): strings of digits with gaps of -4 to 8 pixels, dark on light."""
    rng = np.random.default_rng([seed, 2])
    for index in range(count):
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        strip = random_strip(digits, rng, length, Config())
        yield f"synthetic-{index}", strip.text, 255 - strip.pixels


def labelled_strips(folder: Path) -> Iterator[tuple[str, str, Gray]]:
    """Yield (name, truth, page) of a folder with a `labels.csv` of `file,text`.

    Raises:
        DatasetError: there is no such table, it lacks a column or a cell, or an image that it
            names cannot be read.
    """
    table = folder / "labels.csv"
    if not table.is_file():
        raise DatasetError(f"{folder}: expected a labels.csv, found none")
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"file", "text"} <= set(rows.fieldnames or ()):
            raise DatasetError(f"{table}: expected columns file,text, found {rows.fieldnames}")
        for row in rows:
            if None in row or None in row.values():
                raise DatasetError(
                    f"{table}: line {rows.line_num} has more or fewer cells than the first"
                )
            path = folder / row["file"]
            try:
                yield row["file"], row["text"], decode(path.read_bytes())
            except OSError as error:
                raise DatasetError(f"{path}: {error.strerror}") from error
            except InputError as error:
                raise DatasetError(f"{path}: {error}") from error


def evaluate_strips(
    recognizer: Recognizer, strips: Iterable[tuple[str, str, Gray]]
) -> tuple[StripFigures, list[Read]]:
    """Read labelled strips just as the service would, and compare."""
    reads = []
    for source, truth, page in strips:
        reading = recognizer.recognize(page).reading
        reads.append(Read(source, truth, reading.text, reading.confidence))
    if not reads:
        raise DatasetError("there is no strip to evaluate")
    return StripFigures.of(reads), reads


def evaluate(
    model: Path, test: DigitSet, folders: Sequence[Path], seed: int, synthetic: int
) -> Figures:
    """Measure a model: on test digits, on strings made from them, on folders of strips.

    Args:
        model: the ONNX file.
        test: digits that were neither trained nor selected on.
        folders: each with a `labels.csv`.
        seed: decides the windows and strings that are made.
        synthetic: how many strings to make.
    """
    recognizer = Recognizer(Scorer(model))
    made, _ = evaluate_strips(recognizer, synthetic_strips(test, seed, synthetic))
    own = {}
    reads = []
    for folder in folders:
        own[str(folder)], read = evaluate_strips(recognizer, labelled_strips(folder))
        reads += read
    return Figures(
        digest=recognizer.scorer.digest,
        training=json.loads(recognizer.contract.training),
        seed=seed,
        windows=evaluate_windows(recognizer.scorer, test, seed),
        synthetic=made,
        folders=own,
        reads=reads,
    )
