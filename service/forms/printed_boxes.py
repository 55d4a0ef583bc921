"""Boxes and combs that are printed on a blank form: rectangles of paper within printed frames."""

from collections.abc import Iterator

import cv2
import numpy as np

from service.errors import InputError
from service.forms.drafts import DraftField
from service.forms.page_print import LEAST_DARK, darkness
from service.forms.places import Box
from service.imaging.page import Gray

WORK_SCALE = 8.0  # pixels a mm at which boxes are looked for, at most
FULL = 0.9  # share of its upright rectangle that a box fills
HIGH = (4.0, 25.0)  # mm of a box, at least and at most
NARROWEST = 2.5  # mm of a cell
WIDE = 1.5  # shape of a box that stands alone, at least: another is for a tick
CELL = 1.4  # shape of a cell, at most: another is a box that touches its neighbor
APART = 3.0  # mm between cells of a comb
ALIKE = 0.12  # share by which cells of a comb differ in width
LEVEL = 0.7  # mm by which cells of a comb differ in place and height


def printed_fields(gray: Gray, scale: float) -> list[DraftField]:
    """Find boxes and combs, in rows from the top, named field1, field2 and so on.

    Args:
        gray: (height, width) of the blank form, which lies straight.
        scale: pixels a mm.

    Raises:
        InputError: there is none.
    """
    found = list(_combs(_rectangles(gray, scale)))
    if not found:
        raise InputError(
            "no printed box was found; expected closed frames, at least "
            f"{HIGH[0]:g} mm high, on a straight scan at the right --dpi"
        )
    fields = []
    for row in _rows([box for box, _ in found]):
        fields += sorted((each for each in found if each[0] in row), key=lambda each: each[0].left)
    return [
        DraftField(f"field{number}", box, cells if cells > 1 else None)
        for number, (box, cells) in enumerate(fields, 1)
    ]


def _rectangles(gray: Gray, scale: float) -> list[Box]:
    """Return rectangles of paper that are closed in by print."""
    ratio = min(WORK_SCALE / scale, 1.0)
    if ratio < 1:
        sides = max(round(gray.shape[1] * ratio), 1), max(round(gray.shape[0] * ratio), 1)
        gray = np.asarray(cv2.resize(gray, sides, interpolation=cv2.INTER_AREA), np.uint8)
        scale *= ratio
    printed = np.asarray(darkness(gray, scale) > LEAST_DARK, np.uint8)
    # Frames of dots, and of lines that a copier broke.
    printed = np.asarray(cv2.morphologyEx(printed, cv2.MORPH_CLOSE, np.ones((3, 3))), np.uint8)
    contours, tree = cv2.findContours(printed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour, (_, _, _, outer) in zip(contours, () if tree is None else tree[0], strict=True):
        if outer < 0:  # an outline of print, not of the paper in it
            continue
        left, top, width, height = cv2.boundingRect(contour)
        if not HIGH[0] <= height / scale <= HIGH[1] or width / scale < NARROWEST:
            continue
        if cv2.contourArea(contour) >= FULL * width * height:
            # A hole's contour runs on the print around it.
            inner = (left + 1, top + 1, width - 2, height - 2)
            boxes.append(Box(*(side / scale for side in inner)))
    return boxes


def _combs(boxes: list[Box]) -> Iterator[tuple[Box, int]]:
    """Yield boxes, and combs of cells side by side, with the number of cells."""
    for row in _rows(boxes):
        cells: list[Box] = []
        for box in [*sorted(row, key=lambda each: each.left), None]:
            if cells and not (box and _continues(cells, box)):
                first, last = cells[0], cells[-1]
                whole = Box(first.left, first.top, last.right - first.left, first.height)
                if len(cells) > 1 or whole.width >= WIDE * whole.height:
                    yield whole, len(cells)
                cells = []
            if box:
                cells.append(box)


def _continues(cells: list[Box], box: Box) -> bool:
    """Whether a box is the next cell of a comb."""
    first, last = cells[0], cells[-1]
    apart = last.right, box.left
    return (
        max(first.width, box.width) <= CELL * first.height
        and abs(box.width - first.width) <= ALIKE * first.width
        and max(abs(box.top - last.top), abs(box.height - last.height)) <= LEVEL
        and apart[1] - apart[0] <= min(APART, first.width)
    )


def _rows(boxes: list[Box]) -> Iterator[list[Box]]:
    """Yield boxes that lie side by side, from the top."""
    row: list[Box] = []
    for box in sorted(boxes, key=lambda each: each.top):
        if row and box.top > row[0].top + row[0].height / 2:
            yield row
            row = []
        row.append(box)
    if row:
        yield row
