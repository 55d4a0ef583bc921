"""Folders of scanned strips that people have labeled, in a `labels.csv`."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from service.errors import InputError
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.imaging.page import Gray
from service.inputs.documents import Document
from service.recognition.normalize import normalize
from training.data.labels import read_labels
from training.errors import DatasetError

HELD_OUT_SHARE = 10  # one scan in so many is held out of training


@dataclass(frozen=True)
class Scan:
    """A scanned strip, and what it says."""

    name: str  # of the file, in its folder
    text: str  # digits only
    content: bytes  # of the file
    page: int = 0  # of it, from 0
    why: str = ""  # it was labeled, if in a review
    weight: float | None = None  # rows of the review's batch that it stands for

    @property
    def held_out(self) -> bool:
        """Whether the scan is kept from training: its own bytes decide."""
        return zlib.crc32(self.content) % HELD_OUT_SHARE == 0

    def gray(self) -> Gray:
        """Return the page, (height, width) uint8.

        Raises:
            InputError: the bytes are no image that can be read, or have no such page.
            MissingExtra: they are a PDF, which cannot be drawn.
        """
        content, page = Document(self.content, Limits()).page(self.page)
        return decode(content, page).gray if isinstance(content, bytes) else content


@dataclass(frozen=True)
class LabeledLine:
    """A normalized line, and what it says."""

    pixels: Gray  # (FIELD, width), ink bright on 0
    slant: float  # tangent, by estimate
    text: str  # digits only


@dataclass(frozen=True)
class LineSet:
    """Normalized lines and what they say, in few arrays, which processes share quickly."""

    pixels: npt.NDArray[np.uint8]  # (FIELD, columns) all lines side by side, ink bright on 0
    starts: npt.NDArray[np.int64]  # (lines + 1,) the first column of each
    slants: npt.NDArray[np.float64]  # (lines,) tangents, by estimate
    texts: tuple[str, ...]  # digits only

    def __len__(self) -> int:
        return len(self.texts)

    def line(self, index: int) -> LabeledLine:
        """Return one of the lines."""
        pixels = self.pixels[:, self.starts[index] : self.starts[index + 1]]
        return LabeledLine(pixels, float(self.slants[index]), self.texts[index])

    @classmethod
    def of(cls, lines: Sequence[LabeledLine]) -> "LineSet":
        """Put lines, at least one, side by side."""
        widths = [line.pixels.shape[1] for line in lines]
        return cls(
            np.concatenate([line.pixels for line in lines], axis=1),
            np.concatenate([[0], np.cumsum(widths, dtype=np.int64)]),
            np.array([line.slant for line in lines]),
            tuple(line.text for line in lines),
        )

    def digest(self) -> str:
        """Return a hash of the lines, so that a run is only ever resumed on its own data."""
        content = hashlib.sha256(self.pixels.tobytes())
        content.update(self.starts.tobytes())
        content.update("\n".join(self.texts).encode())
        return content.hexdigest()[:16]


def read_scans(folder: Path) -> Iterator[Scan]:
    """Yield the scans that a folder's `labels.csv` names.

    Raises:
        DatasetError: there is no such table, it lacks a column or a cell, a text is not of
            digits, or a file cannot be read.
    """
    table = folder / "labels.csv"
    if not table.is_file():
        raise DatasetError(f"{folder}: expected a labels.csv, found none")
    for label in read_labels(table):
        path = folder / label.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror}") from error
        name = f"{label.file}, page {label.page + 1}" if label.page else label.file
        yield Scan(name, label.text, content, label.page, label.why, label.weight)


def normalized(folder: Path, scans: Iterable[Scan]) -> Iterator[LabeledLine]:
    """Normalize a folder's scans as the service does.

    Raises:
        DatasetError: one is no image that can be read.
    """
    for scan in scans:
        try:
            line = normalize(scan.gray())
        except InputError as error:
            raise DatasetError(f"{folder / scan.name}: {error}") from error
        yield LabeledLine(line.pixels, line.slant, scan.text)


def load_scans(folders: Iterable[Path]) -> tuple[LineSet, LineSet | None]:
    """Return the lines of labeled folders: those to learn from, and those held out, if any.

    Raises:
        DatasetError: a folder's table or an image cannot be read, or there is nothing to learn.
    """
    training: list[LabeledLine] = []
    held_out: list[LabeledLine] = []
    for folder in folders:
        scans = list(read_scans(folder))
        lines = normalized(folder, track(scans, f"normalizing {folder}", transient=True))
        for scan, line in zip(scans, lines, strict=True):
            (held_out if scan.held_out else training).append(line)
    if not training:
        raise DatasetError("the folders have no strip to learn from")
    return LineSet.of(training), LineSet.of(held_out) if held_out else None
