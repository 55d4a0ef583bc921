"""What people write in a field, and how a string of digits stands on its line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.config import StripConfig
from training.data.digits import DigitSet
from training.pages import marks, stroke_effects
from training.pages.glyphs import Strokes, curve

WIDEST = 1.5  # a digit's width, of its height
FARTHEST = 1.2  # gap between digits, digit heights
LEAST_ADVANCE = 0.32  # digit heights between the middles of neighbors, however deep the overlap
AMOUNT_LENGTHS = (0.02, 0.06, 0.15, 0.28, 0.3, 0.14, 0.05)  # shares of 1 to 7 digits
TABLE_LENGTHS = (0.12, 0.45, 0.3, 0.08, 0.05)  # shares of 1 to 5 digits, of numbers in tables


@dataclass(frozen=True)
class Line:
    """A written line, in digit heights; the baseline is at y = 0 where the line begins."""

    digits: list[Strokes]  # left to right
    others: list[Strokes]  # separators and all else that is no digit

    def box(self, others: bool) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the digits, or of everything."""
        points = np.concatenate([*self.digits, *(self.others if others else [])]).reshape(-1, 2)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def random_text(rng: np.random.Generator, config: StripConfig) -> str:
    """Return a string as fields hold them: amounts, years, numbers, postcodes, accounts, any."""
    if rng.random() < config.blank:
        return ""
    text = some_text(rng, config)
    if rng.random() < config.outer_ones:
        return "1" + text[1:] if rng.random() < 0.65 else text[:-1] + "1"
    return text


def some_text(rng: np.random.Generator, config: StripConfig) -> str:
    """Return a string of digits."""
    if rng.random() < config.small:
        return small_number(rng)[: config.digits[1]].rjust(config.digits[0], "0")
    kind = rng.random()
    if kind < 0.5:
        text = amount(rng)
    elif kind < 0.57:
        text = str(rng.integers(1800, 2030))
    elif kind < 0.65:
        text = str(rng.integers(1, 10 ** int(rng.integers(1, 4))))
    elif kind < 0.72:
        text = spell(rng.integers(10, size=int(rng.integers(4, 7))))
    elif kind < 0.78:
        text = spell(rng.integers(10, size=int(rng.integers(7, max(config.digits[1], 7) + 1))))
    else:
        text = spell(rng.integers(10, size=int(rng.integers(config.digits[0], 9))))
    return text[: config.digits[1]].rjust(config.digits[0], "0")


def small_number(rng: np.random.Generator) -> str:
    """Return a number as tables hold them: one to five digits, two or three mostly."""
    kind = rng.random()
    if kind < 0.3:  # Benford's law
        return str(int(10 ** rng.uniform(0, rng.choice((2, 3, 3, 4, 5)))))
    length = int(rng.choice(len(TABLE_LENGTHS), p=TABLE_LENGTHS)) + 1
    if kind < 0.55:
        return spell(rng.integers(10, size=length))
    if kind < 0.83:
        return str(rng.integers(10 ** (length - 1), 10**length))
    if kind < 0.9:  # round
        return str(rng.integers(1, 10) * 10 ** (length - 1))
    return amount(rng)


def amount(rng: np.random.Generator) -> str:
    """Return an amount: small first digits more often, round ends, digits that repeat."""
    length = int(rng.choice(len(AMOUNT_LENGTHS), p=AMOUNT_LENGTHS)) + 1
    first = int(10 ** rng.random())  # Benford's law: 1 to 9
    numbers = [first, *rng.integers(10, size=length - 1).tolist()]
    for at in range(1, length):
        if rng.random() < 0.12:
            numbers[at] = numbers[at - 1]
    round_end = int(rng.choice(4, p=(0.55, 0.15, 0.12, 0.18)))
    for at in range(max(1, length - round_end), length):
        numbers[at] = 0
    return spell(numbers)


def spell(numbers: Sequence[int] | npt.NDArray[np.int64]) -> str:
    """Return digits as text."""
    return "".join(str(number) for number in numbers)


def write(text: str, digits: DigitSet, rng: np.random.Generator, config: StripConfig) -> Line:
    """Write a string as one hand would: shapes, sizes, a line, what stands beside, a slant."""
    numbers = [int(letter) for letter in text]
    glyphs = shapes(numbers, digits, rng, config)
    glyphs = sizes(glyphs, numbers, rng, config)
    line = place(glyphs, numbers, rng, config)
    line = beside(line, rng, config)
    return lean(line, rng, config)


