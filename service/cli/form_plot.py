"""A picture of a page as a form: each field's box where it was found, and what was read in it."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from service.cli.score_plot import font
from service.forms.places import Points
from service.forms.reading import FieldStatus, PageReading
from service.forms.register import Registration, Status
from service.forms.template import Form
from service.imaging.page import Gray
from service.recognition.recognizer import Decision

LONGEST = 1600  # pixels of the picture's longer side
ACCEPTED, REVIEWED, UNDECIDED, WRONG = (22, 140, 90), (214, 110, 20), (40, 96, 190), (200, 30, 40)


class Frame(NamedTuple):
    """A box to draw."""

    polygon: Points  # (4, 2) pixels of the page, clockwise from the top left corner
    label: str
    color: tuple[int, int, int]


def draw_reading(gray: Gray, reading: PageReading) -> Image.Image:
    """Draw a page that was read, its fields colored by their decisions."""
    frames = []
    for each in reading.fields:
        if each.polygon is None:
            continue
        if each.status is FieldStatus.MISREGISTERED:
            frames.append(Frame(each.polygon, each.status.value, WRONG))
            continue
        color = {Decision.ACCEPT: ACCEPTED, Decision.REVIEW: REVIEWED, None: UNDECIDED}
        frames.append(Frame(each.polygon, each.text or "(blank)", color[each.decision]))
    return _draw(gray, frames, reading.registration)


def draw_registration(gray: Gray, form: Form, registration: Registration) -> Image.Image:
    """Draw the boxes of a form on a page, with their names."""
    frames = []
    if registration.warp is not None:
        for each in form.fields:
            polygon = registration.warp.source(each.box.corners)
            color = UNDECIDED if registration.trusts(each.name) else WRONG
            frames.append(Frame(polygon, each.name, color))
    return _draw(gray, frames, registration)


def summary(registration: Registration) -> str:
    """Say in a line how well a page is registered."""
    words = [registration.status.value]
    if registration.residual is not None:
        words.append(f"{registration.residual:.2f} mm off")
    if registration.inliers is not None:
        words.append(f"{registration.inliers:.0%} in place")
    return ", ".join(words)


def _draw(gray: Gray, frames: Iterable[Frame], registration: Registration) -> Image.Image:
    height, width = gray.shape
    ratio = min(LONGEST / max(height, width), 1.0)
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    sized = cv2.resize(gray, size, interpolation=cv2.INTER_AREA) if ratio < 1 else gray
    # Paler, so that the colors stand out.
    picture = Image.fromarray(np.asarray(96 + 0.62 * sized, np.uint8)).convert("RGB")
    canvas = ImageDraw.Draw(picture)
    letters = font(max(max(size) // 60, 12))
    for polygon, label, color in frames:
        corners = [tuple(each) for each in (polygon * ratio).tolist()]
        canvas.line([*corners, corners[0]], color, 3, joint="curve")
        # Below, where forms seldom have the label of the field.
        x, y = max(corners, key=sum)
        canvas.text((x, y + 4), label, color, letters, "rt", stroke_width=2, stroke_fill="white")
    good = registration.status is Status.REGISTERED
    canvas.text(
        (8, 6),
        summary(registration),
        UNDECIDED if good else WRONG,
        letters,
        stroke_width=3,
        stroke_fill="white",
    )
    return picture
