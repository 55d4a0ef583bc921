"""Lines, level or upright: where they lie, where they meet, and how they are drawn."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

# Lengths are shares of the page's height, or pixels where those are more, unless it is said of
# what. They were chosen on made cells, with an eye on the cheques and logbooks of MODEL_CARD.md.
BREAK, BREAK_PIXELS = 1 / 12, 6  # that may be missing of a line in one place
FIRM = 0.93  # share of ink in a line that has hardly a break
LONG = 1.5  # of one that is no bar of a digit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer]
Image = cv2.typing.MatLike  # (rows, columns) uint8, 1 where something is


@dataclass(frozen=True)
class Lines:
    """Lines, an entry each. Upright ones are those of the turned page: their rows are columns."""

    start: Floats  # first column
    stop: Floats  # last column
    far_start: Floats  # the same, strokes that cross the line's end counted in
    far_stop: Floats
    row: Floats  # at column 0
    slope: Floats  # rows a column
    thick: Floats  # rows
    firm: Floats  # 1 if it is of even thickness, or has hardly a break, else 0
    alone: Floats  # share of its length in which nothing touches it

    def __getitem__(self, chosen: Bools) -> Self:
        return type(self)(*(each[chosen] for each in vars(self).values()))

    def __len__(self) -> int:
        return len(self.row)

    def __add__(self, others: Self) -> Self:
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return type(self)(*(np.concatenate(pair) for pair in pairs))

    @property
    def length(self) -> Floats:
        """Columns."""
        return self.stop - self.start + 1

    def at(self, column: Floats) -> Floats:
        """Return the row at a column."""
        return self.row + self.slope * column

    def moved(self, columns: int) -> Self:
        """Return the same lines, further to the right."""
        return type(self)(
            self.start + columns,
            self.stop + columns,
            self.far_start + columns,
            self.far_stop + columns,
            self.row - self.slope * columns,
            self.slope,
            self.thick,
            self.firm,
            self.alone,
        )


NONE = Lines(*np.zeros((9, 0)))


def crossings(lines: Lines, others: Lines) -> tuple[Floats, Floats]:
    """Return the columns of lines, and of the others, where they meet: each (lines, others)."""
    row, slope = lines.row[:, None], lines.slope[:, None]
    column = (others.row + others.slope * row) / (1 - others.slope * slope)
    return np.asarray(column), np.asarray(row + slope * column)


def draw(shape: tuple[int, ...], lines: Lines, longer: int) -> Image:
    """Draw lines where they lie, a little thicker than they are, and longer by some columns."""
    drawn: Image = np.zeros(shape, np.uint8)
    first, last = lines.start - longer, lines.stop + longer
    points = np.rint(16 * np.stack([first, lines.at(first), last, lines.at(last)], axis=-1))
    rows = np.ceil(lines.thick).astype(int) + 1
    for (x0, y0, x1, y1), thick in zip(points.astype(int).tolist(), rows.tolist(), strict=True):
        cv2.line(drawn, (x0, y0), (x1, y1), (1,), thick, cv2.LINE_8, 4)
    return drawn


def bordered(operation: int, ink: Image, rows: int, columns: int) -> Image:
    """Erode or open by a rectangle; there is no ink outside the image."""
    kernel = np.ones((rows, columns), np.uint8)
    return cv2.morphologyEx(
        ink, operation, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0)
    )