def shapes(
    numbers: Sequence[int], digits: DigitSet, rng: np.random.Generator, config: StripConfig
) -> list[Strokes]:
    """Return each digit's strokes, as one writer shapes them."""
    plan: list[int] = []  # which of the shapes each digit has
    kinds: list[int] = []  # what each shape says
    latest: dict[int, int] = {}
    for number in numbers:
        if number not in latest or rng.random() >= config.alike:
            latest[number] = len(kinds)
            kinds.append(number)
        plan.append(latest[number])
    straighten = rng.uniform(0.5, 1) if rng.random() < config.upright else 0.0
    bend = rng.uniform(0.01, 0.035) if rng.random() < config.wobble else 0.0
    made = []
    for number, traced in zip(kinds, trace(kinds, digits, rng), strict=True):
        strokes = stroke_effects.upright(traced, straighten)
        strokes = stroke_effects.shape(strokes, number, rng, config.drawn)
        strokes = stroke_effects.flag(strokes, number, rng, config.flag)
        strokes = stroke_effects.foot(strokes, number, rng, config.foot)
        strokes = stroke_effects.stem(strokes, number, rng, config.stem)
        strokes = stroke_effects.bar(strokes, number, rng, config.bar)
        strokes = stroke_effects.long_bar(strokes, number, rng, config.long_bar)
        strokes = stroke_effects.closed(strokes, number, rng, config.closed)
        strokes = stroke_effects.hook(strokes, number, rng, config.hook)
        made.append(stroke_effects.curl(strokes, number, rng, config.curl))
    return [stroke_effects.stand(stroke_effects.wobble(made[index], rng, bend)) for index in plan]


def trace(numbers: Sequence[int], digits: DigitSet, rng: np.random.Generator) -> list[Strokes]:
    """Trace an image of each number, and another one where its loops have run full."""
    chosen = [any_of(number, digits, rng) for number in numbers]
    traced = stroke_effects.trace(digits.images[chosen], numbers)
    again = [index for index, strokes in enumerate(traced) if not len(strokes)]
    if again:
        others = [numbers[index] for index in again]
        chosen = [any_of(number, digits, rng) for number in others]
        for index, strokes in zip(
            again, stroke_effects.trace(digits.images[chosen], others), strict=True
        ):
            traced[index] = strokes
    return traced


def any_of(number: int, digits: DigitSet, rng: np.random.Generator) -> int:
    """Return the index of one of a number's images."""
    # A look at a few costs a tenth of a look at all of MNIST.
    some = rng.integers(len(digits), size=64)
    found = some[digits.labels[some] == number]
    if not len(found):
        found = rng.permutation(np.flatnonzero(digits.labels == number))
    return int(found[0])


def sizes(
    glyphs: Sequence[Strokes], numbers: Sequence[int], rng: np.random.Generator, config: StripConfig
) -> list[Strokes]:
    """Make digits wider, taller, and zeros small, hanging or wide."""
    count = len(glyphs)
    scale = np.ones((count, 2))  # across, along
    rise = np.zeros(count)
    if rng.random() < config.stretch:
        scale[:, 0] *= np.exp(rng.normal(0.05, 0.18)) * np.exp(rng.normal(0, 0.08, count))
    if rng.random() < config.uneven:
        scale *= np.exp(rng.normal(0, rng.uniform(0.03, 0.16), (count, 1)))
    if rng.random() < config.tall:
        scale[np.array(numbers) == 1, 1] *= rng.uniform(1, 1.45)
    zeros = np.array(numbers) == 0
    if rng.random() < config.small_zeros:
        size = rng.uniform(0.4, 0.75)
        last = np.arange(count) >= count - 3
        zeros_small = zeros & last if rng.random() < 0.5 else zeros
        scale[zeros_small] *= size
        if rng.random() < config.raised_zeros:
            rise[zeros_small] = rng.uniform(0.2, 1) * (1 - size)
    if rng.random() < config.wide_zeros:
        scale[zeros, 0] *= rng.uniform(1.15, 1.7)
    widths = np.array([float(strokes[..., 0].max(initial=0)) for strokes in glyphs])
    scale[:, 0] = np.minimum(scale[:, 0], WIDEST * scale[:, 1] / np.maximum(widths, 0.1))
    return [
        (strokes * factor - (0, up)).astype(np.float32)
        for strokes, factor, up in zip(glyphs, scale, rise, strict=True)
    ]


