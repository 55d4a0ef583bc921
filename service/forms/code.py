"""The QR code of a form, read where the form has it: on a whole page, few are found."""

import cv2

from service.forms.places import Box, Warp
from service.imaging.page import Gray

QUIET_MM = 3.0  # of paper around a code that the detector wants
SCALE = 16.0  # pixels a mm: four a module of a small code


def read_code(gray: Gray, box: Box, warp: Warp) -> str:
    """Return the text of the QR code at a box of a page; empty if none is read there.

    Args:
        gray: (height, width) of the page.
        box: of the form, mm.
        warp: from the form to the page.
    """
    there = warp.cut(gray, box.grown(QUIET_MM), SCALE)
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(there)
    return str(text)
