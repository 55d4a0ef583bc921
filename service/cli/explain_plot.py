"""A picture of how a page became a reading: each step of normalization, and the account of ink."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from service.cli.score_plot import DIM, EDGE, INK, NIGHT, SURE, UNSURE, font
from service.imaging.page import Gray, Page
from service.recognition.normalize import DIGIT_HEIGHT, Box, Line, normalize
from service.recognition.recognizer import Options, Recognition, Recognizer
from service.recognition.views import HEIGHT

WIDTH, MOST_HEIGHT = 960, 260  # of a step's picture, pixels, at most
LINE = 22  # of a caption
PRINTED = (92, 148, 255)

Color = tuple[int, int, int]
Picture = npt.NDArray[np.uint8]  # (height, width, 3), RGB


@dataclass(frozen=True)
class Step:
    """A step's picture, what it is, and what was found."""

    name: str
    finding: str
    picture: Image.Image


def draw_steps(page: Page, recognizer: Recognizer, options: Options) -> Image.Image:
    """Read a page and draw what became of it, step by step, from above."""
    pictures: dict[str, Gray] = {}
    line = normalize(
        page.gray, page.aspect, lambda step, picture: pictures.update({step: picture.copy()})
    )
    recognition = recognizer.recognize(page, options)
    steps = list(_steps(page, line, pictures, recognition))
    heights = [step.picture.height + 2 * LINE + EDGE for step in steps]
    width = max(*(step.picture.width for step in steps), WIDTH // 2) + 2 * EDGE
    drawn = Image.new("RGB", (width, sum(heights) + EDGE), NIGHT)
    canvas = ImageDraw.Draw(drawn)
    top = EDGE
    for number, (step, height) in enumerate(zip(steps, heights, strict=True), start=1):
        canvas.text((EDGE, top), f"{number}  {step.name}", INK, font(16))
        canvas.text((EDGE, top + LINE), step.finding, DIM, font(13))
        drawn.paste(step.picture, (EDGE, top + 2 * LINE))
        top += height
    return drawn


def _steps(page: Page, line: Line, pictures: dict[str, Gray], found: Recognition) -> Iterator[Step]:
    height, width = page.gray.shape
    shape = "" if page.aspect == 1 else f", pixels {page.aspect:.2f} times as wide as high"
    gain = "" if page.gain == 1 else f", contrast raised {page.gain:.1f} times"
    size = _fitting(width, height / page.aspect)
    yield Step(
        "page",
        f"{width} by {height} pixels, {page.channel.value}{shape}{gain}",
        _gray(page.gray, size),
    )
    working = line.page
    rows, columns = pictures["polarity"].shape
    polarity = f"{line.polarity.value}; ink is bright from here on, at {columns} by {rows} pixels"
    yield Step("polarity", polarity, _gray(pictures["polarity"], size))
    yield Step("background removed", "gray levels above it", _gray(pictures["background"], size))
    lines = np.where(working.mask, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=-1)
    lines[working.erased] = PRINTED
    leveled = f"; a skew of {line.skew:+.2f} taken away" if line.skew else ""
    if line.bend:
        leveled += "; a curve straightened"
    seen = "" if working.seen else "; traces too faint to be read"
    yield Step(
        "ink, and printed lines removed",
        f"{np.count_nonzero(working.mask)} pixels of ink, "
        f"{np.count_nonzero(working.erased)} of printed lines (blue){leveled}{seen}",
        _sized(lines, _fitting(lines.shape[1], lines.shape[0])),
    )
    banded = _gray(pictures["background"], size)
    ends = line.band.top, line.band.bottom
    columns = np.linspace(0, width, 65 if line.bend else 2)
    fall = line.skew * (columns - width / 2)
    if line.bend:
        fall += line.bend.rows(columns)
    for row in ends:
        points = np.stack([columns * size[0] / width, (row + fall) * size[1] / height], axis=1)
        at = [(x, y) for x, y in points.tolist()]
        ImageDraw.Draw(banded).line(at, SURE, 2)
    yield Step("band", f"the text stands in rows {ends[0]:.0f} to {ends[1]:.0f}", banded)
    strip, scale = found.strip, 4
    wide = min(strip.pixels.shape[1] * scale, WIDTH)
    shown = (wide, round(HEIGHT * wide / strip.pixels.shape[1]))
    yield Step(
        "strip",
        f"what the network sees: a slant of {strip.slant:+.2f} taken away, "
        f"the band {strip.view.scale * DIGIT_HEIGHT:g} pixels high",
        _gray(strip.pixels, shown),
    )
    account = _gray(pictures["polarity"], size)
    _boxes(account, found.boxes, (height, width), SURE, [d.label for d in found.reading.digits])
    _boxes(account, found.ink.boxes, (height, width), UNSURE)
    yield Step("account of the ink", _verdict(found), account)


def _verdict(found: Recognition) -> str:
    ink = found.ink
    shares = [
        f"{share:.1%} {what}"
        for share, what in (
            (ink.digits, "explained by digits"),
            (ink.unexplained, "not, within the band"),
            (ink.outside, "outside of it"),
            (ink.removed, "printed lines"),
        )
        if share > 0
    ]
    reading = f"“{found.reading.text}” at {found.reading.confidence:.3f}"
    decision = f", {found.decision.name}" if found.decision else ""
    reasons = f": {', '.join(found.reasons or ink.reasons)}" if found.reasons or ink.reasons else ""
    return f"{reading}{decision}{reasons}; {', '.join(shares) or 'no ink'}"


def _boxes(
    picture: Image.Image,
    boxes: tuple[Box, ...],
    shape: tuple[int, int],
    color: Color,
    labels: list[str] | None = None,
) -> None:
    canvas = ImageDraw.Draw(picture)
    across, along = picture.width / shape[1], picture.height / shape[0]
    for index, box in enumerate(boxes):
        left, top = box.left * across, box.top * along
        ends = (max(box.right * across - 1, left), max(box.bottom * along - 1, top))
        canvas.rectangle([(left, top), ends], None, color, 2)
        if labels:
            canvas.text((left + 4, top + 2), labels[index], color, font(18))


def _fitting(width: float, height: float) -> tuple[int, int]:
    """Return a size of the same shape that fits."""
    zoom = min(WIDTH / width, MOST_HEIGHT / height)
    return max(round(width * zoom), 1), max(round(height * zoom), 1)


def _gray(pixels: Gray, size: tuple[int, int]) -> Image.Image:
    return _sized(pixels[..., None].repeat(3, axis=-1), size)


def _sized(pixels: Picture, size: tuple[int, int]) -> Image.Image:
    smaller = size[0] < pixels.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    return Image.fromarray(np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8))