def place(
    glyphs: Sequence[Strokes], numbers: Sequence[int], rng: np.random.Generator, config: StripConfig
) -> Line:
    """Set digits side by side, with separators between their groups."""
    count = len(glyphs)
    usual = rng.uniform(*config.gaps)
    spread = rng.uniform(0, 0.1)
    if rng.random() < config.spaced:
        usual, spread = rng.uniform(config.gaps[1], FARTHEST), rng.uniform(0, 0.25)
    deep = rng.random() < config.overlap
    chained = rng.random() < config.chain
    waver = rng.uniform(0.01, 0.08) if rng.random() < config.drift else 0.0
    separated = count >= 4 and rng.random() < config.separator
    groups = 2 if separated and rng.random() < 0.12 else 3  # cents, or thousands
    mark = marks.choose(marks.SEPARATORS, rng) if rng.random() < 0.85 else None
    if count >= 4 and rng.random() < config.slash:
        separated, groups, mark = True, int(rng.integers(2, 4)), marks.slash
    space = rng.uniform(0.0, 0.35)
    placed: list[Strokes] = []
    others: list[Strokes] = []
    cursor, middle = 0.0, -np.inf
    for index, strokes in enumerate(glyphs):
        left = cursor
        width = float(strokes[..., 0].max(initial=0.0))
        left = max(left, middle + LEAST_ADVANCE - width / 2)
        middle = left + width / 2
        moved = strokes + np.array([left, waver * rng.normal()], np.float32)
        if placed:
            others.append(stroke_effects.connect(placed[-1], moved, rng, config.connect))
        placed.append(moved)
        end = left + width
        left_over = count - 1 - index
        gap = rng.uniform(*config.overlaps) if deep else usual + rng.normal(0, spread)
        if left_over:  # no digit disappears in its neighbor
            narrower = min(width, float(glyphs[index + 1][..., 0].max(initial=0.0)))
            gap = max(gap, -0.2 * narrower)
        if chained and numbers[index] == 0 and left_over and numbers[index + 1] == 0:
            gap = rng.uniform(-0.15, -0.02)
            others.append(_chain(moved, glyphs[index + 1], end + gap))
        elif (
            separated
            and left_over
            and left_over % groups == 0
            and (groups == 3 or left_over == 2 or mark is marks.slash)
        ):
            if mark is not None:
                sign = mark(rng) + np.array([end + rng.uniform(0.02, 0.16), 0], np.float32)
                others.append(sign)
                end = max(end, float(sign[..., 0].max()))
            gap = rng.uniform(0.02, 0.15) + space + (0.25 if mark is None else 0)
        cursor = end + gap
    return Line(placed, others)


def _chain(zero: Strokes, following: Strokes, left: float) -> Strokes:
    """Return the stroke along the top from one zero into the next."""
    top = float(zero[..., 1].min())
    next_top = float(following[..., 1].min())
    middle = float(zero[..., 0].min() + zero[..., 0].max()) / 2
    next_middle = left + float(following[..., 0].max()) / 2
    sag = ((middle + next_middle) / 2, (top + next_top) / 2 + 0.12)
    return curve([(middle, top), sag, (next_middle, next_top)])


def beside(line: Line, rng: np.random.Generator, config: StripConfig) -> Line:
    """Write before, after and under the digits what belongs to no digit."""
    left, _, right, bottom = line.box(others=True)
    added = []
    if rng.random() < config.trailing:
        mark = marks.choose(marks.TRAILING, rng)(rng)
        added.append(mark + np.array([right + rng.uniform(0.12, 0.4), 0], np.float32))
    if rng.random() < config.letter:
        sign = marks.letter(rng)
        after = right + rng.uniform(0.2, 0.6)
        before = left - float(sign[..., 0].max()) - rng.uniform(0.2, 0.6)
        added.append(sign + np.array([after if rng.random() < 0.65 else before, 0], np.float32))
    if rng.random() < config.stray:
        kind = marks.choose(marks.STRAY, rng)
        sign = kind(rng)
        at = right + rng.uniform(0.15, 0.8)
        if kind is not marks.slash_dash and rng.random() < 0.3:  # what closes, stands after
            at = left - float(sign[..., 0].max()) - rng.uniform(0.15, 0.8)
        added.append(sign + np.array([at, 0], np.float32))
    for share, kinds in ((config.leading, marks.LEADING), (config.currency, marks.CURRENCY)):
        if rng.random() < share:
            mark = marks.choose(kinds, rng)(rng)
            left -= float(mark[..., 0].max()) + rng.uniform(0.08, 0.35)
            added.append(mark + np.array([left, 0], np.float32))
    if rng.random() < config.underline:
        y = bottom + rng.uniform(0.05, 0.25)
        ends = rng.normal((left, right), 0.15)
        bow = (float(ends.mean()), y + rng.normal(0, 0.05))
        added.append(curve([(ends[0], y + rng.normal(0, 0.04)), bow, (ends[1], y)]))
    return Line(line.digits, [*line.others, *added])


def lone_marks(rng: np.random.Generator, config: StripConfig) -> Line:
    """Write one or two marks where digits would stand."""
    strokes, right = [], 0.0
    for _ in range(1 if rng.random() < 0.75 else 2):
        mark = marks.choose(marks.LONE, rng)(rng)
        strokes.append(mark + np.array([right, 0], np.float32))
        right = float(strokes[-1][..., 0].max()) + rng.uniform(0.1, 0.8)
    return lean(Line(strokes, []), rng, config)


def lean(line: Line, rng: np.random.Generator, config: StripConfig) -> Line:
    """Slant the whole line, each digit a little otherwise, and let the line rise or fall."""
    tangent = rng.uniform(*config.slants) if rng.random() < config.slant else 0.0
    jitter = 0.06 if rng.random() < config.lean else 0.0
    climb = rng.normal(0, 0.04) if rng.random() < config.climb else 0.0

    def leaning(strokes: Strokes, own: float) -> Strokes:
        slanted = stroke_effects.shear(strokes, tangent + own)
        return slanted - slanted[..., :1] * np.array([0, climb], np.float32)

    return Line(
        [leaning(strokes, jitter * rng.normal()) for strokes in line.digits],
        [leaning(strokes, 0) for strokes in line.others],
    )
