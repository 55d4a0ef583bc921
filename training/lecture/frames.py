"""Frames of animations: pictures above each other, each unit under the pixels that it sees.

They look like the service's ribbon (`service/cli/score_plot.py`): ink bright on the night, scores in heat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE

ZOOM = 5  # pixels of the picture per pixel of the strip
GUTTER = 64  # left of everything: names
EDGE = 14
HEADER = 44
CELL = 13  # height of a label's row of scores
GAP = 12

NIGHT, INK, DIM = (16, 19, 26), (236, 240, 246), (122, 133, 152)
SURE, UNSURE = (94, 226, 190), (255, 158, 94)

Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Row:
    """A picture in a frame."""

    name: str
    values: Values  # (height, width), 0 (nothing) to 1
    stride: int = 1  # pixels of the strip from one unit to the next
    field: int = 1  # pixels that a unit sees
    heat: bool = False  # whether it is colored as scores are


def ribbon(
    strip: npt.NDArray[np.uint8], chances: Values, title: str, note: str = "", zoom: int = ZOOM
) -> Image.Image:
    """Draw a strip, what is read at each place, and the scores of all labels below.

    Args:
        strip: (32, width) uint8.
        chances: (positions, labels) probabilities.
        title: at the top, on the left.
        note: at the top, on the right.
        zoom: pixels of the picture per pixel of the strip.
    """
    height = HEADER + zoom * strip.shape[0] + 34 + CELL * len(LABELS) + 6 + EDGE
    picture, canvas = _empty(GUTTER + zoom * strip.shape[1] + EDGE, height)
    _head(canvas, title, note, picture.width)
    picture.paste(_ink(strip / 255, zoom), (GUTTER, HEADER))
    lane = HEADER + zoom * strip.shape[0] + 16
    for label, position, chance in found(chances):
        center = GUTTER + zoom * (position * STRIDE + RECEPTIVE_FIELD / 2)
        canvas.text((center, lane), LABELS[label], _trust(chance), _font(24), "mm")
    top = HEADER + zoom * strip.shape[0] + 34
    left = GUTTER + zoom * (RECEPTIVE_FIELD - STRIDE) // 2
    for label in range(len(LABELS)):
        row = top + label * CELL + (6 if label == NONE else 0)
        colors = _heat(chances[None, :, label])
        if label == NONE:
            colors = _mix((30, 36, 48), (112, 126, 152), chances[None, :, label])
        sized = cv2.resize(
            colors, (zoom * STRIDE * len(chances), CELL - 1), interpolation=cv2.INTER_NEAREST
        )
        picture.paste(Image.fromarray(np.asarray(sized, np.uint8)), (left, row))
        canvas.text((left - 10, row + CELL / 2 - 1), LABELS[label], DIM, _font(11), "rm")
    return picture


def found(chances: Values) -> list[tuple[int, float, float]]:
    """Return (label, position, probability) of each run of positions with one digit ahead."""
    best = chances.argmax(1)
    runs, start = [], 0
    for position in range(1, len(best) + 1):
        if position == len(best) or best[position] != best[start]:
            if best[start] != NONE:
                part = chances[start:position, best[start]]
                center = start + float((part * np.arange(len(part))).sum() / part.sum())
                runs.append((int(best[start]), center, float(part.max())))
            start = position
    return runs


def stack(rows: Sequence[Row], title: str = "", note: str = "", zoom: int = ZOOM) -> Image.Image:
    """Draw pictures above each other, every unit under the middle of what it sees."""
    heights = [zoom * row.stride * row.values.shape[0] for row in rows]
    widest = max(zoom * row.stride * row.values.shape[1] for row in rows)
    top = HEADER if title or note else EDGE
    height = top + sum(heights) + GAP * (len(rows) - 1) + EDGE
    picture, canvas = _empty(GUTTER + widest + EDGE, height)
    if title or note:
        _head(canvas, title, note, picture.width)
    for row, tall in zip(rows, heights, strict=True):
        drawn = _scaled(row, zoom)
        picture.paste(drawn, (GUTTER + zoom * (row.field - row.stride) // 2, top))
        canvas.text((GUTTER - 8, top + tall / 2), row.name, DIM, _font(11), "rm")
        top += tall + GAP
    return picture


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Set pictures side by side, their upper edges in line."""
    whole, _ = _empty(sum(each.width for each in pictures), max(each.height for each in pictures))
    left = 0
    for each in pictures:
        whole.paste(each, (left, 0))
        left += each.width
    return whole


def above(pictures: Sequence[Image.Image]) -> Image.Image:
    """Set pictures one below the other, their left edges in line."""
    whole, _ = _empty(max(each.width for each in pictures), sum(each.height for each in pictures))
    top = 0
    for each in pictures:
        whole.paste(each, (0, top))
        top += each.height
    return whole


def bars(chances: Values, height: int, width: int) -> Image.Image:
    """Draw the probability of every label as a bar: (labels,) to a picture of that size."""
    picture, canvas = _empty(width, height)
    pitch = (height - HEADER - EDGE) / len(LABELS)
    for label, chance in enumerate(chances):
        middle = HEADER + pitch * (label + 0.5)
        canvas.text((44, middle), LABELS[label], INK if chance > 0.5 else DIM, _font(13), "rm")
        length = (width - 56 - EDGE) * float(chance)
        canvas.rectangle(
            [52, middle - pitch * 0.32, 52 + max(length, 1), middle + pitch * 0.32],
            _trust(float(chance)) if chance > 0.02 else (48, 56, 72),
        )
    return picture


def _empty(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (width, height), NIGHT)
    return picture, ImageDraw.Draw(picture)


def _head(canvas: ImageDraw.ImageDraw, title: str, note: str, width: int) -> None:
    canvas.text((EDGE, HEADER / 2), title, INK, _font(17), "lm")
    canvas.text((width - EDGE, HEADER / 2), note, DIM, _font(14), "rm")


def _scaled(row: Row, zoom: int) -> Image.Image:
    return _ink(row.values, zoom * row.stride, row.heat)


def _ink(values: Values, zoom: int, heat: bool = False) -> Image.Image:
    clipped = np.clip(values, 0, 1)
    colors = _heat(clipped) if heat else _mix((24, 29, 39), INK, clipped)
    sized = cv2.resize(colors, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    return Image.fromarray(np.asarray(sized, np.uint8))


def _heat(values: Values) -> npt.NDArray[np.uint8]:
    levels = (255 * np.sqrt(np.clip(values, 0, 1))).astype(np.uint8)  # faint chances show as well
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA)[..., ::-1]
    return np.maximum(colors, np.array((24, 29, 39), np.uint8))


def _mix(
    low: tuple[int, int, int], high: tuple[int, int, int], share: Values
) -> npt.NDArray[np.uint8]:
    mixed = np.array(low) + share[..., None] * (np.array(high) - np.array(low))
    return np.asarray(mixed, np.uint8)


def _trust(chance: float) -> tuple[int, int, int]:
    red, green, blue = _mix(UNSURE, SURE, np.array([chance]))[0].tolist()
    return red, green, blue


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
