"""A picture of a page as a form: each field's box where it was found, and what was read in it."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from service.cli.score_plot import font
from service.forms.json_records import registration_word, status_word
from service.forms.places import Points
from service.forms.register import Registration
from service.forms.responses import to_registration
from service.forms.template import Form
from service.imaging.page import Gray
from service.pb import recognizer_pb2 as pb

LONGEST = 1600  # pixels of the picture's longer side
ACCEPTED, REVIEWED, UNDECIDED, WRONG = (22, 140, 90), (214, 110, 20), (40, 96, 190), (200, 30, 40)
COLORS = {
    pb.DECISION_ACCEPT: ACCEPTED,
    pb.DECISION_REVIEW: REVIEWED,
    pb.DECISION_UNSPECIFIED: UNDECIDED,
}


class Frame(NamedTuple):
    """A box to draw."""

    polygon: Points  # (4, 2) pixels of the page, clockwise from the top left corner
    label: str
    color: tuple[int, int, int]


def draw_reading(gray: Gray, response: pb.RecognizeFormResponse) -> Image.Image:
    """Draw a page that was read, its fields colored by their decisions."""
    frames = []
    for each in response.fields:
        if not each.polygon:
            continue
        polygon = np.array([(point.x, point.y) for point in each.polygon])
        if each.status == pb.FIELD_STATUS_MISREGISTERED:
            frames.append(Frame(polygon, status_word(each), WRONG))
        else:
            frames.append(Frame(polygon, each.reading.text or "(blank)", COLORS[each.decision]))
    return _draw(gray, frames, response.registration)


def draw_registration(gray: Gray, form: Form, found: Registration) -> Image.Image:
    """Draw the boxes of a form on a page, with their names."""
    frames = []
    if found.warp is not None:
        for each in form.fields:
            polygon = found.warp.source(each.box.corners)
            color = UNDECIDED if found.trusts(each.name) else WRONG
            frames.append(Frame(polygon, each.name, color))
    return _draw(gray, frames, to_registration(found))


def summary(registration: pb.Registration) -> str:
    """Say in a line how well a page is registered."""
    words = [registration_word(registration)]
    if registration.HasField("residual_mm"):
        words.append(f"{registration.residual_mm:.2f} mm off")
    if registration.HasField("inliers"):
        words.append(f"{registration.inliers:.0%} in place")
    return ", ".join(words)


def _draw(gray: Gray, frames: Iterable[Frame], registration: pb.Registration) -> Image.Image:
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
    good = registration.status == pb.REGISTRATION_STATUS_REGISTERED
    canvas.text(
        (8, 6),
        summary(registration),
        UNDECIDED if good else WRONG,
        letters,
        stroke_width=3,
        stroke_fill="white",
    )
    return picture
