"""A picture of a reading: the image, the digits where they were found, and all scores below."""

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from service.imaging.page import Gray
from service.pb import recognizer_pb2 as pb

IMAGE_HEIGHT = 132  # pixels of the picture, as everything below
TALLEST_IMAGE = 660  # of a page on which digits are small
PITCH = 28  # from digit to digit, at least, so that no label covers the next
PANEL_WIDTH = 1500  # a longer image goes on in the next panel
GUTTER = 74  # left of the image: the labels
EDGE = 26
LANE = 64  # between image and scores: the digits that were found
CELL = 17  # height of a label's row of scores
HEADER = 74

NIGHT, PANEL, INK, DIM = (16, 19, 26), (24, 29, 39), (236, 240, 246), (122, 133, 152)
SURE, UNSURE = (94, 226, 190), (255, 158, 94)

Picture = npt.NDArray[np.uint8]  # (height, width, 3), RGB


def draw(gray: Gray, response: pb.RecognizeResponse) -> Image.Image:
    """Draw a reading.

    Every position's scores stand under the pixel that its window is centered on, so what the
    network saw can be followed down from the ink.

    Args:
        gray: (height, width) the image that was read.
        response: what was read, with its score map.
    """
    height, width = gray.shape
    tall = image_height(height, response)
    zoom = tall / height
    edges = panel_edges(width, PANEL_WIDTH / zoom, response)
    shown = round(max(np.diff(edges)) * zoom)
    panel_height = tall + LANE + CELL * len(response.scores.labels) + 8 + EDGE
    picture = Image.new(
        "RGB", (max(GUTTER + shown + EDGE, 420), HEADER + panel_height * (len(edges) - 1)), NIGHT
    )
    _header(ImageDraw.Draw(picture), response, picture.width)
    for index, (start, stop) in enumerate(pairwise(edges)):
        panel = _panel(gray, response, start, stop, tall)
        picture.paste(panel, (GUTTER, HEADER + index * panel_height))
        _labels(ImageDraw.Draw(picture), response, HEADER + index * panel_height + tall)
    return picture


def panel_edges(width: int, span: float, response: pb.RecognizeResponse) -> list[float]:
    """Return where panels begin and end, in source pixels: between digits, and about as wide.

    Args:
        width: of the image.
        span: of a panel, at most.
        response: with the digits.
    """
    boxes = [digit.extent for digit in response.digits]
    gaps = np.array([(before.right + after.left) / 2 for before, after in pairwise(boxes)])
    count = max(int(np.ceil(width / span)), 1)
    edges = [0.0]
    for index in range(1, count):
        # What is left must fit into the panels that are left.
        low, high = width - (count - index) * span, edges[-1] + span
        ideal = float(np.clip(width * index / count, low, high))
        near = gaps[(gaps >= low) & (gaps <= high) & (gaps > edges[-1])]
        edges.append(float(near[np.abs(near - ideal).argmin()]) if near.size else ideal)
    return [*edges, float(width)]


def image_height(height: int, response: pb.RecognizeResponse) -> int:
    """Return the height that a page is shown in: usually the same, more where digits are small."""
    places = [digit.position * response.scores.centers.step_x for digit in response.digits]
    pitch = min(np.diff(places), default=0.0)
    needed = round(PITCH * height / pitch) if pitch > 0 else 0
    return min(max(IMAGE_HEIGHT, needed), TALLEST_IMAGE)


def _header(canvas: ImageDraw.ImageDraw, response: pb.RecognizeResponse, width: int) -> None:
    text, large = response.text or "(no digits)", font(38)
    while canvas.textlength(text, large) > width - GUTTER - 150 and len(text) > 8:
        text = text[:-4] + "..."
    canvas.text((GUTTER, 16), text, INK, large)
    canvas.text(
        (width - EDGE, 28),
        f"{response.confidence:.1%}",
        _trust(response.confidence),
        font(22),
        "ra",
    )


