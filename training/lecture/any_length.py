"""Chapter 6: any input length. The same weights answer wherever they fit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from torch import nn

from training.lecture import shipped, style
from training.lecture.chapter import (
    Chapter,
    Claim,
    Figures,
    Held,
    Section,
    Setting,
    picture,
    table,
)
from training.lecture.learning import initialize, randomness
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE, LeNet5, geometry

WIDTHS = (10, 14, 18)
PAGE_HEIGHT, PAGE_WIDTH = 132, 176  # of the page that gives a two-dimensional map


@dataclass(frozen=True)
class Layer:
    """A layer of the lecture's one-dimensional net, as far as geometry goes."""

    name: str
    kernel: int
    stride: int

    def length(self, below: int) -> int:
        """Return how many units stand over so many."""
        return (below - self.kernel) // self.stride + 1


LAYERS = (
    Layer("convolution of 3", 3, 1),
    Layer("pooling of 2", 2, 2),
    Layer("convolution of 3", 3, 1),
    Layer("convolution of 2, stride 2", 2, 2),
)


def lengths(width: int) -> list[int]:
    """Return the units of every layer over an input, the input first."""
    found = [width]
    for layer in LAYERS:
        found.append(layer.length(found[-1]))
    return found


def build(features: int = 3) -> nn.Sequential:
    """Build the one-dimensional net: 10 → 8 → 4 → 2 → 1."""
    return nn.Sequential(
        nn.Conv1d(1, features, 3),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(features, features, 3),
        nn.ReLU(),
        nn.Conv1d(features, 1, 2, stride=2),
    )


def seen_by(width: int, output: int) -> list[set[int]]:
    """Return, for every layer, which units an output is computed from."""
    found = [{output}]
    for layer in reversed(LAYERS):
        found.append({unit * layer.stride + k for unit in found[-1] for k in range(layer.kernel)})
    assert max(found[-1]) < width
    return found[::-1]


def shared_units(width: int) -> tuple[int, int]:
    """Return the hidden units of one pass, and of a pass for every output of its own."""
    outputs = lengths(width)[-1]
    return sum(lengths(width)[1:-1]), outputs * sum(lengths(WIDTHS[0])[1:-1])


