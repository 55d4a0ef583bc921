"""Forms drawn, filled in and scanned, with the truth of where everything lies.

Nothing here uses the code that registers pages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Page = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]  # (points, 2), x and y
Box = tuple[float, float, float, float]  # left, top, width, height, mm

SCALE = 200 / 25.4  # pixels a mm that forms are drawn at
WORDS = (  # noqa: SIM905 - a text is easier to change
    "name account number date amount total reading meter street city postal code telephone form "
    "office reference signature please write clearly one digit a box received by customer order "
    "quantity price item serial invoice page copy section part office use only branch deposit"
).split()


@dataclass
class Drawing:
    """A form that is drawn in millimeters."""

    width: float
    height: float
    boxes: dict[str, tuple[Box, int]] = field(default_factory=dict)  # and the cells of a comb, or 0

    def __post_init__(self) -> None:
        size = round(self.width * SCALE), round(self.height * SCALE)
        self.image = Image.new("L", size, 255)
        self.canvas = ImageDraw.Draw(self.image)

    @property
    def gray(self) -> Page:
        """The blank form, (height, width)."""
        return np.asarray(self.image)

    def text(self, left: float, top: float, text: str, high: float, level: int = 20) -> None:
        """Print a text, `high` mm from its ascender down."""
        font = ImageFont.load_default(high * SCALE)
        self.canvas.text((left * SCALE, top * SCALE), text, level, font)

    def frame(self, box: Box, thick: float = 0.3, level: int = 40) -> None:
        """Print a frame; `thick` is its line, mm."""
        left, top, width, height = box
        edges = [each * SCALE for each in (left, top, left + width, top + height)]
        self.canvas.rectangle(edges, None, level, max(round(thick * SCALE), 1))

    def square(self, x: float, y: float, side: float) -> None:
        """Print a filled square by its center."""
        edges = [each * SCALE for each in (x - side / 2, y - side / 2, x + side / 2, y + side / 2)]
        self.canvas.rectangle(edges, 0)

    def add(self, name: str, box: Box, cells: int = 0) -> None:
        """Print a field: a frame, with dividers if it is a comb."""
        self.boxes[name] = box, cells
        self.frame(box)
        left, top, width, height = box
        for cell in range(1, cells):
            x = (left + width * cell / cells) * SCALE
            self.canvas.line([(x, top * SCALE), (x, (top + height) * SCALE)], 40, 2)


def random_form(rng: np.random.Generator, size: tuple[float, float] = (148, 105)) -> Drawing:
    """Draw a form with a title, labels, fields and combs, and squares at its corners."""
    drawing = Drawing(*size)
    width, height = size
    for x in (8.0, width - 8):
        for y in (8.0, height - 8):
            drawing.square(x, y, 4)

    def words(count: int) -> str:
        return " ".join(rng.choice(WORDS, count))

    drawing.text(16, 6, words(2).title(), rng.uniform(5, 7))
    drawing.text(16, 14, words(5).capitalize() + ".", 2.8, 60)
    top, number = 22.0, 0
    while top < height - 20:
        left = rng.uniform(8, 16)
        while True:
            cells = int(rng.integers(4, 9)) if rng.random() < 0.6 else 0
            wide = cells * rng.uniform(5, 7) if cells else rng.uniform(25, 45)
            if left + wide > width - 8:
                break
            drawing.text(left, top, words(2).capitalize(), 2.6)
            drawing.add(f"field {number}", (left, top + 4, wide, 8.0), cells)
            number += 1
            left += wide + rng.uniform(6, 20)
        top += rng.uniform(15, 20)
    drawing.text(16, height - 11, words(6).capitalize() + ".", 2.4, 60)
    return drawing


def filled(
    drawing: Drawing,
    texts: Mapping[str, str],
    images: Page,
    labels: npt.NDArray[np.uint8],
    rng: np.random.Generator,
) -> Page:
    """Write digits into a form's fields.

    Args:
        drawing: of the form.
        texts: by field.
        images: (digits, side, side) uint8, bright on 0, that are written.
        labels: (digits,) what each says.
        rng: chooses digits, sizes and places.
    """
    page = drawing.gray.astype(np.float32)
    for name, text in texts.items():
        (left, top, width, height), cells = drawing.boxes[name]
        pitch = width / cells if cells else min(height * 0.62, (width - 3) / max(len(text), 1))
        first = left + (0 if cells else 1.5)
        for place, digit in enumerate(text):
            image = images[rng.choice(np.flatnonzero(labels == int(digit)))]
            rows, columns = (
                np.flatnonzero(image.max(axis=1) > 60),
                np.flatnonzero(image.max(axis=0) > 60),
            )
            ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            zoom = height * rng.uniform(0.58, 0.7) * SCALE / max(ink.shape)
            ink = cv2.resize(ink, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
            x = (first + (place + 0.5) * pitch + rng.normal(0, 0.15)) * SCALE - ink.shape[1] / 2
            y = (top + height / 2 + rng.normal(0, 0.2)) * SCALE - ink.shape[0] / 2
            x, y = round(x), round(y)
            there = page[y : y + ink.shape[0], x : x + ink.shape[1]]
            cover = ink[: there.shape[0], : there.shape[1]].astype(np.float32) / 255
            there[:] = np.minimum(there, 255 - cover * 225)
    return np.asarray(np.clip(page, 0, 255), np.uint8)


@dataclass(frozen=True)
class Attack:
    """What happens to a page on its way; shares are of its sides."""

    angle: float = 0.0  # degrees clockwise
    quarters: int = 0  # turns clockwise
    zoom: float = 1.0
    perspective: float = 0.0  # by which corners are moved, at most
    stretch: float = 0.0
    curl: float = 0.0
    torn: float = 0.0  # of a corner
    stains: int = 0
    staples: int = 0
    shade: float = 0.0  # how much darker one side is
    noise: float = 3.0  # gray levels


@dataclass(frozen=True)
class Scan:
    """A scanned page."""

    gray: Page
    pixels: Callable[[Points], Points]  # of places in mm


def random_attack(rng: np.random.Generator) -> Attack:
    """Draw what a scanner, a copier or a telephone held by hand does."""
    return Attack(
        angle=rng.uniform(-5, 5),
        quarters=int(rng.integers(4)) if rng.random() < 0.4 else 0,
        zoom=rng.uniform(0.7, 1.4),
        perspective=rng.uniform(0, 0.04) if rng.random() < 0.5 else 0.0,
        stretch=rng.uniform(-0.015, 0.015),
        curl=rng.uniform(-0.015, 0.015),
        torn=rng.uniform(0.04, 0.12) if rng.random() < 0.2 else 0.0,
        stains=int(rng.integers(1, 3)) if rng.random() < 0.3 else 0,
        staples=int(rng.integers(1, 3)) if rng.random() < 0.3 else 0,
        shade=rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0,
        noise=rng.uniform(1, 6),
    )


def scanned(page: Page, attack: Attack, rng: np.random.Generator) -> Scan:
    """Scan a page of a form, drawn at SCALE.

    Args:
        page: (height, width).
        attack: what happens to it.
        rng: decides the rest: phases, where stains are.
    """
    page = _soiled(page, attack, rng)
    height, width = (side / SCALE for side in page.shape)
    margin = 0.06 * max(width, height)
    zoom = attack.zoom * SCALE
    turn = np.deg2rad(attack.angle + 90 * attack.quarters)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    moved = corners + rng.uniform(-1, 1, (4, 2)) * attack.perspective * [width, height]
    moved = (moved - moved.mean(axis=0)) @ rotation.T * zoom
    moved -= moved.min(axis=0) - margin * zoom
    size = np.ceil(moved.max(axis=0) + margin * zoom).astype(int)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    phases = rng.uniform(0, 0.5, 2)

    def bend(places: Points) -> Points:
        x, y = places.T / np.array([[width], [height]])
        across = attack.stretch * width * (x - 0.5) + attack.curl * width * np.sin(
            np.pi * (y + phases[0])
        )
        down = -attack.stretch * height * (y - 0.5) * 0.5 + attack.curl * height * np.sin(
            np.pi * (x + phases[1])
        )
        return np.stack([across, down], axis=1)

    def pixels(places: Points) -> Points:
        flat = np.column_stack([places + bend(places), np.ones(len(places))]) @ matrix.T
        return np.asarray(flat[:, :2] / flat[:, 2:])

    grid = np.stack(np.meshgrid(*(np.arange(side) + 0.5 for side in size)), axis=-1).reshape(-1, 2)
    back = np.column_stack([grid, np.ones(len(grid))]) @ np.linalg.inv(matrix).T
    flat = back[:, :2] / back[:, 2:]
    places = flat
    for _ in range(4):
        places = flat - bend(places)
    maps = (places * SCALE - 0.5).astype(np.float32).reshape(size[1], size[0], 2)
    if attack.zoom < 1:
        page = cv2.GaussianBlur(page, (0, 0), 0.4 / attack.zoom)
    gray = cv2.remap(page, maps, None, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, 90).astype(
        np.float32
    )
    gray *= 1 - attack.shade * np.linspace(0, 1, size[0])[None, :]
    gray += rng.normal(0, attack.noise, gray.shape)
    gray = 12 + 0.93 * gray  # no scan is all black and white
    return Scan(np.asarray(np.clip(gray, 0, 255), np.uint8), pixels)


def _soiled(page: Page, attack: Attack, rng: np.random.Generator) -> Page:
    """Tear a corner off, spill coffee, staple."""
    page = page.copy()
    height, width = page.shape
    for _ in range(attack.stains):
        cover = np.zeros(page.shape, np.float32)
        center = int(rng.integers(width)), int(rng.integers(height))
        radius = int(rng.uniform(8, 20) * SCALE)
        cv2.circle(cover, center, radius, 0.25, -1)
        cv2.circle(cover, center, radius, 0.5, int(2 * SCALE))
        cover = cv2.GaussianBlur(cover, (0, 0), SCALE / 2)
        page = np.asarray(page * (1 - cover), np.uint8)
    for _ in range(attack.staples):
        x, y = int(rng.integers(width)), int(rng.integers(int(0.15 * height)))
        cv2.line(page, (x, y), (x + int(12 * SCALE), y + int(rng.integers(-9, 9))), 60, 5)
    if attack.torn:
        reach = int(attack.torn * (width + height))
        right, low = bool(rng.integers(2)), bool(rng.integers(2))
        corner = np.array([width * right, height * low])
        ends = corner + np.array(
            [(0, 0), (-reach if right else reach, 0), (0, -reach if low else reach)]
        )
        cv2.fillPoly(page, [ends.astype(np.int32)], 90)
    return page


def template(drawing: Drawing, by: str = "features", more: Sequence[str] = ()) -> str:
    """Write the template of a form whose reference is `blank.png`."""
    lines = ['reference = "blank.png"', "[page]", f"width = {drawing.width}"]
    lines += [f"height = {drawing.height}", "[registration]", f'by = "{by}"', *more]
    for name, (box, cells) in drawing.boxes.items():
        lines += ["[[field]]", f'name = "{name}"', f"box = {[round(each, 3) for each in box]}"]
        lines += [f"comb = {cells}"] if cells else []
    return "\n".join(lines) + "\n"
