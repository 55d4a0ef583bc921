"""The service over labeled digits and strips: what a model's figures are made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from rich.progress import track

from service.errors import InputError
from service.imaging.page import Gray
from service.recognition.calibration import Calibration
from service.recognition.model import Scorer
from service.recognition.model_metadata import ModelMetadata
from service.recognition.recognizer import Decision, Options, Recognizer
from training.config import Config
from training.data.digits import DigitSet
from training.data.scans import read_scans
from training.errors import DatasetError
from training.evaluation.metrics import PROMISED, Read, StripFigures
from training.evaluation.weights import effective
from training.pages.augment import blank, noise, uncentered
from training.pages.strips import random_strip

SYNTHETIC = "synthetic"  # the source of strings that are made
BATCH = 500  # windows scored in one run


class Labeled(Protocol):
    """A strip and what it says; a `Scan` is one."""

    @property
    def name(self) -> str:
        """The strip's, in its source."""

    @property
    def text(self) -> str:
        """Digits only."""

    @property
    def weight(self) -> float | None:
        """How much it counts, in a review's sample; None, as much as any other."""

    def gray(self) -> Gray:
        """Return the page; InputError if it cannot be read."""


@dataclass(frozen=True)
class Made:
    """A strip made from digits."""

    name: str
    text: str
    page: Gray
    weight: float | None = None

    def gray(self) -> Gray:
        """Return the page."""
        return self.page


@dataclass(frozen=True)
class Mistake:
    """A string that was misread, and the page that it stands on."""

    read: Read
    page: Gray


@dataclass(frozen=True)
class Reads:
    """What was read of one source of strips."""

    source: str
    reads: list[Read]
    mistakes: list[Mistake]
    unreadable: dict[str, str]  # strips that are no image, by name, and why
    made: bool = False  # rather than scanned
    unsure: int = 0  # strips that a review looked at because they were not accepted


@dataclass(frozen=True)
class WindowFigures:
    """Accuracy on single windows."""

    digits: int
    digit_error: float  # share of centered digits misread; `none` is a mistake too
    nothing: dict[str, int]  # windows without a digit, by kind
    none_found: dict[str, float]  # by kind, the share of windows without a digit read as `none`


@dataclass(frozen=True)
class SourceFigures:
    """How well one source's strips were read."""

    reads: Reads
    figures: StripFigures


@dataclass(frozen=True)
class Figures:
    """All figures of one model."""

    digest: str  # of the model file
    metadata: ModelMetadata
    command: str  # the options that repeat the evaluation
    windows: WindowFigures | None  # None without test digits
    sources: list[SourceFigures]  # the synthetic strings, if any, then each folder
    second: "SecondReaderFigures | None" = None

    @property
    def calibration(self) -> Calibration:
        """The calibration that the sources were read with."""
        if self.second is None:
            return self.metadata.calibration
        return self.metadata.pairing.calibration if self.metadata.pairing else Calibration()


@dataclass(frozen=True)
class SecondReaderFigures:
    """What the second reader is, and what each reader reads alone."""

    digest: str  # of its file
    metadata: ModelMetadata
    windows: WindowFigures | None
    first_alone: list[SourceFigures]  # of the sources that both read
    second_alone: list[SourceFigures]
    consulted: list[float]  # of each source, the share of strips that the second reader saw
    agreed: list[float]  # of each source, the share of these on which both read the same


def evaluate_windows(scorer: Scorer, digits: DigitSet, seed: int) -> WindowFigures:
    """Score each digit in its centered window, and as many windows with nothing in the center.

    Args:
        scorer: the model.
        digits: digits that were neither trained nor selected on.
        seed: decides the windows without a digit.
    """
    predicted = labels_of(scorer, digits.images)
    rng = np.random.default_rng([seed, 1])
    kinds = {
        "blank": np.stack([blank(rng) for _ in range(1000)]),
        "noise": np.stack([noise(rng) for _ in range(1000)]),
        "side digits": np.stack(
            [
                uncentered(
                    rng, list(digits.images[rng.integers(len(digits), size=rng.integers(1, 3))])
                )
                for _ in range(8000)
            ]
        ),
    }
    none = scorer.metadata.none
    found = {kind: labels_of(scorer, windows) == none for kind, windows in kinds.items()}
    everything = np.concatenate(list(found.values()))
    return WindowFigures(
        digits=len(digits),
        digit_error=float((predicted != digits.labels).mean()),
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
) -> Iterator[Made]:
    """Yield strings of digits with gaps of -4 to 8 pixels, dark on light."""
    rng = np.random.default_rng([seed, 2])
    for index in range(count):
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        strip = random_strip(digits, rng, length, Config())
        yield Made(f"synthetic-{index}", strip.text, 255 - strip.pixels)


