"""Chapter 8: feature binding. One stroke moves, and the digit becomes another.

A roof comes down on a 4, and it is a 9; the left side comes up to a 3, and it is an 8; a bar comes to
a 1, and it is a 7. What the network says along the way, and what its hidden maps do.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from training.lecture import frames, shipped, style
from training.lecture.chapter import (
    Chapter,
    Claim,
    Figures,
    Held,
    Section,
    Setting,
    percent,
    picture,
    table,
)
from training.networks import LABELS, RECEPTIVE_FIELD, LeNet5

Points = npt.NDArray[np.float64]  # (points, 2): x, y in pixels of the window

FINE = 8  # times finer than the window, strokes are drawn
STEP = 0.5  # pixels that the stroke moves from one picture to the next
LAYERS = ("conv 1", "pool 1", "pool 2", "fc 1")


def arc(x: float, y: float, across: float, along: float, first: float, last: float) -> Points:
    """Return points on an ellipse, between two angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(first, last, 32))
    return np.column_stack([x + across * np.cos(angles), y + along * np.sin(angles)])


@dataclass(frozen=True)
class Path:
    """A digit of fixed strokes, and one that comes from afar and makes it another digit."""

    before: str
    after: str
    fixed: tuple[Points, ...]
    moving: Points  # in its place
    direction: tuple[float, float]  # that it comes from, a unit vector
    reach: float  # pixels that it starts away

    @property
    def name(self) -> str:
        """The path, as a name."""
        return f"{self.before} → {self.after}"

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """How far the stroke is from its place, from afar to 0, in pixels."""
        return np.arange(self.reach, -STEP / 2, -STEP)


PATHS = (
    Path(
        "4",
        "9",
        (
            np.array([[10.5, 7.0], [9.8, 11.0], [10.5, 15.0], [13.0, 16.2], [19.5, 15.0]]),
            np.array([[20.5, 7.0], [20.0, 14.0], [18.5, 26.0]]),
        ),
        arc(15.5, 8.0, 5.0, 2.6, 180, 360),
        (0, -1),
        12,
    ),
    Path(
        "3",
        "8",
        (arc(15.5, 10.7, 4.6, 4.5, 215, 450), arc(15.5, 20.4, 5.2, 5.2, 270, 510)),
        np.concatenate([arc(15.5, 10.7, 4.6, 4.5, 270, 90), arc(15.5, 20.4, 5.2, 5.2, 270, 90)]),
        (-1, 0),
        18,
    ),
    Path(
        "1",
        "7",
        (np.array([[20.5, 6.5], [17.5, 16.0], [15.5, 25.5]]),),
        np.array([[9.0, 8.0], [14.0, 7.2], [20.5, 6.5]]),
        (-1, 0),
        22,
    ),
)


@dataclass(frozen=True)
class Hand:
    """How a digit is written."""

    width: float = 2.4  # of the pen, pixels
    slant: float = 0.0  # tangent, to the right
    move: tuple[float, float] = (0.0, 0.0)  # of the whole digit, pixels

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Hand":
        """Return another hand."""
        return cls(
            float(rng.uniform(1.9, 3.0)),
            float(rng.uniform(-0.15, 0.25)),
            (float(rng.uniform(-1.5, 1.5)), float(rng.uniform(-1.5, 1.5))),
        )


def write(path: Path, distance: float, hand: Hand) -> npt.NDArray[np.uint8]:
    """Write a path's digit with its stroke so many pixels from its place.

    Returns:
        (32, 32) uint8, ink bright on 0; what is beyond the window is cut off.
    """
    side = RECEPTIVE_FIELD
    canvas = np.zeros((side * FINE, side * FINE), np.uint8)
    for stroke in (*path.fixed, path.moving + distance * np.array(path.direction)):
        x = stroke[:, 0] + hand.slant * (side / 2 - stroke[:, 1]) + hand.move[0]
        y = stroke[:, 1] + hand.move[1]
        points = np.round(np.column_stack([x, y]) * FINE).astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, round(hand.width * FINE), cv2.LINE_AA)
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def follow(net: LeNet5, path: Path, hand: Hand) -> dict[str, list[list[float]]]:
    """Return class scores along a path, and how far each layer's maps are on their way.

    Returns:
        `scores`, (steps, labels); and by layer (steps, 1): the distance of its maps from those of
        the first picture, as a share of that from the first to the last.
    """
    pages = np.stack([write(path, distance, hand) for distance in path.distances])
    maps = shipped.maps(net, pages)
    found = {"scores": shipped.probabilities(net, pages)[:, 0, 0].tolist()}
    for name in LAYERS:
        flat = maps[name].flatten(1).numpy()
        far = np.linalg.norm(flat - flat[0], axis=1)
        found[name] = (far / max(float(far[-1]), 1e-9))[:, None].tolist()
    return found


def crossing(values: npt.NDArray[np.float64], level: float) -> float:
    """Return where values rise past a level for good, between steps, in steps."""
    above = values >= level
    if above.all():
        return 0.0
    below = int(np.flatnonzero(~above)[-1])
    if below == len(values) - 1:
        return float(below)
    low, high = values[below], values[below + 1]
    return below + float((level - low) / (high - low))


