"""Digits of other hands than MNIST's, re-boxed as MNIST's are: `.npz` files of `x` and `y`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.data.digits import DigitSet, split
from training.errors import DatasetError
from training.networks import RECEPTIVE_FIELD
from training.pages.augment import Image
from training.pages.stroke_effects import ink, trace

BOX = 20  # pixels, the larger side of a digit: LeCun et al. 1998, section III.A
INK = 60  # gray level from which a pixel counts as ink
THIN = 55  # pixels of ink, below which a digit's strokes are redrawn
REDRAWN = 0.4  # share of the others whose strokes are redrawn too, all with pens of MNIST's widths
PENS = (2.0, 3.2)  # pixels
BLOCK = 0.72  # share of ink above which a 1, stretched to a square, has been a plain stroke


@dataclass(frozen=True)
class HandSource:
    """A file of digits: how it shows them, and its share of the digits of other hands."""

    name: str  # of the file, without `.npz`
    share: float
    dark_ink: bool = False
    stretched: bool = False  # each digit to the whole square, so that its width is lost
    pencil: bool = False  # faint, on gray paper
    license: str = ""


# Shares go by how many writers there are rather than by how many digits.
SOURCES = (
    HandSource("bhmsds", 0.4, dark_ink=True, license="W. Błachowski's BHMSDS, MIT license"),
    HandSource(
        "optdigits_tra", 0.12, stretched=True, license="E. Alpaydin and C. Kaynak, UCI, CC BY 4.0"
    ),
    HandSource(
        "optdigits_windep", 0.1, stretched=True, license="E. Alpaydin and C. Kaynak, UCI, CC BY 4.0"
    ),
    HandSource("semeion", 0.18, stretched=True, license="Semeion Research Center, UCI, CC BY 4.0"),
    HandSource(
        "nsysu", 0.2, dark_ink=True, pencil=True, license="NSYSU-digits, ODbL with DbCL contents"
    ),
)


@dataclass(frozen=True)
class Hands:
    """The digits of a folder of other hands."""

    training: tuple[tuple[HandSource, DigitSet], ...]
    held_out: DigitSet
    names: tuple[str, ...]

    def beside(self, mnist: DigitSet, seed: int) -> DigitSet:
        """Return MNIST's digits and about as many others, by the sources' shares, classes even."""
        rng = np.random.default_rng([seed, 3])
        total = sum(source.share for source, _ in self.training)
        parts = [mnist]
        for source, digits in self.training:
            each = round(len(mnist) * source.share / total / 10)
            classes = [np.flatnonzero(digits.labels == label) for label in range(10)]
            chosen = [rng.choice(those, each) for those in classes if len(those)]
            parts.append(digits.where(np.concatenate(chosen)))
        return joined(parts)


def load_hands(folder: Path, seed: int = 0) -> Hands:
    """Read, re-box and part all known files of a folder; a digit's pixels decide its side.

    Args:
        folder: with at least one of the files of `SOURCES`.
        seed: decides which strokes are redrawn, and how wide.

    Raises:
        DatasetError: the folder has none of the files, or one is damaged.
    """
    known = [each for each in SOURCES if (folder / f"{each.name}.npz").is_file()]
    if not known:
        expected = ", ".join(f"{each.name}.npz" for each in SOURCES)
        raise DatasetError(f"{folder}: expected one of {expected}, found none")
    training, held_out = [], []
    for number, source in enumerate(known):
        rng = np.random.default_rng([seed, number])
        learned, kept = split(read_hand(folder / f"{source.name}.npz", source, rng))
        training.append((source, learned))
        held_out.append(kept)
    return Hands(tuple(training), joined(held_out), tuple(each.name for each in known))


def joined(sets: Iterable[DigitSet]) -> DigitSet:
    """Return the digits of several sets in one."""
    parts = list(sets)
    return DigitSet(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def read_hand(path: Path, source: HandSource, rng: np.random.Generator) -> DigitSet:
    """Return the digits of one file, in MNIST's box.

    Raises:
        DatasetError: the file is no archive of `x`, (digits, height, width) uint8, and `y`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, labels = archive["x"], archive["y"]
    except Exception as error:  # numpy raises almost anything for a damaged archive
        raise DatasetError(f"{path}: expected an archive of x and y, found {error}") from error
    if images.ndim != 3 or labels.shape != images.shape[:1] or images.dtype != np.uint8:
        raise DatasetError(
            f"{path}: expected x of (digits, height, width) uint8 and y of (digits,), found "
            f"{images.dtype} {images.shape} and {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() <= 9:
        raise DatasetError(
            f"{path}: expected labels of 0 to 9, found {labels.min()} to {labels.max()}"
        )
    kept, kept_labels = [], []
    for image, label in zip(images, labels.astype(int).tolist(), strict=True):
        digit = hand_digit(image, label, source, rng)
        if digit is not None:
            kept.append(digit)
            kept_labels.append(label)
    if not kept:
        raise DatasetError(f"{path}: expected digits, found no ink")
    return DigitSet(np.stack(kept), np.array(kept_labels, np.uint8))


def hand_digit(
    image: Image, label: int, source: HandSource, rng: np.random.Generator
) -> Image | None:
    """Return a digit as MNIST would show it, (32, 32) ink bright on 0; None if it shows nothing."""
    bright = 255 - image if source.dark_ink else image
    bright = cleaned(bright) if source.pencil else bright
    aspect = None
    if source.stretched:
        columns = np.flatnonzero((bright > INK).any(axis=0))
        if not columns.size:
            return None
        full = (bright[:, columns[0] : columns[-1] + 1] > INK).mean()
        if label == 1:
            aspect = rng.uniform(0.12, 0.22) if full > BLOCK else rng.uniform(0.35, 0.6)
        else:
            aspect = rng.uniform(0.55, 0.85)
    digit = boxed(bright, aspect)
    if digit is None:
        return None
    thin = np.count_nonzero(digit > 128) < THIN
    if thin or rng.random() < REDRAWN:
        drawn = redrawn(digit, label, rng.uniform(*PENS))
        if drawn is not None:
            return drawn
    return np.asarray(cv2.dilate(digit, np.ones((2, 2), np.uint8)), np.uint8) if thin else digit


def cleaned(bright: Image) -> Image:
    """Take the paper away, stretch faint strokes to white, and drop specks."""
    above = np.clip(bright.astype(np.float32) - float(np.median(bright)) - 8, 0, None)
    full = max(float(np.quantile(above, 0.985)), 20)
    gray = np.clip(above * (255 / full), 0, 255).astype(np.uint8)
    count, owners, stats, _ = cv2.connectedComponentsWithStats(
        (gray > INK).astype(np.uint8), connectivity=8
    )
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count == 1:
        return np.zeros_like(gray)
    strokes = 1 + np.flatnonzero(areas >= max(6, 0.08 * areas.max()))
    mask = cv2.dilate(np.isin(owners, strokes).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(mask > 0, gray, 0).astype(np.uint8)


def boxed(bright: Image, aspect: float | None = None) -> Image | None:
    """Scale a digit into MNIST's 20×20 box and set its center of mass in the window's middle.

    Args:
        bright: (height, width), ink bright on 0.
        aspect: the width to give it, of its height; None leaves it as it is.

    Returns:
        (32, 32) uint8; None without ink.
    """
    rows, columns = np.nonzero(bright > INK)
    if len(rows) < 4:
        return None
    digit = bright[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    height, width = digit.shape if aspect is None else (BOX, BOX * aspect)
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # By way of four times the size and a blur: bitmaps' stairs are no strokes.
    large = cv2.resize(digit, (size[0] * 4, size[1] * 4), interpolation=cv2.INTER_LINEAR)
    smooth = cv2.GaussianBlur(large, (0, 0), 1.6)
    small = cv2.resize(smooth, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small *= 255 / max(float(small.max()), 1)
    y, x = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
    mass = max(float(small.sum()), 1)
    middle = RECEPTIVE_FIELD / 2
    move = np.array(
        [[1, 0, middle - (small * x).sum() / mass], [0, 1, middle - (small * y).sum() / mass]]
    )
    window = (RECEPTIVE_FIELD, RECEPTIVE_FIELD)
    return np.asarray(cv2.warpAffine(small, move, window, flags=cv2.INTER_LINEAR), np.uint8)


def redrawn(digit: Image, label: int, pen: float) -> Image | None:
    """Draw a digit's traced strokes with a pen of some pixels; None if they cannot be traced."""
    strokes = trace(digit[None], [label])[0]
    if not len(strokes):
        return None
    points = strokes.reshape(-1, 2)
    extent: npt.NDArray[np.float32] = points.max(axis=0) - points.min(axis=0)
    scaled = (strokes - points.min(axis=0)) * ((BOX - pen) / max(float(extent.max()), 1e-3))
    margin = np.float32((RECEPTIVE_FIELD - BOX) / 2)
    cover = ink([scaled.astype(np.float32) + margin], (RECEPTIVE_FIELD, RECEPTIVE_FIELD), pen)
    return boxed((cv2.GaussianBlur(cover, (0, 0), 0.5) * 255).astype(np.uint8))
