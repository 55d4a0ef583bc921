"""Every knob of a training run and of the pages it makes, each with its unit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

KnobValues = dict[str, Any]  # of a config's fields, JSON-ready: numbers, text, pairs, lists
StageRecord = dict[str, Any]  # JSON of how a stage was trained; older models' lack some of it


@dataclass(frozen=True)
class Config:
    """The knobs that decide what a run computes; equal configs give equal weights."""

    seed: int = 1
    epochs: int = 50  # passes over the training digits
    windows: int = 256  # single windows in a batch
    strips: int = 16  # whole strips in a batch
    strip_width: int = 256  # pixels
    validation_strips: int = 300  # strips of the fixed validation set

    learning_rate: float = 2e-3  # peak, reached after the warm-up, then a cosine down to 0
    warmup: float = 0.05  # share of all steps
    weight_decay: float = 0.01  # of AdamW
    dropout: float = 0.3  # of the 500 hidden units
    average: float = 0.999  # decay per step of the weights' running average
    bfloat16: bool = False  # whether convolutions multiply in 16 bits; twice as fast, hardly worse

    none_share: float = 0.15  # of single windows that have no digit in their center
    flanked_share: float = 0.4  # of digit windows that get neighbors at their sides

    plain: float = 0.2  # share of digits that are not distorted
    shift: float = 2.0  # pixels, each way; horizontally no more than half a stride
    lift: float = 3.0  # pixels, each way, up and down
    scale: float = 0.15  # factor 1 ± this
    stretch: float = 0.25  # factor 1 ± this, of the width alone
    slant: float = 0.25  # tangent of the shear, each way
    rotation: float = 10.0  # degrees, each way
    stroke: float = 0.6  # strength of thickening or thinning, 0 to 1
    elastic: float = 1.0  # pixels, standard deviation of the elastic field
    sharpness: float = 1.5  # contrast of edges, factor 1 to 1 + this
    gap_min: float = -4.0  # pixels between the ink of neighbors; negative overlaps
    gap_max: float = 8.0  # pixels

    def to_dict(self) -> KnobValues:
        """Return the knobs as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class SequenceConfig:
    """The knobs of stage two: whole strips, labeled with their text alone.

    What has no comment is as in `Config`.
    """

    epochs: int = 60
    steps: int = 250  # batches in an epoch
    lines: int = 40  # in a batch
    scanned: float = 0.22  # share of a batch's lines that are scans, where there are any
    cut: float = 0.12  # share of the others set from scans' digits, where they could be cut
    composed: float = 0.22  # share of those left that are digits set side by side, not written
    cells: float = 0.35  # share of those left that are in cells of forms
    digitized: float = 0.3  # share of those left that are strokes of a digitizer's pen
    untouched: float = 0.5  # share of composed lines whose digits are as they were found
    touching: float = 0.3  # share of composed lines with many ones, and neighbors that touch
    windows: int = 192  # single windows in a batch, so that stage one is not forgotten
    window_weight: float = 1.0  # of their loss
    mnist: float = 0.8  # share of batches' windows, and of composed lines, of MNIST's digits alone
    held_out_lines: int = 300  # of each kind, that an epoch is judged by

    learning_rate: float = 1e-3
    floor: float = 0.0  # the learning rate's end, as a share of its peak; 1 keeps it constant
    warmup: float = 0.02
    weight_decay: float = 0.01
    dropout: float = 0.2
    average: float = 0.999
    bfloat16: bool = True  # whether activations are rounded to 16 bits
    kept: float = 0.0  # share of the weights gone on from, in the mean of those and the new ones

    upright: float = 1.25  # share of the line's slant that is taken away: 0 to this
    slant: float = 0.12  # tangent of a shear on top, each way
    scale: float = 0.22  # natural logarithm of the factor, each way
    stretch: float = 0.2  # the same, of the width alone
    lift: float = 2.5  # pixels, each way, up and down
    sharpen: float = 0.5  # share of lines whose edges are sharpened
    stroke: float = 0.3  # share of lines whose strokes are thickened or thinned

    @classmethod
    def after(cls, stages: Sequence[StageRecord]) -> "SequenceConfig":
        """Return the knobs that fit what a network has learned before, by its stages' digests."""
        if not stages:
            return cls.from_scratch()
        lines = any(each["stage"] == "sequences" for each in stages)
        return cls.further() if lines else cls()

    @classmethod
    def further(cls) -> "SequenceConfig":
        """Return the knobs for going on with a model that can read lines already."""
        return cls(
            epochs=4, scanned=0.5, windows=160, learning_rate=6e-4, average=0.998, bfloat16=False
        )  # fmt: skip

    @classmethod
    def adapting(cls) -> "SequenceConfig":
        """Return the knobs for going on with what the readers agree on, without labels."""
        return cls(
            epochs=3, steps=200, lines=32, scanned=0.4, cut=0.4, windows=64, learning_rate=6e-4,
            average=0.995, held_out_lines=100,
        )  # fmt: skip

    @classmethod
    def from_scratch(cls) -> "SequenceConfig":
        """Return the knobs for a network that learns from lines alone, without a first stage."""
        return cls(
            epochs=80, lines=48, windows=64, window_weight=0.75, mnist=0.75, learning_rate=1.5e-3,
            weight_decay=0.02, dropout=0.1,
        )  # fmt: skip

    def to_dict(self) -> KnobValues:
        """Return the knobs as JSON-ready values."""
        return asdict(self)