def width(values: npt.NDArray[np.float64]) -> float:
    """Return how many pixels the stroke moves while a value goes from 10% to 90% for good."""
    return STEP * (crossing(values, 0.9) - crossing(values, 0.1))


def measure(setting: Setting) -> Figures:
    """Follow every path in one clean hand, and its ends and turns in many."""
    net = shipped.network()
    paths = {path.name: follow(net, path, Hand()) for path in PATHS}
    hands = setting.pick(100, 5)
    many: dict[str, dict[str, list[float]]] = {}
    for path in PATHS:
        rng = np.random.default_rng([setting.seed, 8])
        of: dict[str, list[float]] = {"begins": [], "ends": [], "turn": [], "class": []}
        of |= {f"{what} {name}": [] for what in ("half", "width") for name in LAYERS}
        for _ in range(hands):
            found = follow(net, path, Hand.random(rng))
            scores = np.array(found["scores"])
            after = scores[:, LABELS.index(path.after)]
            begins = int(scores[0].argmax()) == LABELS.index(path.before)
            ends = int(scores[-1].argmax()) == LABELS.index(path.after)
            of["begins"].append(float(begins))
            of["ends"].append(float(ends))
            if begins and ends:
                of["turn"].append(float(path.reach - STEP * crossing(after, 0.5)))
                of["class"].append(width(after))
                for name in LAYERS:
                    way = np.array(found[name])[:, 0]
                    of[f"width {name}"].append(width(way))
                    of[f"half {name}"].append(float(path.reach - STEP * crossing(way, 0.5)))
        many[path.name] = of
    return {
        "hands": hands,
        "data": "strokes drawn by the module",
        "paths": paths,
        "many": {
            name: {what: (float(np.mean(each)) if each else None) for what, each in of.items()}
            for name, of in many.items()
        },
    }


def draw(figures: Figures, setting: Setting) -> None:
    """Draw scores and maps along each path, the maps that change most, and animate them."""
    net = shipped.network()
    plot = style.figure(9.2, 5.4)
    grid = plot.subplots(2, len(PATHS), sharey="row")
    for (above, below), path in zip(grid.T, PATHS, strict=True):
        of = figures["paths"][path.name]
        scores = np.array(of["scores"])
        ends = [LABELS.index(path.before), LABELS.index(path.after)]
        others = [label for label in range(len(LABELS)) if label not in ends]
        loud = sorted(others, key=lambda label: -scores[:, label].max())[:2]
        for label, color in zip([*ends, *loud], style.COLORS, strict=False):
            if scores[:, label].max() > 0.03:
                above.plot(path.distances, 100 * scores[:, label], color=color, label=LABELS[label])
        above.set(title=path.name, ylim=(-3, 103))
        above.legend(fontsize=8, loc="center left")
        for name, color in zip(LAYERS, style.COLORS, strict=False):
            below.plot(path.distances, 100 * np.array(of[name])[:, 0], color=color, label=name)
        below.set(xlabel="stroke's distance from its place, pixels")
        for axes in (above, below):
            axes.invert_xaxis()
    grid[0, 0].set_ylabel("probability, %")
    grid[1, 0].set_ylabel("maps on their way, %")
    grid[1, 0].legend(fontsize=8)
    style.save(plot, setting.folder / "8-paths.png")
    _draw_maps(net, setting)
    for path in PATHS:
        coarse = 1 + len(path.distances) // 30  # long ways in whole pixels: a smaller file
        shown = [_frame(net, path, distance) for distance in path.distances[::coarse]]
        name = f"8-{path.before}-to-{path.after}.gif"
        style.animate(shown, setting.folder / name, 110)


def _draw_maps(net: LeNet5, setting: Setting) -> None:
    """Draw, for each path, the picture at five places and the pool 1 maps that change most."""
    sheet = style.figure(9.2, 5.6)
    parts = np.atleast_1d(np.asarray(sheet.subfigures(1, len(PATHS), wspace=0.03), object))
    for part, path in zip(parts, PATHS, strict=True):
        chosen = np.array([path.reach, 6, 4, 2, 0])
        pages = np.stack([write(path, distance, Hand()) for distance in chosen])
        maps = shipped.maps(net, pages)["pool 1"].numpy()
        most = np.argsort(-np.abs(maps[-1] - maps[0]).sum((1, 2)))[:3]
        for row, axes_of in enumerate(part.subplots(len(chosen), 1 + len(most))):
            style.bare(axes_of[0]).imshow(pages[row], cmap=style.INK_MAP)
            axes_of[0].set_ylabel(f"{chosen[row]:g} px", fontsize=8)
            for axes, index in zip(axes_of[1:], most, strict=True):
                top = float(maps[:, index].max())
                style.bare(axes).imshow(maps[row, index], cmap="Blues", vmin=0, vmax=top)
                if row == 0:
                    axes.set_title(f"map {index}", fontsize=8, fontweight="normal", loc="center")
        part.suptitle(path.name, fontsize=11, fontweight="bold")
    style.save(sheet, setting.folder / "8-maps.png")