def read_strips(recognizer: Recognizer, source: str, strips: Sequence[Labeled]) -> Reads:
    """Read labeled strips just as the service would; what is no image is set aside.

    Raises:
        DatasetError: there is no strip, or none that can be read.
    """
    reads = Reads(source, [], [], {})
    for strip in track(strips, f"reading {source}", transient=True):
        try:
            page = strip.gray()
        except InputError as error:
            reads.unreadable[strip.name] = str(error)
            continue
        found = recognizer.recognize(page, Options(error_rate=PROMISED))
        read = Read(
            strip.name,
            strip.text,
            found.reading.text,
            found.reading.confidence,
            found.evidence,
            found.readers,
            found.decision is Decision.ACCEPT,
            1.0 if strip.weight is None else strip.weight,
        )
        reads.reads.append(read)
        if not read.right:
            reads.mistakes.append(Mistake(read, page))
    if not reads.reads:
        why = "; ".join(f"{name}: {why}" for name, why in list(reads.unreadable.items())[:1])
        raise DatasetError(
            f"{source}: expected strips to read, found {len(reads.unreadable)} unreadable and no "
            f"other{why and '; ' + why}"
        )
    weights = effective(np.array([read.weight for read in reads.reads]))
    counted = [
        replace(read, weight=float(weight))
        for read, weight in zip(reads.reads, weights, strict=True)
    ]
    return replace(reads, reads=counted)


def read_folder(
    recognizer: Recognizer, folder: Path, held_out: bool, most: int | None = None
) -> Reads:
    """Read a labeled folder's scans, or only those that `fit` holds out.

    Args:
        recognizer: what to read with.
        folder: with a labels.csv.
        held_out: whether to read only those that `fit` holds out.
        most: how many at most, evenly from the whole table; None reads all.

    Raises:
        DatasetError: the table cannot be read, or none of the images.
    """
    scans = [scan for scan in read_scans(folder) if scan.held_out or not held_out]
    if most is not None and most < len(scans):
        scans = [scans[index * len(scans) // most] for index in range(most)]
    name = folder.resolve().name
    reads = read_strips(recognizer, f"{name}, held out" if held_out else name, scans)
    return replace(reads, unsure=sum(scan.why == "review" for scan in scans))


def evaluate(
    model: Path,
    test: DigitSet | None,
    folders: Sequence[Path],
    seed: int,
    synthetic: int = 0,
    held_out: bool = False,
    second: Path | None = None,
) -> Figures:
    """Measure one model or a pair: on test digits, on strings made from them, on scanned strips.

    Args:
        model: the ONNX file of the first reader.
        test: digits that were neither trained nor selected on; None measures folders alone.
        folders: each with a `labels.csv`.
        seed: decides the windows and strings that are made, and the bootstrap.
        synthetic: how many strings to make of the test digits.
        held_out: whether to read only the scans that `fit` holds out of the folders.
        second: the ONNX file of the second reader.

    Raises:
        DatasetError: a folder's table cannot be read, or none of its images.
    """
    first, other = Scorer(model), Scorer(second) if second else None
    made = list(synthetic_strips(test, seed, synthetic)) if test else []

    def windows_of(scorer: Scorer) -> WindowFigures | None:
        return evaluate_windows(scorer, test, seed) if test else None

    def figures_of(recognizer: Recognizer) -> list[SourceFigures]:
        found = [read_strips(recognizer, SYNTHETIC, made)] if made else []
        found += [read_folder(recognizer, folder, held_out) for folder in folders]
        return [SourceFigures(each, StripFigures.of(each.reads, seed)) for each in found]

    # The path of a folder on this machine is private.
    named = [f"--strips $DATA/{each.resolve().name}" for each in folders]
    made_by = f"--synthetic {synthetic}" if made else "--mnist"
    options = [f"--seed {seed}", *([made_by] if test else []), *named]
    sources = figures_of(Recognizer(first, other))
    return Figures(
        digest=first.digest,
        metadata=first.metadata,
        command=" ".join([*options, "--held-out"] if held_out else options),
        windows=windows_of(first),
        sources=sources,
        second=SecondReaderFigures(
            digest=other.digest,
            metadata=other.metadata,
            windows=windows_of(other),
            first_alone=figures_of(Recognizer(first)),
            second_alone=figures_of(Recognizer(other)),
            consulted=[shares_of(each.reads.reads)[0] for each in sources],
            agreed=[shares_of(each.reads.reads)[1] for each in sources],
        )
        if other
        else None,
    )


def shares_of(reads: Sequence[Read]) -> tuple[float, float]:
    """Return on how many the second reader was consulted, and on how many of these both agreed."""
    consulted = [read.readers for read in reads if len(read.readers) > 1]
    agreed = sum(first.text == second.text for first, second in consulted)
    return len(consulted) / max(len(reads), 1), agreed / max(len(consulted), 1)