Range = tuple[float, float]


@dataclass(frozen=True)
class StripConfig:
    """What happens to a made page; equal configs and seeds give equal pages.

    A plain number is a switch: the share, 0 to 1, of pages, digits or pairs that have the
    effect; 0 turns it off. A pair is the range that a size is drawn from, and no switch.
    """

    # The digits' shapes.
    drawn: float = 0.4  # of digits: drawn as the world writes, rather than traced from MNIST
    alike: float = 0.5  # of a string's repeated digits: the same shape once more
    flag: float = 0.4  # of ones: an upstroke before the stem
    stem: float = 0.15  # of ones: a straight stroke and nothing else
    tall: float = 0.25  # of strings: ones taller than the other digits
    foot: float = 0.06  # of ones: a serif under the stem
    bar: float = 0.4  # of sevens: a bar through the stem
    long_bar: float = 0.25  # of fives: a bar of its own, long, often off the body
    curl: float = 0.12  # of twos: a loop or flourish at the foot
    closed: float = 0.15  # of twos: a curl into the head, which may close it
    hook: float = 0.25  # of nines: a small head, and a tail that turns back
    wobble: float = 0.8  # of strings: every stroke bent a little
    stretch: float = 0.9  # of strings: digits wider or narrower, all alike and each a little
    upright: float = 0.8  # of strings: each digit's own slant mostly taken away

    # How a string is written.
    slant: float = 0.75  # of strings: all digits lean the same way
    lean: float = 0.6  # of strings: each digit leans a little otherwise
    uneven: float = 0.8  # of strings: digits of different heights
    small_zeros: float = 0.25  # of strings: zeros at half height or a little more
    raised_zeros: float = 0.25  # of strings with small zeros: they hang, not stand
    wide_zeros: float = 0.2  # of strings: zeros as wide as tall, or wider
    drift: float = 0.8  # of strings: digits above and below the line
    climb: float = 0.5  # of strings: the line rises or falls
    spaced: float = 0.08  # of strings: digits far apart, as on a ruler or in boxes
    overlap: float = 0.12  # of strings: digits touch and overlap
    chain: float = 0.2  # of strings: neighboring zeros in one stroke
    connect: float = 0.04  # of neighbors: a stroke from one to the next

    # What is written beside the digits.
    separator: float = 0.55  # of strings of four digits and more: a mark between groups
    trailing: float = 0.35  # of strings: a dot, dash, `.-`, `=` or `//` after them
    leading: float = 0.1  # of strings: a dash, `=`, `#` or dot before them
    currency: float = 0.05  # of strings: `$` or `Kr` before them
    underline: float = 0.05  # of strings: a line by hand below them
    letter: float = 0.0  # of strings: a letter or a sign before or after them
    slash: float = 0.05  # of strings of four digits and more: tall slashes between groups
    stray: float = 0.06  # of strings: a tick, a cross, a blot or `/-` before or after them
    stranger: float = 0.08  # of pages: half of another line's strokes above or below
    ghost: float = 0.0  # of pages: faint ink beside the digits, erased or from the other side

    # The pen.
    pressure: float = 0.8  # of pages: strokes of uneven width and blackness
    faint: float = 0.15  # of pages: pale ink
    washed: float = 0.0  # of pages: ink hardly darker than the paper, as pencil or a bad photograph

    # The paper.
    white: float = 0.0  # of pages: no paper at all, as from a digitizer
    dark: float = 0.3  # of pages: gray paper rather than light
    guilloche: float = 0.8  # of pages: fine lines, as cheques have them
    texture: float = 0.25  # of pages: a raster of dots, or fibres
    rules: float = 0.5  # of pages: printed lines under, or above and under the digits
    box: float = 0.03  # of pages: an upright edge of the field
    frame: float = 0.0  # of pages: a cell's printed frame at the edges, touching digits or not
    fold: float = 0.02  # of pages: a thin line from edge to edge
    print_marks: float = 0.06  # of pages: remains of small print at the border
    light: float = 0.7  # of pages: uneven light

    # The crop and the scanner.
    tight: float = 0.25  # of pages: a crop that may cut up to 3 pixels of the ends
    cell: float = 0.0  # of pages: low, as a form's cell on a photograph, the digits anywhere in it
    cut_off: float = 0.0  # of pages: the digits' feet lie beyond the lower edge, or the heads above
    coarse: float = 0.3  # of pages: scanned at less than the page's resolution
    blur: float = 0.8  # of pages
    noise: float = 0.8  # of pages
    jpeg: float = 0.8  # of pages

    # What is written.
    small: float = 0.0  # of strings: a number of few digits, as in tables
    outer_ones: float = 0.1  # of strings: the first digit, or the last, is a 1
    blank: float = 0.0  # of pages: nothing
    lone: float = 0.01  # of pages: one or two marks that are no digits, and nothing else

    digits: tuple[int, int] = (1, 12)  # in a string
    height: Range = (16, 42)  # of the digits, pixels
    pen: Range = (0.05, 0.13)  # width, digit heights
    slants: Range = (-0.2, 0.55)  # tangent, to the right
    gaps: Range = (0.06, 0.62)  # between digits, from pen's center to center, digit heights
    overlaps: Range = (-0.08, 0.1)  # the same, where digits touch
    margins: Range = (0.08, 0.6)  # paper round the digits, digit heights

    def to_dict(self) -> KnobValues:
        """Return the shares and ranges as JSON-ready values."""
        return asdict(self)

    @classmethod
    def cells(cls) -> "StripConfig":
        """Return the knobs for cells of forms and logbooks, photographed."""
        return cls(
            drawn=0.4, flag=0.5, drift=0.8, climb=0.35, overlap=0.08, chain=0.08, connect=0.03,
            small_zeros=0.12, separator=0.06, trailing=0.08, leading=0.03, currency=0,
            underline=0.02, letter=0.05, stranger=0.05, ghost=0.12, faint=0.3, washed=0.4,
            dark=0.45, guilloche=0, texture=0.12, rules=0.15, box=0, frame=0.6, fold=0.05,
            print_marks=0, light=0.8, tight=0, cell=1, cut_off=0.17, tall=0.45,
            outer_ones=0.25, spaced=0.12, coarse=0.25, noise=0.6, jpeg=0.85, small=0.9, blank=0.04,
            stray=0.05, lone=0.05, digits=(1, 5), pen=(0.055, 0.125), slants=(-0.15, 0.5),
            gaps=(0.06, 0.55),
        )  # fmt: skip

    @classmethod
    def digitized(cls) -> "StripConfig":
        """Return the knobs for strokes of a digitizer's pen, black on white."""
        return cls(
            drawn=0.4, flag=0.45, foot=0.12, wobble=0.9, overlap=0.08, chain=0.03, connect=0.02,
            small_zeros=0.1, separator=0.03, trailing=0, leading=0, currency=0, underline=0,
            stem=0.3, stranger=0, pressure=0, faint=0, white=1, dark=0, guilloche=0, texture=0,
            rules=0, box=0, print_marks=0, light=0, tight=0, coarse=0, blur=0.2, noise=0, jpeg=0.25,
            small=0.8, tall=0.45, outer_ones=0.5, spaced=0.2, lone=0.03, fold=0, slash=0.1,
            digits=(1, 10), height=(22, 60), pen=(0.05, 0.15), slants=(-0.15, 0.4),
            gaps=(0.03, 0.5), margins=(0.06, 0.3),
        )  # fmt: skip

    @classmethod
    def switches(cls) -> tuple[str, ...]:
        """Return the names of the effects."""
        return tuple(each.name for each in fields(cls) if each.type is float)

    @classmethod
    def only(cls, *effects: str) -> "StripConfig":
        """Return a config whose named effects always happen, and no others ever."""
        return cls(**{name: float(name in effects) for name in cls.switches()})  # type: ignore[arg-type]  # the switches are floats


@dataclass(frozen=True)
class PageConfigs:
    """The kinds of made pages that lines are learned from."""

    written: StripConfig = StripConfig()
    cells: StripConfig = field(default_factory=StripConfig.cells)
    digitized: StripConfig = field(default_factory=StripConfig.digitized)
