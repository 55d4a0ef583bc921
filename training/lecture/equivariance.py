"""Chapter 5: shift equivariance. Move the input, and the maps move with it.

How far they move is measured by registration to a fraction of a unit; how exactly, by moving the
maps back and looking at what is left.
"""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from training.lecture import frames, shipped, style
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
from training.lecture.learning import Interval, interval
from training.networks import PIXEL_MAX, RECEPTIVE_FIELD, STRIDE, LeNet5, geometry

Maps = npt.NDArray[np.floating]  # (..., width): rows and maps in front, registered along the last

LAYERS = {name: geometry(shipped.layers()[: index + 1]) for name, index in shipped.TAPS.items()}
SHIFTS = range(9)  # pixels
WIDTH = 160  # of the strip that is moved, pixels
STEP = 0.01  # of the search, units
BORDER_WIDTH = 96
SHOWN = {"conv 1": 3, "pool 1": 3, "conv 2": 12, "pool 2": 12}  # a map of each, to look at


def registration(before: Maps, after: Maps, reach: float = 12.0) -> float:
    """Return how far `after` stands to the right of `before`, in units, to a hundredth.

    It is the shift that makes their cross-correlation greatest, all rows and maps together. The
    correlation is evaluated between units by shifting the phases of its spectrum. The maps are 0
    where nothing is: a constant would not move, and hold the peak back.

    Args:
        before: (..., width).
        after: the same shape.
        reach: the greatest shift looked for, either way.
    """
    width = before.shape[-1]
    padded = 2 * width  # what leaves on the right must not come in from the left
    spectra = [np.fft.rfft(each.reshape(-1, width), padded) for each in (before, after)]
    cross = (np.conj(spectra[0]) * spectra[1]).sum(0)
    shifts = np.arange(-reach, reach + STEP / 2, STEP)
    waves = np.exp(2j * np.pi * np.outer(shifts, np.arange(len(cross))) / padded)
    weights = np.full(len(cross), 2.0)
    weights[[0, -1]] = 1
    correlation = (waves * cross * weights).real.sum(1)
    return float(shifts[np.argmax(correlation)])


def moved(maps: Maps, units: float) -> npt.NDArray[np.float64]:
    """Shift maps to the right by a fraction of a unit, by their spectrum (band-limited)."""
    width = maps.shape[-1]
    frequencies = np.fft.rfftfreq(2 * width)
    spectrum = np.fft.rfft(maps, 2 * width) * np.exp(-2j * np.pi * frequencies * units)
    return np.asarray(np.fft.irfft(spectrum, 2 * width)[..., :width], np.float64)


def inexactness(before: Maps, after: Maps, units: float) -> float:
    """Return what is left between maps and those moved to meet them, as a share of their size."""
    rest = after - moved(before, units)
    return float(np.linalg.norm(rest)) / max(float(np.linalg.norm(after)), 1e-12)


def padded(net: LeNet5) -> nn.Sequential:
    """Return the convolutional layers with edges padded by 0, so that only pooling shrinks a map."""
    layers: list[nn.Module] = []
    for layer in shipped.layers(net)[: shipped.TAPS["pool 2"] + 1]:
        if isinstance(layer, nn.Conv2d):
            whole = nn.Conv2d(layer.in_channels, layer.out_channels, 5, padding=2)
            whole.load_state_dict(layer.state_dict())
            layers.append(whole)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def measure(setting: Setting) -> Figures:
    """Move strips of digits pixel by pixel, and register every layer's maps."""
    net = shipped.network()
    rng = np.random.default_rng([setting.seed, 5])
    strips = setting.pick(40, 4)
    far: dict[str, list[list[float]]] = {name: [] for name in LAYERS}
    rest: dict[str, list[list[float]]] = {name: [] for name in LAYERS}
    for _ in range(strips):
        labels = "".join(str(digit) for digit in rng.integers(0, 10, 3))
        digits = shipped.choose(setting.test, labels, rng)
        places = [40, 62, 84]
        pages = np.stack([shipped.lay(digits, [x + s for x in places], WIDTH) for s in SHIFTS])
        for name, of in shipped.maps(net, pages).items():
            stride = LAYERS[name][1]
            maps = of.numpy().astype(np.float64)
            # Paper gives a map its own constant; only what the ink does is moved.
            maps -= maps[0, :, :, :1]
            far[name].append([registration(maps[0], each) for each in maps])
            rest[name].append(
                [
                    inexactness(maps[0], each, shift / stride)
                    for shift, each in zip(SHIFTS, maps, strict=True)
                ]
            )
    return {
        "strips": strips,
        "data": setting.data,
        "strides": {name: stride for name, (_, stride) in LAYERS.items()},
        "far": {name: np.mean(of, axis=0).tolist() for name, of in far.items()},
        "spread": {name: np.std(of, axis=0).tolist() for name, of in far.items()},
        "slopes": {
            name: interval([float(np.polyfit(list(SHIFTS), each, 1)[0]) for each in of]).to_dict()
            for name, of in far.items()
        },
        "rest": {name: np.mean(of, axis=0).tolist() for name, of in rest.items()},
        "borders": borders(net, setting),
    }


