"""Chapter 9: what convolution is good for. Signals that are local, stationary and composed.

Take the neighborhood away, by one fixed permutation of all pixels, and see who minds.
"""

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from training.data.digits import DigitSet
from training.lecture import shipped, style
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
from training.lecture.layer_kinds import BASE
from training.lecture.learning import (
    Interval,
    error,
    initialize,
    interval,
    randomness,
    tensors,
    train,
)
from training.lecture.zip_code import some
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, geometry

RATE, BATCH, HIDDEN = 3e-3, 25, 64
PATCH, FILTERS = 5, 6  # side of the patches, and how many principal ones are compared
BOX = slice(6, 26)  # rows and columns where MNIST has ink
SHOWN = 8  # patches beside a filter
NETS = ("fully connected", "convolutional")
LAYERS = ("conv 1", "conv 2", "fc 1")


def build(name: str, images: torch.Tensor) -> nn.Sequential:
    """Build one of the two nets."""
    if name == "convolutional":
        return BASE.build(images)
    pixels = RECEPTIVE_FIELD**2
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


def permuted(digits: DigitSet, order: npt.NDArray[np.int64]) -> DigitSet:
    """Return digits whose pixels have all changed places in the same way."""
    flat = digits.images.reshape(len(digits), -1)[:, order]
    return DigitSet(flat.reshape(digits.images.shape), digits.labels)


