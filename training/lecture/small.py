"""Digits as small as the papers': 16×16, cut to their ink and scaled to fill the square."""

import cv2
import numpy as np
import numpy.typing as npt

from service.recognition.normalize import INK
from training.data.digits import DigitSet

SIDE = 16
BITMAP = 13  # columns of the 1989 report's bitmaps, which took four places in a square

Small = npt.NDArray[np.float32]  # (digits, 16, 16), -1 (paper) to 1 (ink)


def fill(images: npt.NDArray[np.uint8], width: int = SIDE) -> Small:
    """Scale digits, keeping their proportions, to fill 16 rows or `width` columns.

    That is how the zip codes were normalized (LeCun et al. 1989, section 2.2).

    Args:
        images: (digits, height, width) uint8, ink bright on 0.
        width: columns of the result.

    Returns:
        (digits, 16, width), -1 (paper) to 1 (ink).
    """
    filled = np.full((len(images), SIDE, width), -1, np.float32)
    for image, square in zip(images, filled, strict=True):
        rows, columns = np.nonzero(image >= INK)
        if not rows.size:
            continue
        cut = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        scale = min(SIDE / cut.shape[0], width / cut.shape[1])
        size = [max(round(length * scale), 1) for length in cut.shape]
        scaled = cv2.resize(cut, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        top, left = (SIDE - size[0]) // 2, (width - size[1]) // 2
        square[top : top + size[0], left : left + size[1]] = scaled / 127.5 - 1
    return filled


def draw_classes(digits: DigitSet, each: int, rng: np.random.Generator) -> DigitSet:
    """Return `each` digits of every class, drawn without replacement, class after class."""
    chosen = [
        rng.choice(np.flatnonzero(digits.labels == label), each, replace=False)
        for label in range(10)
    ]
    return digits.where(np.concatenate(chosen))


def many_hands(
    training: DigitSet, test: DigitSet, rng: np.random.Generator
) -> tuple[Small, npt.NDArray[np.uint8], Small, npt.NDArray[np.uint8]]:
    """Return 320 training and 160 test digits, no two the same drawing.

    Returns:
        training images, their labels, test images, their labels.
    """
    learned, tested = draw_classes(training, 32, rng), draw_classes(test, 16, rng)
    return fill(learned.images), learned.labels, fill(tested.images), tested.labels


def four_places(
    digits: DigitSet, rng: np.random.Generator
) -> tuple[Small, npt.NDArray[np.uint8], Small, npt.NDArray[np.uint8]]:
    """Return 320 training and 160 test digits as the 1989 report made them.

    Twelve drawings of each class, 16×13 pixels of ink or paper, each put in four consecutive
    horizontal places of a 16×16 square; of a class's 48, 32 drawn at random are learned from. So
    nearly every drawing that is tested was learned from in another place.

    Returns:
        training images, their labels, test images, their labels.
    """
    drawn = draw_classes(digits, 12, rng)
    bitmaps = np.where(fill(drawn.images, BITMAP) > 0, 1, -1).astype(np.float32)
    places = SIDE - BITMAP + 1
    squares = np.full((len(drawn), places, SIDE, SIDE), -1, np.float32)
    for place in range(places):
        squares[:, place, :, place : place + BITMAP] = bitmaps
    squares = squares.reshape(10, -1, SIDE, SIDE)
    order = rng.permuted(np.tile(np.arange(squares.shape[1]), (10, 1)), axis=1)
    shuffled = np.take_along_axis(squares, order[:, :, None, None], axis=1)
    labels = np.repeat(np.arange(10, dtype=np.uint8), [32])
    rest = np.repeat(np.arange(10, dtype=np.uint8), [16])
    return (
        shuffled[:, :32].reshape(-1, SIDE, SIDE),
        labels,
        shuffled[:, 32:].reshape(-1, SIDE, SIDE),
        rest,
    )