@torch.inference_mode()
def borders(net: LeNet5, setting: Setting) -> dict[str, list[float]]:
    """Return, column by column of the last pooling, what a move by one stride leaves unequal.

    A strip of digits wider than the view is moved by 4 pixels under it, so ink enters at one edge
    and leaves at the other. Padded and unpadded nets have the same weights.
    """
    rng = np.random.default_rng([setting.seed, 5, 1])
    whole = padded(net)
    bare = nn.Sequential(*shipped.layers(net)[: shipped.TAPS["pool 2"] + 1])
    shares: dict[str, list[npt.NDArray[np.float64]]] = {"padded": [], "unpadded": []}
    for _ in range(setting.pick(40, 4)):
        labels = "".join(str(digit) for digit in rng.integers(0, 10, 8))
        digits = shipped.choose(setting.test, labels, rng)
        wide = shipped.lay(digits, [20 * place - 10 for place in range(8)], BORDER_WIDTH + 32)
        views = np.stack([wide[:, 16 + s : 16 + s + BORDER_WIDTH] for s in (STRIDE, 0)])
        pixels = torch.from_numpy(views.astype(np.float32))[:, None] / PIXEL_MAX
        for name, layers in (("padded", whole), ("unpadded", bare)):
            before, after = layers(pixels).numpy().astype(np.float64)
            gap = np.abs(after[..., 1:] - before[..., :-1]).sum((0, 1))
            shares[name].append(gap / np.abs(after[..., 1:]).sum((0, 1)).mean())
    return {name: np.mean(of, axis=0).tolist() for name, of in shares.items()}


def draw(figures: Figures, setting: Setting) -> None:
    """Draw how far, how exactly, and where not."""
    plot = style.figure(8.8, 3.6)
    far, rest = plot.subplots(1, 2)
    for color, name in zip(style.COLORS, LAYERS, strict=True):
        stride = figures["strides"][name]
        far.errorbar(
            list(SHIFTS),
            figures["far"][name],
            figures["spread"][name],
            fmt="o-" if name in ("conv 1", "pool 1", "pool 2") else ".:",
            color=color,
            label=f"{name}: 1/{stride}" if stride > 1 else f"{name}: 1",
            lw=1.2,
            ms=4,
        )
        rest.plot(list(SHIFTS), 100 * np.array(figures["rest"][name]), "o-", color=color, ms=4)
    far.set(xlabel="input moved, pixels", ylabel="maps moved, units", title="How far")
    far.legend(title="layer: units a pixel", fontsize=8)
    rest.set(xlabel="input moved, pixels", ylabel="unexplained by a move, %", title="How exactly")
    for axes in (far, rest):
        axes.set_xticks(list(SHIFTS))
    style.save(plot, setting.folder / "5-equivariance.png")

    plot = style.figure(8.8, 2.8)
    axes = plot.subplots()
    for color, (name, of), offset in zip(
        (style.ORANGE, style.BLUE), figures["borders"].items(), (2, 8), strict=False
    ):
        centers = STRIDE * (np.arange(1, len(of) + 1)) + offset
        axes.plot(centers, 100 * np.array(of), "o-", color=color, label=f"{name} edges")
    axes.set(xlabel="column of the strip, pixels", ylabel="unequal after a move, %")
    axes.set(title="Where a move by one stride is not exact", xlim=(0, BORDER_WIDTH))
    axes.legend()
    style.save(plot, setting.folder / "5-borders.png")

    net = shipped.network()
    rng = np.random.default_rng([setting.seed, 5, 2])
    digit = shipped.choose(setting.test, "5", rng)
    pictures = []
    for shift in range(13):
        page = shipped.lay(digit, [4 + shift], 52)
        pictures.append(_frame(page, shipped.maps(net, page[None])))
    style.animate(pictures, setting.folder / "5-moving.gif", 180)


