"""A field of a page: moved into place by its print, cut out, and freed of that print.

What is erased may have been written on. So a crop says where pen ink may lie on print.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from service.forms.page_print import LEAST_DARK, darkness, thin_print
from service.forms.places import Box, Points, Warp
from service.forms.template import Form, FormField
from service.imaging.page import Gray

Mask = npt.NDArray[np.uint8]  # (height, width), 0 or 1

SCALES = (5.0, 12.0)  # pixels a mm of a crop, at least and at most: 127 to 305 an inch
AROUND_MM = 0.5  # beyond a box that a crop shows, where print is subtracted
MARGIN_MM = 2.5  # around a box in which its print is looked for
SLACK_MM = 0.15  # beyond print that is erased with it
BESIDE_MM = 0.25  # beyond that, where pen ink shows that it was written along print
LEAST_MATCH = 0.5  # correlation of a box's print with the page's
BETTER = 0.04  # correlation that a move must win
WINDOW = 0.45  # side of the window in which ink on print is judged, in heights of the box
WIDER = 1.6  # ink on print against what is printed there
BESIDE = 0.4  # share of the edges of print that pen ink lies along


@dataclass(frozen=True, eq=False)
class Crop:
    """What is read of a field."""

    gray: Gray  # (height, width)
    polygon: Points  # (4, 2) of the field's box in the page's pixels, clockwise from its top left
    on_print: bool  # whether it may be written along what is printed, and was erased with that


def crop(gray: Gray, form: Form, field: FormField, warp: Warp) -> Crop:
    """Cut a field out of a page.

    Args:
        gray: (height, width) of the page.
        form: that it is.
        field: of the form.
        warp: from the form to the page.
    """
    scale = float(np.clip(warp.pixels_per_mm(field.box), *SCALES))
    if form.reference is None:
        return Crop(warp.cut(gray, field.box, scale), warp.source(field.box.corners), False)
    to_reference = reference_warp(form)
    move = _move(gray, form, field, warp, scale)
    around = field.box.grown(AROUND_MM)
    there = warp.cut(gray, around.moved(move), scale)
    blank = to_reference.cut(form.reference, around, scale)
    printed = thin_print(blank, scale)
    freed, on_print = _without(there, printed, scale, field.box)
    return Crop(freed, warp.source(field.box.moved(move).corners), on_print)


def reference_warp(form: Form) -> Warp:
    """Return where a form lies in its reference."""
    assert form.reference is not None
    height, width = form.reference.shape
    return Warp(np.diag([width / form.width, height / form.height, 1.0]), (form.width, form.height))


def _move(
    gray: Gray, form: Form, field: FormField, warp: Warp, scale: float
) -> tuple[float, float]:
    """Return by how many mm the print around a box is off, at most `search`."""
    assert form.reference is not None
    if not field.search:
        return 0.0, 0.0
    around = field.box.grown(MARGIN_MM)
    wanted = reference_warp(form).cut(form.reference, around, scale)
    if wanted.std() < 5:
        return 0.0, 0.0
    reach = max(round(field.search * scale), 1)
    there = warp.cut(gray, around.grown(reach / scale), scale)
    there, wanted = (
        np.asarray(cv2.GaussianBlur(each, (0, 0), 0.12 * scale), np.uint8)
        for each in (there, wanted)
    )
    scores = np.nan_to_num(cv2.matchTemplate(there, wanted, cv2.TM_CCOEFF_NORMED))
    middle = (np.array(scores.shape) - 1) // 2
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    if scores[row, column] < max(LEAST_MATCH, float(scores[tuple(middle)]) + BETTER):
        return 0.0, 0.0
    moved = (np.array([column, row]) - middle[::-1]) / scale
    return float(moved[0]), float(moved[1])


def _without(there: Gray, printed: Mask, scale: float, box: Box) -> tuple[Gray, bool]:
    """Erase print; strokes that cross it are continued.

    Returns:
        The crop, and whether pen ink may lie along the print.
    """
    if not printed.any():
        return there, False
    slack, beside = (max(round(each * scale), 1) for each in (SLACK_MM, BESIDE_MM))
    mask = cv2.dilate(printed, np.ones((2 * slack + 1,) * 2, np.uint8))
    dark = darkness(there, scale)
    level = max(float(np.median(dark[printed > 0])) / 2, LEAST_DARK)
    ink = (dark > level).astype(np.float32)
    edge = cv2.dilate(mask, np.ones((2 * beside + 1,) * 2, np.uint8)) - mask
    side = max(round(WINDOW * box.height * scale), 3)

    def summed(values: npt.NDArray[np.floating] | Mask) -> npt.NDArray[np.float32]:
        total = cv2.boxFilter(
            np.asarray(values, np.float32),
            -1,
            (side, side),
            None,
            (-1, -1),
            False,
            cv2.BORDER_CONSTANT,
        )
        return np.asarray(total, np.float32)

    # Where a stroke follows a line, it is wider than what is printed, or goes beside it.
    long = (summed(printed) >= 0.5 * side) & (printed > 0)
    wider = summed(ink * mask) > WIDER * summed(printed)
    along = summed(ink * edge) > BESIDE * np.maximum(summed(edge), 1)
    freed = cv2.inpaint(there, mask, 3, cv2.INPAINT_TELEA)
    return np.asarray(freed, np.uint8), bool((long & (wider | along)).any())
