"""Chapter 4: the kinds of layer, swapped one at a time in one small network."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from training.lecture import style
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
from training.lecture.kinds import (
    AveragePool,
    Divisive,
    FilterBank,
    LogProbPool,
    LpPool,
    MaxPool,
    ReLU,
    Subtractive,
    Whitening,
    sparsity,
    squares,
)
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

Normalization = Callable[[Tensor], nn.Module]  # fitted to the training images
NORMALIZATIONS: dict[str, Normalization] = {
    "none": lambda _: nn.Identity(),
    "whitening": Whitening,
    "subtractive": lambda _: Subtractive(),
    "divisive": lambda _: Divisive(),
}
NONLINEARITIES: dict[str, type[nn.Module]] = {
    "ReLU": ReLU,
    "tanh": nn.Tanh,
    "none": nn.Identity,
}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "maximum": MaxPool,
    "average": AveragePool,
    "L2": lambda: LpPool(2),
    "log-prob, b = 2": lambda: LogProbPool(2),
}
RATE, BATCH = 4e-3, 25
FEATURES = 16  # second convolution's filters


@dataclass(frozen=True)
class Recipe:
    """Which kind stands in each place of normalize → filter bank → nonlinearity → pool, twice."""

    normalization: str = "none"
    filters: int = 8
    nonlinearity: str = "ReLU"
    pooling: str = "maximum"

    def build(self, images: Tensor) -> nn.Sequential:
        """Build the network; `images` are what a normalization is fitted to."""
        first, second = FilterBank(1, self.filters), FilterBank(self.filters, FEATURES)
        nonlinear, pool = NONLINEARITIES[self.nonlinearity], POOLINGS[self.pooling]
        body = [first, nonlinear(), pool(), second, nonlinear(), pool()]
        normalize = NORMALIZATIONS[self.normalization](images)
        return nn.Sequential(normalize, *body, nn.Flatten(), nn.Linear(FEATURES * 25, 10))


BASE = Recipe()
SWAPS: dict[str, list[tuple[str, Recipe]]] = {
    "normalization": [(name, replace(BASE, normalization=name)) for name in NORMALIZATIONS],
    "filter bank": [
        (f"{filters} filters ({filters / 25:g}×)", replace(BASE, filters=filters))
        for filters in (2, 8, 32)
    ],
    "nonlinearity": [(name, replace(BASE, nonlinearity=name)) for name in NONLINEARITIES],
    "pooling": [(name, replace(BASE, pooling=name)) for name in POOLINGS],
}


def measure(setting: Setting) -> Figures:
    """Train the network with each kind in its place, and look at what each kind does."""
    seeds = setting.pick(4, 2)
    passes = setting.pick(6, 1)
    recipes = dict.fromkeys(each for of in SWAPS.values() for _, each in of)
    errors: dict[Recipe, list[float]] = {recipe: [] for recipe in recipes}
    sparse: dict[str, list[tuple[float, float]]] = {name: [] for name in NONLINEARITIES}
    for seed in range(seeds):
        rng = np.random.default_rng([setting.seed, 4, seed])
        learned = some(setting.training, setting.pick(1_000, 100), rng)
        tested = some(setting.test, setting.pick(2_000, 100), rng)
        training = tensors(learned.images / 255, learned.labels)
        test = tensors(tested.images / 255, tested.labels)
        for recipe in recipes:
            net = recipe.build(training[0])
            initialize(net, randomness(setting.seed, 4, seed))
            train(
                net,
                *training,
                randomness(setting.seed, 4, seed, 1),
                passes=passes,
                batch=BATCH,
                optimizer=torch.optim.Adam(net.parameters(), RATE),
            )
            errors[recipe].append(error(net, *test))
            if recipe == replace(BASE, nonlinearity=recipe.nonlinearity):
                with torch.inference_mode():
                    sparse[recipe.nonlinearity].append(sparsity(net[:7](test[0][:200])))
    return {
        "seeds": seeds,
        "passes": passes,
        "learned": len(learned),
        "tested": len(tested),
        "data": setting.data,
        "errors": {
            place: {name: interval(errors[recipe]).to_dict() for name, recipe in swaps}
            for place, swaps in SWAPS.items()
        },
        "differences": {
            place: {
                name: interval(np.subtract(errors[recipe], errors[BASE]).tolist()).to_dict()
                for name, recipe in swaps
                if recipe != BASE
            }
            for place, swaps in SWAPS.items()
        },
        "sparsity": {
            name: [float(each) for each in np.mean(of, axis=0)] for name, of in sparse.items()
        },
        "limits": limits(setting.seed),
        "overcomplete": overcomplete(setting.seed),
    }


def limits(seed: int) -> dict[str, list[list[float]]]:
    """Return how far L_p and log-prob are from what they tend to, by p and by b."""
    values = torch.randn(200, 1, 8, 8, generator=randomness(seed, 4), dtype=torch.float64)
    greatest, mean = MaxPool()(values), AveragePool()(values)
    size = squares(values.abs()).amax(-1)
    powers = [1, 2, 4, 8, 16, 32, 64, 128]
    sharpness = [10.0**exponent for exponent in np.arange(-3, 3.01, 0.5)]

    def apart(found: Tensor, limit: Tensor) -> float:
        return float((found - limit).abs().mean())

    return {
        "p": [[p, apart(LpPool(p)(values), size)] for p in powers],
        "b to maximum": [[b, apart(LogProbPool(b)(values), greatest)] for b in sharpness],
        "b to mean": [[b, apart(LogProbPool(b)(values), mean)] for b in sharpness],
    }


def overcomplete(seed: int) -> list[list[float]]:
    """Return (filters, share of a square's energy that can be had back from them)."""
    rng = randomness(seed, 4, 1)
    patches = torch.randn(500, 25, generator=rng)
    found = []
    for filters in (2, 8, 16, 24, 25, 32, 50):
        bank = FilterBank(1, filters)
        initialize(bank, rng)
        projected = bank(patches.reshape(-1, 1, 5, 5)).flatten(1).detach()
        lost = (bank.restore(projected) - patches).square().sum() / patches.square().sum()
        found.append([filters, 1 - float(lost)])
    return found


def draw(figures: Figures, setting: Setting) -> None:
    """Draw the errors, the limits of pooling, and what each normalization makes of a digit."""
    plot = style.figure(8.6, 4.2)
    axes = plot.subplots()
    _draw_errors(axes, figures)
    style.save(plot, setting.folder / "4-errors.png")

    plot = style.figure(8.6, 3.2)
    powers, sharp, bank = plot.subplots(1, 3)
    powers.loglog(*np.array(figures["limits"]["p"]).T, "o-")
    powers.set(xlabel="p", ylabel="mean distance", title="L_p → the greatest |x|")
    for (name, says), color in zip(
        (("b to maximum", "from the maximum"), ("b to mean", "from the mean")),
        style.COLORS,
        strict=False,
    ):
        sharp.loglog(*np.array(figures["limits"][name]).T, "o-", color=color, label=says)
    sharp.set(xlabel="b", title="Log-prob between its limits")
    sharp.legend()
    bank.plot(*np.array(figures["overcomplete"]).T, "o-", color=style.GREEN)
    bank.axvline(25, color=style.GRAY, lw=0.8, ls=":")
    bank.set(xlabel="filters over 25 pixels", ylabel="energy recovered")
    bank.set(title="Overcomplete from 25 on", ylim=(0, 1.05))
    style.save(plot, setting.folder / "4-limits.png")

    digits = some(setting.training, 400, np.random.default_rng([setting.seed, 4]))
    images, _ = tensors(digits.images / 255, digits.labels)
    sheet = style.figure(8.6, 3.4)
    grid = sheet.subplots(2, len(NORMALIZATIONS))
    for column, (name, kind) in zip(grid.T, NORMALIZATIONS.items(), strict=True):
        seen = kind(images)(images[:2]).numpy()
        for axes, shown in zip(column, seen[:, 0], strict=True):
            reach = float(np.abs(shown).max())
            colors = style.INK_MAP if name == "none" else style.SIGNED_MAP
            low = 0 if name == "none" else -reach
            style.bare(axes).imshow(shown, cmap=colors, vmin=low, vmax=reach)
        column[0].set_title({"none": "As it is"}.get(name, name.capitalize()))
    style.save(sheet, setting.folder / "4-normalized.png")


def _draw_errors(axes: Axes, figures: Figures) -> None:
    labels, height = [], 0.0
    for color, (place, of) in zip(style.COLORS, figures["errors"].items(), strict=False):
        for name, each in of.items():
            wrong = Interval(**each)
            reach = [[100 * (wrong.mean - wrong.low)], [100 * (wrong.high - wrong.mean)]]
            axes.errorbar(100 * wrong.mean, height, xerr=reach, fmt="o", color=color, capsize=3)
            labels.append((height, f"{place}: {name}"))
            height -= 1
        height -= 0.6
    axes.set_yticks([at for at, _ in labels], [name for _, name in labels])
    base = Interval(**figures["errors"]["pooling"]["maximum"])
    axes.axvline(100 * base.mean, color=style.GRAY, lw=0.8, ls=":", zorder=0)
    axes.set(xlabel="test digits wrong, %", title="One kind swapped at a time")
    axes.margins(y=0.03)


def tell(figures: Figures) -> Section:
    """Tell which kinds matter in so small a network."""
    errors = {
        place: {name: Interval(**each) for name, each in of.items()}
        for place, of in figures["errors"].items()
    }
    apart = {
        place: {name: Interval(**each) for name, each in of.items()}
        for place, of in figures["differences"].items()
    }
    zeros = {name: each[0] for name, each in figures["sparsity"].items()}
    hoyer = {name: each[1] for name, each in figures["sparsity"].items()}
    recovered = {int(filters): share for filters, share in figures["overcomplete"]}
    limit = figures["limits"]

    def points(each: Interval) -> str:
        if not math.isfinite(each.low):
            return f"{100 * each.mean:+.1f}"
        return f"{100 * each.mean:+.1f} ({100 * each.low:+.1f} to {100 * each.high:+.1f})"

    helped = {name: each.high < 0 for name, each in apart["normalization"].items()}
    small, large = (next(iter(apart["filter bank"])), list(apart["filter bank"])[-1])
    claims = (
        Claim(
            "Normalizing the input helps",
            "",
            "; ".join(f"{name} {points(each)}" for name, each in apart["normalization"].items()),
            Held.of(*helped.values()),
        ),
        Claim(
            "More filters, up to overcomplete, are better",
            "",
            f"2 filters {points(apart['filter bank'][small])}; "
            f"32 filters {points(apart['filter bank'][large])}",
            Held.of(apart["filter bank"][small].low > 0, apart["filter bank"][large].high < 0),
        ),
        Claim(
            "A bank of 25 filters or more loses nothing of a 5×5 square, a smaller one does",
            "",
            f"energy recovered: {percent(recovered[8])} from 8, {percent(recovered[25])} from 25, "
            f"{percent(recovered[50])} from 50",
            Held.of(recovered[24] < 0.99, recovered[25] > 0.99, recovered[50] > 0.99),
        ),
        Claim(
            "ReLU makes activity sparse",
            "",
            f"after pooling {percent(zeros['ReLU'], 0)} of the second layer are exactly 0 (tanh "
            f"{percent(zeros['tanh'], 0)}); Hoyer's sparsity {hoyer['ReLU']:.2f}, "
            f"tanh {hoyer['tanh']:.2f}",
            Held.of(zeros["ReLU"] > 0.2, hoyer["ReLU"] > hoyer["tanh"]),
        ),
        Claim(
            "Without a nonlinearity it is worse, ReLU is better than tanh",
            "",
            f"none {points(apart['nonlinearity']['none'])}; "
            f"tanh {points(apart['nonlinearity']['tanh'])}",
            Held.of(apart["nonlinearity"]["none"].low > 0, apart["nonlinearity"]["tanh"].low > 0),
        ),
        Claim(
            "L_p tends to the greatest |x| as p → ∞; log-prob to the maximum as b → ∞, to the mean "
            "as b → 0",
            "",
            f"{limit['p'][-1][1]:.0e} away at p = {limit['p'][-1][0]}; "
            f"{limit['b to maximum'][-1][1]:.0e} at b = {limit['b to maximum'][-1][0]:g}; "
            f"{limit['b to mean'][0][1]:.0e} at b = {limit['b to mean'][0][0]:g}",
            Held.of(
                limit["p"][-1][1] < 0.05,
                limit["b to maximum"][-1][1] < 0.01,
                limit["b to mean"][0][1] < 0.01,
            ),
        ),
    )
    rows = [
        [
            f"{place}: {name}",
            percent(of.mean)
            + (f" ({100 * of.low:.1f} to {100 * of.high:.1f})" if math.isfinite(of.low) else ""),
            points(apart[place][name]) if name in apart[place] else "the base",
        ]
        for place, kinds in errors.items()
        for name, of in kinds.items()
    ]
    text = f"""
Every stage of a convolutional net is the same chain: normalize → filter bank → nonlinearity → pool.
Each kind is a module of a few lines in `training/lecture/kinds.py`, its formula in the docstring,
checked against numerical gradients and at its limits.

- **Normalization.** *Whitening* takes all correlation between pixels away. *Subtractive*
  normalization removes the local average, a high-pass filter; *divisive* normalization then divides
  by the local deviation, which evens out contrast.
- **Filter banks** project each square onto filters. With more filters than pixels the projection is
  overcomplete.
- **ReLU** is max(x, 0).
- **Pooling** is by maximum, by average, by L_p = (Σ|x|^p)^(1/p), or by log-prob =
  (1/b)·log mean e^(bx). The lecture's slides print log-prob without the logarithm, and L_p as a norm
  sign round |x|^p. Meant is what stands here: only so does the first have the maximum and the mean as
  limits, and the second is a p-norm.

{picture("4-normalized.png", "Two digits as they are, whitened, with the average removed, and with contrast evened")}

One small network (two stages of 5×5 filters, {BASE.filters} and {FEATURES} of them, ReLU, maximum) learns
{figures["learned"]:,} digits in {figures["passes"]} passes; one kind is swapped at a time; {figures["tested"]:,}
digits are tested, over {figures["seeds"]} seeds with 95% intervals. The last column is the difference
from the base on the same digits, in percentage points.

{table(["kind", "test digits wrong", "against the base"], rows)}

{picture("4-errors.png", "Test error of every kind, with intervals")}

{picture("4-limits.png", "How L_p and log-prob approach their limits, and what filter banks keep")}

**What we think.** MNIST is already normalized: black paper, even ink. So little is left for
normalization to win, and whitening amplifies what hardly varies. On photographs, which the lecture
speaks of, light and contrast differ from place to place. The nonlinearity is what makes two layers
more than one, though max-pooling is a nonlinearity as well and saves the network without any other.
"""
    return Section(claims, text)


CHAPTER = Chapter(
    4,
    "The kinds of layer",
    "LeCun's 2020 lecture; Jarrett et al. 2009 for local contrast",
    measure,
    draw,
    tell,
)