def _frame(page: npt.NDArray[np.uint8], maps: dict[str, torch.Tensor]) -> Image.Image:
    """Draw the input and one map of each layer, a unit as wide as its stride."""
    rows = [frames.Row("input", page / 255)]
    for name, index in SHOWN.items():
        field, stride = LAYERS[name]
        shown = maps[name][0, index].numpy()
        rows.append(frames.Row(name, shown / max(float(shown.max()), 1e-6), stride, field))
    return frames.stack(rows, zoom=4)


def tell(figures: Figures) -> Section:
    """Tell how far maps move, and where they do not move exactly."""
    slopes = {name: Interval(**each) for name, each in figures["slopes"].items()}
    rest = figures["rest"]
    edge = figures["borders"]
    inner = slice(len(edge["padded"]) // 3, -(len(edge["padded"]) // 3))
    worst = {name: 100 * max(of) for name, of in edge.items()}
    middle = {name: 100 * max(of[inner]) for name, of in edge.items()}
    named = {"conv 1": 1.0, "pool 1": 0.5, "pool 2": 0.25}
    whole = max(rest[name][shift] for name in ("pool 2", "scores") for shift in (4, 8))
    between = max(rest["pool 2"][shift] for shift in (1, 2, 3))
    claims = (
        Claim(
            "The input moves one pixel; the maps move 1 after the first convolution, ½ after the "
            "first pooling, ¼ after the second",
            "1, ½, ¼",
            ", ".join(f"{slopes[name].mean:.3f}" for name in named),
            Held.of(*(abs(slopes[name].mean - share) < 0.02 for name, share in named.items())),
        ),
        Claim(
            "Without stride the move is exact; with it, at multiples of the stride only",
            "",
            f"conv 1 leaves at most {100 * max(rest['conv 1']):.2f}% unexplained; pool 2 "
            f"{100 * whole:.2f}% at 4 and 8 pixels, up to {100 * between:.0f}% between",
            Held.of(max(rest["conv 1"]) < 0.01, whole < 0.01, between > 0.05),
        ),
        Claim(
            "At padded borders equivariance breaks; without padding it does not",
            "",
            f"padded: up to {worst['padded']:.0f}% at the edges, {middle['padded']:.2f}% inside; "
            f"unpadded: {worst['unpadded']:.2f}% everywhere at most",
            Held.of(worst["padded"] > 5, middle["padded"] < 0.5, worst["unpadded"] < 0.5),
        ),
    )
    rows = [
        [
            name,
            f"{LAYERS[name][0]}",
            f"{1 / stride:g}",
            f"{slopes[name].mean:.3f} ({slopes[name].low:.3f} to {slopes[name].high:.3f})",
            *(f"{100 * rest[name][shift]:.1f}%" for shift in (1, 2, 3, 4)),
        ]
        for name, stride in figures["strides"].items()
    ]
    head = ["layer", "sees, pixels", "expected", "measured", *(f"{s} px" for s in (1, 2, 3, 4))]
    text = f"""
A convolution asks the same question everywhere. So if the input moves, the answers move; a layer with
stride answers at fewer places, and its maps move less. We laid {figures["strips"]} strips of three test
digits under the shipped network, moved them pixel by pixel, and registered every layer's maps to a
hundredth of a unit.

{picture("5-moving.gif", "A five moves pixel by pixel; the maps of each layer follow in coarser steps")}

{table(head, rows)}

The column *measured* is the units that the maps move per pixel, with the 95% interval over strips; the
last four are what a move of the maps does not explain, as a share of their size, when the input moves
1 to 4 pixels.

{picture("5-equivariance.png", "How far the maps of each layer move, and how much a move leaves unexplained")}

**What stride does.** Pooling looks at squares that stand still. A stroke that moves one pixel falls
into another square, or not: the maps change shape as they move, and are the same again after 2
pixels (one pooling) or {STRIDE} (two). This is why the network is trained on digits shifted by up to
half a stride: between its positions, 4 pixels apart, it must not matter where the digit stands.

{picture("5-borders.png", "Column by column, what is unequal after a move by one stride, padded and unpadded")}

**Borders.** A padded convolution sees nothing beyond its edge, whatever is there: what comes in
changes the units near the border in ways that no move explains. LeNet-5 pads nothing, so every unit
sees real pixels only, and a window of {RECEPTIVE_FIELD} pixels answers the same wherever it is cut
from. The service's strips therefore have empty margins, and wide ones can be scored in tiles.
"""
    return Section(claims, text)


CHAPTER = Chapter(
    5,
    "Shift equivariance",
    "LeCun's 2020 lecture",
    measure,
    draw,
    tell,
)