def _panel(
    gray: Gray, response: pb.RecognizeResponse, start: float, stop: float, tall: int
) -> Image.Image:
    """Draw the part of the image from column `start` to `stop`, and what belongs under it."""
    zoom = tall / len(gray)
    scores = response.scores
    labels = list(scores.labels)
    width = max(round((stop - start) * zoom), 1)
    panel = Image.new("RGB", (width, tall + LANE + CELL * len(labels) + 8), PANEL)
    panel.paste(_zoomed(gray, start, stop, (width, tall)), (0, 0))
    heat_top = tall + LANE
    panel.paste(heat(response, start, zoom, width), (0, heat_top))
    canvas = ImageDraw.Draw(panel)

    def place(position: float) -> float:
        """Return the panel's column of a position."""
        return (scores.centers.origin_x + position * scores.centers.step_x - start) * zoom

    for digit in response.digits:
        left, right = ((edge - start) * zoom for edge in (digit.extent.left, digit.extent.right))
        if right < 0 or left > width:
            continue
        color = _trust(digit.confidence)
        bracket = tall + 5
        canvas.line([(left + 1, bracket), (right - 1, bracket)], color, 3)
        at = place(digit.position)
        # A digit at a panel's edge is in two of them, its label in one.
        beside = (at < 0 and start > 0) or (at >= width and stop < gray.shape[1])
        middle = min(max(at, 16), max(width - 16, 16))
        if not beside:
            canvas.text((middle, bracket + 24), digit.label, color, font(32), "mm")
        if not beside and digit.confidence < 0.995:  # what is sure needs no figure
            canvas.text((middle, bracket + 48), f"{digit.confidence:.0%}", DIM, font(12), "mm")
        row = heat_top + row_of(labels.index(digit.label), labels)
        cells = [place(digit.first_position - 0.5), row - 1]
        cells += [place(digit.last_position + 0.5), row + CELL - 1]
        canvas.rectangle(cells, None, color, 1)
    return panel


def _zoomed(gray: Gray, start: float, stop: float, size: tuple[int, int]) -> Image.Image:
    part = gray[:, int(start) : max(int(np.ceil(stop)), int(start) + 1)]
    kind = cv2.INTER_AREA if len(gray) > size[1] else cv2.INTER_CUBIC
    sized = cv2.resize(part, size, interpolation=kind)
    return Image.fromarray(np.asarray(sized, np.uint8)).convert("RGB")


def heat(response: pb.RecognizeResponse, start: float, zoom: float, width: int) -> Image.Image:
    """Color every label's probability at every position, `none` apart and paler."""
    scores = response.scores
    labels = list(scores.labels)
    shape = (scores.rows, scores.positions, len(labels))
    chances = np.exp(np.array(scores.log_probabilities, np.float32).reshape(shape)[0])
    # Column of the picture -> the position whose window is centered nearest.
    columns = start + (np.arange(width) + 0.5) / zoom
    nearest = np.rint((columns - scores.centers.origin_x) / scores.centers.step_x).astype(int)
    seen = (nearest >= 0) & (nearest < scores.positions)
    chosen = np.where(seen[:, None], chances[np.clip(nearest, 0, scores.positions - 1)], 0)
    picture = np.full((CELL * len(labels) + 8, width, 3), PANEL, np.uint8)
    for index, label in enumerate(labels):
        levels = (255 * np.sqrt(chosen[:, index])).astype(np.uint8)  # faint chances show as well
        colors = cv2.applyColorMap(levels[None], cv2.COLORMAP_MAGMA)[0, :, ::-1]
        if label == "none":
            colors = _mix(PANEL, (96, 110, 138), chosen[:, index])
        top = row_of(index, labels)
        picture[top : top + CELL - 1] = np.maximum(colors, np.array(PANEL, np.uint8))
    return Image.fromarray(picture)


def _labels(canvas: ImageDraw.ImageDraw, response: pb.RecognizeResponse, top: int) -> None:
    labels = list(response.scores.labels)
    for index, label in enumerate(labels):
        y = top + LANE + row_of(index, labels) + CELL / 2 - 1
        found = label in {digit.label for digit in response.digits}
        canvas.text((GUTTER - 12, y), label, INK if found else DIM, font(14), "rm")


def row_of(index: int, labels: list[str]) -> int:
    """Return the top of a label's row; the last one, `none`, stands a little apart."""
    return index * CELL + (8 if index == len(labels) - 1 else 0)


def _mix(
    low: tuple[int, int, int], high: tuple[int, int, int], share: npt.NDArray[np.float32]
) -> Picture:
    mixed = np.array(low) + share[:, None] * (np.array(high) - np.array(low))
    return np.asarray(mixed, np.uint8)


def _trust(confidence: float) -> tuple[int, int, int]:
    red, green, blue = _mix(UNSURE, SURE, np.array([confidence], np.float32))[0].tolist()
    return red, green, blue


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of a height in pixels."""
    return ImageFont.load_default(size)