def _frame(net: LeNet5, path: Path, distance: float) -> Image.Image:
    page = write(path, distance, Hand())
    maps = shipped.maps(net, page[None])["pool 1"][0].numpy()
    tiles = np.minimum(style.mosaic(maps / max(float(maps.max()), 1e-6), 5, gap=0.06), 1)
    zoom = 8
    digit = frames.stack(
        [frames.Row("", page / 255)],
        f"{path.before} to {path.after}",
        f"{distance:.1f} px away",
        zoom=zoom,
    )
    hidden = frames.stack([frames.Row("", tiles, heat=True)], "20 maps of pool 1", zoom=4)
    chances = shipped.probabilities(net, page[None])[0, 0, 0]
    return frames.beside([digit, hidden, frames.bars(chances, digit.height, 190)])


def tell(figures: Figures) -> Section:
    """Tell how sharply the class turns, and how the maps go there."""
    many = figures["many"]
    clean = figures["paths"]
    right = [
        int(np.argmax(clean[path.name]["scores"][end])) == LABELS.index(label)
        for path in PATHS
        for end, label in ((0, path.before), (-1, path.after))
    ]
    narrower = [
        many[name]["class"] < many[name]["width conv 1"] / 2
        for name in many
        if many[name]["class"] is not None
    ]

    def pixels(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    later = [
        many[name][f"half {deep}"] <= many[name][f"half {shallow}"]
        for name in many
        if many[name]["turn"] is not None
        for shallow, deep in (("conv 1", "pool 2"), ("pool 2", "fc 1"))
    ]
    claims = (
        Claim(
            "One stroke that moves makes a digit another",
            "",
            f"in one clean hand {sum(right)} of {len(right)} ends are named right; in "
            f"{figures['hands']} hands "
            + ", ".join(
                f"{name} {percent(of['begins'], 0)} and {percent(of['ends'], 0)}"
                for name, of in many.items()
            ),
            Held.of(*right),
        ),
        Claim(
            "The class turns within a narrow part of the way, the first maps change all along it",
            "",
            "; ".join(
                f"{name}: class {pixels(of['class'])} px, conv 1 {pixels(of['width conv 1'])} px"
                for name, of in many.items()
            ),
            Held.of(*narrower),
        ),
        Claim(
            "The deeper a layer, the later it changes",
            "",
            "half of the way when the stroke is so far from its place: "
            + "; ".join(
                f"{name} " + ", ".join(f"{layer} {pixels(of[f'half {layer}'])}" for layer in LAYERS)
                for name, of in many.items()
            ),
            Held.of(*later),
        ),
    )
    rows = [
        [
            name,
            percent(of["begins"], 0),
            percent(of["ends"], 0),
            *(pixels(of[f"half {layer}"]) for layer in LAYERS),
            pixels(of["turn"]),
            pixels(of["width conv 1"]),
            pixels(of["class"]),
        ]
        for name, of in many.items()
    ]
    head = [
        "path",
        "begins right",
        "ends right",
        *LAYERS,
        "class",
        "conv 1, 10 to 90%",
        "class, 10 to 90%",
    ]
    text = f"""
A digit is strokes in their places. A 4 with a roof is a 9; a 3 that is closed on the left is an 8; a 1
with a bar is a 7. Here one stroke comes from outside the window, half a pixel at a time, and is bound
to the others when it arrives. Strokes are drawn by the module, in one clean hand for the pictures and
in {figures["hands"]} hands (pen, slant, place) for the table.

{picture("8-4-to-9.gif", "A roof comes down on a 4 until it is a 9; twenty hidden maps and the class scores follow")}

{picture("8-3-to-8.gif", "The left side comes to a 3 until it is an 8")}

{picture("8-1-to-7.gif", "A bar comes to a 1 until it is a 7")}

{picture("8-paths.png", "Class scores and the way of the hidden maps along each path")}

{table(head, rows)}

How far from its place the stroke is, in pixels, when a layer's maps are half of the way from the first
picture to the last for good, and when the new class has half of the probability. The last two columns
are how many pixels the stroke moves while the first layer, and while the class, goes from 10% to 90%.

{picture("8-maps.png", "The three maps of the first pooling that change most, at five distances of the stroke")}

**What the hidden maps do.** Each map marks one kind of edge. While the stroke travels, its marks travel
across the maps as one piece; the other strokes' marks stay. Nothing in the first layers knows what is a
digit. Only where a later unit sees the stroke's marks beside the others', at the right distance, does
it answer: that is binding, and it happens within a few pixels. Before it, a stroke on its way may
look like something else, or like a neighbor's ink, and the network may say `none`: it has learned to
say so of windows with two things in them.
"""
    return Section(claims, text)


CHAPTER = Chapter(
    8,
    "Feature binding",
    "LeCun's 2020 lecture and demonstration pages",
    measure,
    draw,
    tell,
)
