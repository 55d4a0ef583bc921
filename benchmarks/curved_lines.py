"""Lines that climb, fall or curve: strings read exactly, and accepted at 1% error, right and wrong.

The digits are MNIST's test digits, four to eight a string, each turned as the line is there. A rule
is printed below half of the strings, along the same curve.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.form_cells import arguments
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Decision, Options, Recognizer
from training.data.digits import DigitSet, load_mnist

SEED = 2026
HEIGHT = 48.0  # pixels, of a digit
BOX = 20  # pixels, of one of MNIST
ANGLES = (0, 3, 5, 8, 10, 12, 15)  # degrees, to either side
ARCS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # heights by which a line's middle stands off, either way
INK = 60  # gray level from which a column has ink
PAPER, PEN, PRINT, GRAIN = 235.0, 190.0, 127.0, 4.0  # gray levels

Page = npt.NDArray[np.uint8]


class Baseline(NamedTuple):
    """A parabola."""

    width: float  # pixels, of the string
    rise: float  # of its middle over its ends; negative where it hangs
    tangent: float

    def row(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return how far below the middle's the baseline is, at a column of the string."""
        aside = np.asarray(x) - self.width / 2
        return self.tangent * aside + 4 * self.rise * (aside / self.width) ** 2

    def angle(self, x: float) -> float:
        """Return by how much it falls there, in radians."""
        slope = self.tangent + 8 * self.rise * (x - self.width / 2) / self.width**2
        return float(np.arctan(slope))


def written(
    digits: DigitSet, rng: np.random.Generator, angle: float, arc: float, rule: bool
) -> tuple[Page, str]:
    """Write a string.

    Args:
        digits: to write.
        rng: chooses them, and the gaps between.
        angle: degrees by which it falls.
        arc: heights of a digit by which its middle stands above its ends.
        rule: whether a rule is printed below.

    Returns:
        (height, width) uint8, and what it says.
    """
    chosen = rng.integers(0, len(digits), int(rng.integers(4, 9)))
    glyphs = []
    for each in chosen:
        image = digits.images[each, 2:-2, 2:-2]  # without the window's margin
        large = cv2.resize(image, None, None, HEIGHT / BOX, HEIGHT / BOX, cv2.INTER_CUBIC)
        columns = np.flatnonzero((large > INK).any(axis=0))
        glyphs.append(large[:, max(columns[0] - 1, 0) : columns[-1] + 2].astype(np.float32))
    widths = np.array([glyph.shape[1] for glyph in glyphs])
    gaps = rng.uniform(0.08, 0.3, len(glyphs)) * HEIGHT
    lefts = np.cumsum(gaps + widths) - widths - gaps[0]
    line = Baseline(lefts[-1] + widths[-1], arc * HEIGHT, float(np.tan(np.radians(angle))))
    margin, reach = 1.5 * HEIGHT, np.abs(line.row(np.linspace(0, line.width, 99))).max()
    size = round(line.width + 2 * margin), round(3.2 * HEIGHT + 2 * reach)
    middle = size[1] / 2
    page = np.zeros(size[::-1], np.float32)
    for left, glyph in zip(lefts, glyphs, strict=True):
        x = left + glyph.shape[1] / 2
        turn = line.angle(x)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        there = np.array([margin + x, middle + float(line.row(x))])
        shift = there - matrix @ (glyph.shape[1] / 2, glyph.shape[0] / 2)
        page = np.maximum(page, cv2.warpAffine(glyph, np.column_stack([matrix, shift]), size))
    page *= PEN / 255
    if rule:
        x = np.arange(-0.6 * HEIGHT, line.width + 0.6 * HEIGHT)
        points = np.stack([x + margin, middle + line.row(x) + 0.72 * HEIGHT], axis=1)
        fixed = [np.rint(points * 16).astype(np.int32)]
        cv2.polylines(page, fixed, False, PRINT, 2, cv2.LINE_AA, 4)
    levels = PAPER - page + rng.normal(0, GRAIN, page.shape)
    return np.asarray(np.clip(levels, 0, 255), np.uint8), "".join(map(str, digits.labels[chosen]))


def main() -> None:
    """Print a row for each way to write, half of its strings either way."""
    args = arguments(__doc__, 60, SEED).parse_args()
    digits = load_mnist(args.data_dir)[1]
    recognizer = Recognizer.load(ModelFiles.read())
    print(f"| of {2 * args.count} strings | exact | ACCEPT, right/wrong | with a rule | |")
    print("|---|---|---|---|---|")
    ways = [(f"{each}°", each, 0.0) for each in ANGLES]
    ways += [(f"arc of {each} heights", 0, each) for each in ARCS]
    for name, angle, arc in ways:
        cells = [name]
        for rule in (False, True):
            rng, exact, accepted, wrong = np.random.default_rng(args.seed), 0, 0, 0
            for number in range(2 * args.count):
                way = 1 if number % 2 else -1
                page, text = written(digits, rng, way * angle, way * arc, rule)
                found = recognizer.recognize(page, Options(error_rate=0.01))
                right = found.reading.text == text
                exact += right
                accepted += found.decision is Decision.ACCEPT and right
                wrong += found.decision is Decision.ACCEPT and not right
            cells += [f"{exact / (2 * args.count):.1%}", f"{accepted}/{wrong}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
