"""What can happen to a digit on its way to the scanner, one thing at a time and by an amount."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.config import Config
from training.pages.augment import CENTERED, warp

Page = npt.NDArray[np.uint8]  # (32, width), ink bright on 0
Draw = np.random.Generator


@dataclass(frozen=True)
class Change:
    """A change, the amounts that it is tried at, and the amount that leaves a page as it is."""

    name: str
    unit: str
    amounts: tuple[float, ...]
    nothing: float
    apply: Callable[[Page, float, Draw], Page]
    learned: tuple[float, float]  # amounts that the network's first stage learned from


def slide(page: Page, pixels: float, _: Draw) -> Page:
    """Move the ink sideways."""
    return warp(page, np.array([[1, 0, pixels], [0, 1, 0], [0, 0, 1]]))


def shrink(page: Page, factor: float, _: Draw) -> Page:
    """Scale both ways, round the middle."""
    return warp(page, np.diag([factor, factor, 1]))


def squeeze(page: Page, factor: float, _: Draw) -> Page:
    """Scale across, round the middle."""
    return warp(page, np.diag([factor, 1, 1]))


def slant(page: Page, tangent: float, _: Draw) -> Page:
    """Lean the strokes, to the right if positive."""
    return warp(page, np.array([[1, -tangent, 0], [0, 1, 0], [0, 0, 1]]))


def thicken(page: Page, pixels: float, _: Draw) -> Page:
    """Dilate the strokes on every side, or erode them if negative; fractions are blended."""
    change = cv2.dilate if pixels > 0 else cv2.erode
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    whole = math.floor(abs(pixels))
    before = change(page, kernel, iterations=whole) if whole else page
    after = change(before, kernel)
    share = abs(pixels) - whole
    return np.asarray(cv2.addWeighted(before, 1 - share, after, share, 0), np.uint8)


def drown(page: Page, deviation: float, rng: Draw) -> Page:
    """Add Gaussian noise of a deviation in gray levels of 255."""
    noisy = page + rng.normal(0, deviation, page.shape) if deviation else page
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    return tuple(float(round(each, 6)) for each in np.arange(first, last + step / 2, step))


KNOBS = Config()
CHANGES = (
    Change("slide", "pixels to the right", _steps(-12, 12, 1), 0, slide, (-CENTERED, CENTERED)),
    Change(
        "shrink", "factor", _steps(0.4, 1.6, 0.1), 1, shrink, (1 - KNOBS.scale, 1 + KNOBS.scale)
    ),
    Change(
        "squeeze",
        "factor across",
        _steps(0.3, 1.9, 0.1),
        1,
        squeeze,
        (1 - KNOBS.stretch, 1 + KNOBS.stretch),
    ),
    Change("slant", "tangent", _steps(-1, 1, 0.125), 0, slant, (-KNOBS.slant, KNOBS.slant)),
    Change(
        "thicken",
        "pixels on each side",
        _steps(-1, 4, 0.5),
        0,
        thicken,
        (-KNOBS.stroke / 2, KNOBS.stroke),
    ),
    Change("drown", "noise, gray levels", _steps(0, 160, 16), 0, drown, (0, 0)),
)