def measure(setting: Setting) -> Figures:
    """Take the sides of every layer's maps for inputs of many sizes from the networks."""
    net = build()
    initialize(net, randomness(setting.seed, 6))
    signal = torch.randn(1, 1, WIDTHS[-1], generator=randomness(setting.seed, 6, 1))
    with torch.inference_mode():
        whole = net(signal)[0, 0]
        parts = torch.stack(
            [net(signal[..., 4 * k : 4 * k + WIDTHS[0]])[0, 0, 0] for k in range(len(whole))]
        )
        one_dimensional = []
        for width in WIDTHS:
            sides = [width]
            below = torch.zeros(1, 1, width)
            for layer in net:
                below = layer(below)
                if not isinstance(layer, nn.ReLU):
                    sides.append(below.shape[-1])
            one_dimensional.append(sides)
    shipped_net = shipped.network()
    sizes = [(32, 32 + 4 * k) for k in range(5)] + [(32, 64), (32, 256)]
    sizes += [(36, 32), (40, 64), (64, 64), (PAGE_HEIGHT, PAGE_WIDTH)]
    two_dimensional = []
    for height, width in sizes:
        maps = shipped.maps(shipped_net, np.zeros((1, height, width), np.uint8))
        two_dimensional.append([[height, width], *([*each.shape[2:]] for each in maps.values())])
    page = make_page(setting)
    found = shipped.probabilities(shipped_net, page[None])[0]
    alone = shipped.probabilities(
        shipped_net,
        np.stack(
            [
                page[y * STRIDE : y * STRIDE + 32, x * STRIDE : x * STRIDE + 32]
                for y, x in np.ndindex(found.shape[:2])
            ]
        ),
    )[:, 0, 0]
    right = sum(
        int(found[(top + 2) // STRIDE, (left + 2) // STRIDE].argmax()) == label
        for label, left, top in places(setting)
    )
    return {
        "data": setting.data,
        "one": one_dimensional,
        "parts": float((whole - parts).abs().max()),
        "units": [list(shared_units(width)) for width in WIDTHS],
        "two": two_dimensional,
        "page": list(page.shape),
        "map": list(found.shape),
        "windows": float(np.abs(found.reshape(alone.shape) - alone).max()),
        "right": right,
        "digits": len(places(setting)),
    }


def places(setting: Setting) -> list[tuple[int, int, int]]:
    """Return the digits of the page: (label, left, top)."""
    rng = np.random.default_rng([setting.seed, 6])
    found = []
    for row in range(3):
        for column in range(4):
            left = 8 + 40 * column + int(rng.integers(-4, 5))
            top = 4 + 44 * row + int(rng.integers(-4, 5))
            found.append((int(rng.integers(10)), left, top))
    return found


def make_page(setting: Setting) -> npt.NDArray[np.uint8]:
    """Lay three rows of digits onto a page, none quite in line."""
    rng = np.random.default_rng([setting.seed, 6, 1])
    chosen = places(setting)
    digits = shipped.choose(setting.test, "".join(str(label) for label, _, _ in chosen), rng)
    return shipped.lay(
        digits,
        [left for _, left, _ in chosen],
        PAGE_WIDTH,
        PAGE_HEIGHT,
        [top for _, _, top in chosen],
    )


def draw(figures: Figures, setting: Setting) -> None:
    """Draw the unit diagram for three widths, and the score map of a page."""
    sheet = style.figure(9.4, 7.4)
    for axes, width in zip(sheet.subplots(3, 1), WIDTHS, strict=True):
        _draw_units(axes, width)
    style.save(sheet, setting.folder / "6-units.png")

    page = make_page(setting)
    found = shipped.probabilities(shipped.network(), page[None])[0]
    sheet = style.figure(8.6, 3.5)
    left, right = sheet.subplots(1, 2)
    style.bare(left).imshow(page, cmap=style.INK_MAP)
    left.set_title(f"A page of {page.shape[0]}×{page.shape[1]} pixels")
    rows, columns = found.shape[:2]
    edge = (RECEPTIVE_FIELD - STRIDE) / 2  # each answer stands under the middle of its window
    extent = (edge, edge + STRIDE * columns, edge + STRIDE * rows, edge)
    ink = 1 - found[..., NONE]
    style.bare(right).imshow(ink, cmap="Blues", vmin=0, vmax=1.3, extent=extent)
    right.set(xlim=(0, page.shape[1]), ylim=(page.shape[0], 0))
    for y, x in np.ndindex(rows, columns):
        label = int(found[y, x].argmax())
        if label != NONE:
            right.text(
                edge + STRIDE * (x + 0.5),
                edge + STRIDE * (y + 0.5),
                LABELS[label],
                ha="center",
                va="center",
                size=6.5,
                alpha=0.35 + 0.65 * float(found[y, x, label]),
            )
    right.set_title(f"One pass: {found.shape[0]}×{found.shape[1]} answers")
    style.save(sheet, setting.folder / "6-page.png")


def _draw_units(axes: Axes, width: int) -> None:
    """Draw every unit, what it sees, and which the last output adds."""
    counts = lengths(width)
    # A unit stands over the middle of what it sees.
    centers = [np.arange(counts[0], dtype=float)]
    for layer, count in zip(LAYERS, counts[1:], strict=True):
        starts = np.arange(count) * layer.stride
        centers.append(
            np.array([centers[-1][start : start + layer.kernel].mean() for start in starts])
        )
    old = [set[int]() for _ in counts]
    for output in range(counts[-1] - 1):
        old = [a | b for a, b in zip(old, seen_by(width, output), strict=True)]
    fresh = [set(range(n)) - seen for n, seen in zip(counts, old, strict=True)]
    for level, layer in enumerate(LAYERS):
        for unit, x in enumerate(centers[level + 1]):
            new = unit in fresh[level + 1]
            for k in range(layer.kernel):
                axes.plot(
                    [centers[level][unit * layer.stride + k], x],
                    [level, level + 1],
                    color=style.ORANGE if new else style.BLUE,
                    alpha=0.75 if new else 0.3,
                    lw=0.9,
                    zorder=1,
                )
    for level, xs in enumerate(centers):
        colors = [style.ORANGE if unit in fresh[level] else style.BLUE for unit in range(len(xs))]
        axes.scatter(xs, [level] * len(xs), s=62, c=colors, edgecolors="white", zorder=2)
        axes.text(-1.1, level, f"{len(xs)}", ha="right", va="center")
    style.bare(axes).set(xlim=(-2.2, WIDTHS[-1] - 0.3), ylim=(-0.5, len(LAYERS) + 0.5))
    outputs = "one output" if counts[-1] == 1 else f"{counts[-1]} outputs"
    axes.set_title(f"{width} inputs, {outputs}: {' → '.join(map(str, counts))}")


def tell(figures: Figures) -> Section:
    """Tell how the maps grow."""
    grown = [sides[-1] for sides in figures["one"]]
    field, stride = geometry(LeNet5().layers)
    claims = (
        Claim(
            "Over 10 inputs the lecture's net has 8, 4, 2 and 1 units",
            "10 → 8 → 4 → 2 → 1",
            " → ".join(map(str, figures["one"][0])),
            Held.of(figures["one"][0] == [10, 8, 4, 2, 1]),
        ),
        Claim(
            "Four more inputs, one more output",
            "10, 14, 18 inputs: 1, 2, 3",
            f"{', '.join(map(str, WIDTHS))} inputs: {', '.join(map(str, grown))}",
            Held.of(grown == [1, 2, 3]),
        ),
        Claim(
            "Each output is what the net says of that window alone",
            "",
            f"they differ by {figures['parts']:.1g} at most; LeNet-5's probabilities on a page by "
            f"{figures['windows']:.1g}",
            Held.of(figures["parts"] < 1e-5, figures["windows"] < 1e-3),
        ),
        Claim(
            "Taller inputs give two-dimensional score maps",
            "",
            f"{figures['page'][0]}×{figures['page'][1]} pixels give {figures['map'][0]}×"
            f"{figures['map'][1]} answers; {figures['right']} of {figures['digits']} digits are "
            "named at their place",
            Held.of(
                figures["map"][:2] == [(side - field) // stride + 1 for side in figures["page"]],
                figures["right"] == figures["digits"],
            ),
        ),
    )
    one = [
        [f"{width}", *map(str, sides[1:]), f"{units[0]}", f"{units[1]}"]
        for width, sides, units in zip(WIDTHS, figures["one"], figures["units"], strict=True)
    ]
    two = [["×".join(map(str, side)) for side in sides] for sides in figures["two"]]
    text = f"""
A convolution has no opinion on how long its input is. A net with dense layers has, unless they are
written as convolutions: then a longer input simply gives more outputs. The lecture draws it in one
dimension.

{picture("6-units.png", "Every unit of the one-dimensional net over 10, 14 and 18 inputs; what the last output adds is orange")}

Orange is what the last output adds; everything blue was computed already. That is why sliding is
cheap:

{table(["inputs", *(f"layer {k}" for k in range(1, 5)), "hidden units, one pass", "a pass a window"], one)}

Our LeNet-5 is the same in two dimensions. Its window is {RECEPTIVE_FIELD}×{RECEPTIVE_FIELD}, its
stride {STRIDE}; the sides of its maps, height × width:

{table(["input", *LAYER_NAMES], two)}

A strip gives a row of answers; anything taller gives a map of them. Nothing tells the network where
digits are, and it names each where it stands:

{picture("6-page.png", "A page with three rows of digits, and the two-dimensional map of what the network says at every place")}
"""
    return Section(claims, text)


LAYER_NAMES = tuple(shipped.TAPS)

CHAPTER = Chapter(
    6,
    "Any input length",
    "LeCun's 2020 lecture; Matan et al. 1991",
    measure,
    draw,
    tell,
)