def permutation(setting: Setting, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return the one permutation of a seed."""
    return np.random.default_rng([setting.seed, 9, seed]).permutation(RECEPTIVE_FIELD**2)


def measure(setting: Setting) -> Figures:
    """Train both nets on digits as they are and permuted; take the statistics of both."""
    seeds = setting.pick(4, 2)
    passes = setting.pick(6, 1)
    errors: dict[str, dict[str, list[float]]] = {
        name: {"as they are": [], "permuted": []} for name in NETS
    }
    for seed in range(seeds):
        rng = np.random.default_rng([setting.seed, 9, 1, seed])
        learned = some(setting.training, setting.pick(2_000, 400), rng)
        tested = some(setting.test, setting.pick(3_000, 300), rng)
        order = permutation(setting, seed)
        for way in ("as they are", "permuted"):
            pair = [learned, tested]
            if way == "permuted":
                pair = [permuted(digits, order) for digits in pair]
            training, test = (tensors(each.images / 255, each.labels) for each in pair)
            for name in NETS:
                net = build(name, training[0])
                initialize(net, randomness(setting.seed, 9, seed))
                train(
                    net,
                    *training,
                    randomness(setting.seed, 9, seed, 1),
                    passes=passes,
                    batch=BATCH,
                    optimizer=torch.optim.Adam(net.parameters(), RATE),
                )
                errors[name][way].append(error(net, *test))
    sample = some(
        setting.training, setting.pick(5_000, 500), np.random.default_rng([setting.seed, 9, 2])
    )
    mixed = permuted(sample, permutation(setting))
    return {
        "seeds": seeds,
        "passes": passes,
        "learned": len(learned),
        "tested": len(tested),
        "data": setting.data,
        "errors": {
            name: {way: interval(each).to_dict() for way, each in of.items()}
            for name, of in errors.items()
        },
        "minded": {
            name: interval(np.subtract(of["permuted"], of["as they are"]).tolist()).to_dict()
            for name, of in errors.items()
        },
        "correlation": {
            "as they are": correlation(sample.images),
            "permuted": correlation(permuted_box(sample, setting)),
        },
        "stationarity": {
            "as they are": stationarity(sample.images),
            "permuted": stationarity(mixed.images),
        },
        "class_share": class_share(setting),
    }


def permuted_box(digits: DigitSet, setting: Setting) -> npt.NDArray[np.uint8]:
    """Return digits whose inked box alone is permuted, so that pairs can be compared like for like."""
    rng = np.random.default_rng([setting.seed, 9, 3])
    images = digits.images.copy()
    box = images[:, BOX, BOX]
    order = rng.permutation(box[0].size)
    images[:, BOX, BOX] = box.reshape(len(box), -1)[:, order].reshape(box.shape)
    return images


def correlation(images: npt.NDArray[np.uint8]) -> list[list[float]]:
    """Return (distance, mean correlation) of all pairs of pixels that vary, by whole distances."""
    flat = images[:, BOX, BOX].reshape(len(images), -1).astype(np.float64)
    side = BOX.stop - BOX.start
    varied = flat.std(0) > 10
    places = np.argwhere(varied.reshape(side, side)).astype(np.float64)
    together = np.asarray(np.corrcoef(flat[:, varied].T))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    return [
        [float(distance), float(together[np.abs(apart - distance) < 0.5].mean())]
        for distance in range(15)
    ]


def stationarity(images: npt.NDArray[np.uint8]) -> float:
    """Return how well one quarter's principal patches explain the other quarters', as a share.

    The variance of a quarter's 5×5 patches that the first few principal patches of another quarter
    explain, over what its own explain; the mean over all pairs. 1 if the quarters are alike.
    """
    box = images[:500, BOX, BOX].astype(np.float64)
    half = box.shape[1] // 2
    quarters = [
        box[:, top : top + half, left : left + half] for top in (0, half) for left in (0, half)
    ]
    spread = []
    for quarter in quarters:
        patches = sliding_window_view(quarter, (PATCH, PATCH), axis=(1, 2)).reshape(-1, PATCH**2)
        patches = patches - patches.mean(0)
        spread.append(patches.T @ patches / len(patches))
    principal = [np.linalg.eigh(each)[1][:, -FILTERS:] for each in spread]

    def explained(by: int, of: int) -> float:
        return float(np.trace(principal[by].T @ spread[of] @ principal[by]))

    pairs = [(by, of) for by in range(4) for of in range(4) if by != of]
    return float(np.mean([explained(by, of) / explained(of, of) for by, of in pairs]))


def class_share(setting: Setting) -> dict[str, float]:
    """Return, layer by layer, the share of a map's variance that the digit's class explains (η²).

    A map stands with its greatest answer; the mean over maps that answer at all.
    """
    rng = np.random.default_rng([setting.seed, 9, 4])
    digits = some(setting.test, setting.pick(2_000, 200), rng)
    maps = shipped.maps(shipped.network(), digits.images)
    shares = {}
    for name in LAYERS:
        answers = maps[name].amax((2, 3)).numpy().astype(np.float64)  # (digits, maps)
        means = np.stack([answers[digits.labels == label].mean(0) for label in range(10)])
        counts = np.bincount(digits.labels, minlength=10)[:, None]
        between = (counts * (means - answers.mean(0)) ** 2).sum(0) / len(answers)
        varied = answers.var(0) > 1e-8
        shares[name] = float((between[varied] / answers.var(0)[varied]).mean())
    return shares


def strongest(
    maps: npt.NDArray[np.floating], images: npt.NDArray[np.uint8], field: int, stride: int
) -> npt.NDArray[np.uint8]:
    """Return what a map answers to most: its best place in each of the digits it likes best.

    Args:
        maps: (digits, height, width) of one map.
        images: (digits, 32, 32).
        field: pixels that a unit sees.
        stride: pixels from one unit to the next.

    Returns:
        (SHOWN, field, field).
    """
    flat = maps.reshape(len(maps), -1)
    best = np.argsort(-flat.max(1))[:SHOWN]
    cut = []
    for digit in best:
        y, x = np.unravel_index(int(flat[digit].argmax()), maps.shape[1:])
        top, left = int(y) * stride, int(x) * stride
        cut.append(images[digit, top : top + field, left : left + field])
    return np.stack(cut)


def draw(figures: Figures, setting: Setting) -> None:
    """Draw a permuted digit, the errors, the correlations, and filters with what they answer to."""
    digits = some(setting.training, 4, np.random.default_rng([setting.seed, 9, 5]))
    mixed = permuted(digits, permutation(setting))
    plot = style.figure(9.2, 3.3)
    shown, wrong, local = plot.subplots(1, 3, width_ratios=(1, 1.15, 1.35))
    both = np.concatenate([digits.images[:2], mixed.images[:2]])
    style.bare(shown).imshow(style.mosaic(both, 2), cmap=style.INK_MAP)
    shown.set_title("Before and after")
    for place, name in enumerate(NETS):
        for offset, (way, each) in zip((-0.2, 0.2), figures["errors"][name].items(), strict=True):
            of = Interval(**each)
            wrong.bar(
                place + offset,
                100 * of.mean,
                0.36,
                color=style.BLUE if way == "as they are" else style.ORANGE,
                yerr=[[100 * (of.mean - of.low)], [100 * (of.high - of.mean)]],
                capsize=4,
                ecolor=style.GRAY,
                label=way if place == 0 else None,
            )
    wrong.set_xticks(range(len(NETS)), NETS)
    wrong.set(ylabel="test digits wrong, %", title="Who minds?")
    wrong.grid(visible=False, axis="x")
    wrong.legend(fontsize=8)
    for color, (way, of) in zip(style.COLORS, figures["correlation"].items(), strict=False):
        local.plot(*np.array(of).T, "o-", color=color, label=way, ms=4)
    local.axhline(0, color=style.GRAY, lw=0.8, ls=":")
    local.set(xlabel="distance, pixels", ylabel="correlation of two pixels", title="Locality")
    local.legend(fontsize=8)
    style.save(plot, setting.folder / "9-permuted.png")
    _draw_filters(setting)


def _draw_filters(setting: Setting) -> None:
    net = shipped.network()
    rng = np.random.default_rng([setting.seed, 9, 6])
    digits = some(setting.test, setting.pick(1_000, 200), rng)
    maps = {name: each.numpy() for name, each in shipped.maps(net, digits.images).items()}
    first = shipped.layers(net)[0].get_parameter("weight").detach().numpy()[:, 0]
    sheet = style.figure(9.2, 4.4)
    left, right = sheet.subplots(1, 2, width_ratios=(1.05, 1))
    order = np.argsort(-maps["conv 1"].max((0, 2, 3)))[:10]
    rows = []
    for index in order:
        filtered = first[index] / np.abs(first[index]).max()
        seen = strongest(maps["conv 1"][:, index], digits.images, PATCH, 1) / 255
        rows.append(np.concatenate([filtered[None], seen * 2 - 1]))
    _rows(left, np.stack(rows), "First layer: a filter, and what it answers to most")
    field, stride = geometry(shipped.layers()[: shipped.TAPS["conv 2"] + 1])
    active = np.argsort(-maps["conv 2"].var((0, 2, 3)))[:8]
    rows = [
        strongest(maps["conv 2"][:, index], digits.images, field, stride) / 127.5 - 1
        for index in active
    ]
    _rows(right, np.stack(rows), "Second layer: what eight maps answer to most", filters=False)
    style.save(sheet, setting.folder / "9-filters.png")


def _rows(axes: Axes, tiles: npt.NDArray[np.floating], title: str, filters: bool = True) -> None:
    """Draw (rows, columns, side, side) tiles of -1 to 1, the first column in color if filters."""
    count, across, side, _ = tiles.shape
    pitch = side + max(side // 6, 1)
    style.bare(axes)
    for row, column in np.ndindex(count, across):
        x, y = column * pitch + (2 if column and filters else 0), row * pitch
        colors = style.SIGNED_MAP if filters and column == 0 else style.INK_MAP
        axes.imshow(
            tiles[row, column], cmap=colors, vmin=-1, vmax=1, extent=(x, x + side, y + side, y)
        )
    axes.set(xlim=(-0.5, across * pitch + 2), ylim=(count * pitch, -0.5), title=title)
    axes.set_aspect("equal")


def tell(figures: Figures) -> Section:
    """Tell who minds, and why."""
    errors = {
        name: {way: Interval(**each) for way, each in of.items()}
        for name, of in figures["errors"].items()
    }
    minded = {name: Interval(**each) for name, each in figures["minded"].items()}
    near = {way: dict(of) for way, of in figures["correlation"].items()}
    alike = figures["stationarity"]
    share = figures["class_share"]
    dense, conv = NETS
    widths = [layer.weight.shape[0] for layer in shipped.layers() if isinstance(layer, nn.Conv2d)]
    share_units = dict(zip(LAYERS, widths, strict=False))

    def points(each: Interval) -> str:
        return f"{100 * each.mean:+.1f} points ({100 * each.low:+.1f} to {100 * each.high:+.1f})"

    claims = (
        Claim(
            "Fully connected nets do not mind one fixed permutation of all pixels",
            "",
            points(minded[dense]),
            Held.of(abs(minded[dense].mean) < 0.01),
        ),
        Claim(
            "Convolutional nets do",
            "",
            points(minded[conv]),
            Held.of(minded[conv].low > 0.01),
        ),
        Claim(
            "Locality: near pixels are alike, far ones are not",
            "",
            f"correlation {near['as they are'][1]:.2f} at 1 pixel, {near['as they are'][3]:.2f} at 3, "
            f"{near['as they are'][8]:.2f} at 8; permuted {near['permuted'][1]:.2f}, "
            f"{near['permuted'][3]:.2f}, {near['permuted'][8]:.2f}",
            Held.of(
                near["as they are"][1] > 0.5,
                abs(near["as they are"][8]) < 0.1,
                abs(near["permuted"][1]) < 0.1,
            ),
        ),
        Claim(
            "Stationarity: the same features serve everywhere",
            "",
            f"{FILTERS} principal patches of one quarter explain {percent(alike['as they are'])} of "
            f"what another quarter's own do; permuted {percent(alike['permuted'])}",
            Held.of(alike["as they are"] > 0.9, alike["permuted"] < alike["as they are"] - 0.1),
        ),
        Claim(
            "Compositionality: each layer says more of the class than the one below",
            "",
            "share of a map's variance that the class explains: "
            + ", ".join(f"{name} {percent(share[name], 0)}" for name in LAYERS),
            Held.of(share["conv 1"] < share["conv 2"], share["conv 2"] < share["fc 1"]),
        ),
    )
    rows = [
        [
            name,
            *(
                f"{percent(of.mean)} ({100 * of.low:.1f} to {100 * of.high:.1f})"
                for of in errors[name].values()
            ),
        ]
        for name in NETS
    ]
    text = f"""
A convolution bets on three things: that what belongs together is near together (*locality*), that the
same things occur everywhere (*stationarity*), and that large things are made of small ones
(*compositionality*). One fixed permutation of the pixels, the same for every image, keeps all
information and loses all bets.

{picture("9-permuted.png", "Two digits before and after the permutation; errors of both nets; correlation against distance")}

{table(["net", "as they are", "permuted"], rows)}

{figures["learned"]:,} digits learned in {figures["passes"]} passes, {figures["tested"]:,} tested,
{figures["seeds"]} seeds, each with a permutation of its own. A fully connected net cannot tell: it has no notion
of which inputs are neighbors, and the permuted task is the same task with its weights in other places. The
convolutional net can still learn, as its last layer sees everything, but its filters look at pixels
that have nothing to do with each other. Locality is shown on the {BOX.stop - BOX.start}×{BOX.stop - BOX.start}
pixels where MNIST has ink, permuted among themselves.

{picture("9-filters.png", "First-layer filters of the shipped network with the patches they answer to; patches that second-layer maps answer to")}

These are the shipped network's. In the first layer a filter (red for ink, blue for paper) answers to
one kind of edge or stroke, wherever in whichever digit it is: that is stationarity, and why weights can be
shared. In the second, a map answers to a corner, a crossing, an end of a stroke, pieces of digits made
of those edges. From such pieces the last layers tell the ten digits, and `{LABELS[NONE]}`.

Measured unit by unit, a layer need not say more of the class than the one below: the
{share_units["fc 1"]} units of fc 1 share the answer among them, and many of them, we think, tell `{LABELS[NONE]}`
from digits rather than one digit from another. That is why the last claim is about maps one by one, and what a whole
layer knows is more.

For sound, text and pictures the bets hold; for a table whose columns may be reordered they do not, and
there convolution has nothing to offer.
"""
    return Section(claims, text)


CHAPTER = Chapter(
    9,
    "What convolution is good for",
    "LeCun's 2020 lecture",
    measure,
    draw,
    tell,
)
