"""The pictures of chapter 7: ribbons, cost, readers, curves, and an animation of every change."""

import numpy as np

from service.recognition.decoding.decoder import decode_views
from service.recognition.model import Scorer
from training.lecture import cutting, frames, shipped, style
from training.lecture.changes import CHANGES, Change
from training.lecture.chapter import Figures, Setting
from training.lecture.readers import DIGITS, GAPS, READERS, pair, read, string

WIDTHS = (32, 64, 128, 256, 512, 1024)  # of strips whose cost is compared, pixels
COLOR = dict(zip(READERS, style.COLORS, strict=False))


def draw(figures: Figures, setting: Setting) -> None:
    """Draw the ribbon, the cost, the readers and the curves, and animate every change."""
    scorer = Scorer()
    two = pair(setting)
    rng = np.random.default_rng([setting.seed, 7, 4])
    longer = string(shipped.choose(setting.test, "31415", rng), 3)
    shown = frames.beside(
        [
            frames.ribbon(
                page, np.exp(scorer.score(page)[0]), f"32 by {page.shape[1]} pixels", zoom=4
            )
            for page in (two, longer)
        ]
    )
    shown.quantize(style.SHADES).save(setting.folder / "7-ribbon.png", optimize=True)
    _draw_cost(figures, setting)
    _draw_strings(figures, setting)
    _draw_curves(figures, setting)
    _draw_cuts(scorer, setting)
    for change in CHANGES:
        _animate(scorer, change, setting)


def _draw_cost(figures: Figures, setting: Setting) -> None:
    plot = style.figure(6.6, 3.4)
    axes = plot.subplots()
    widths, _, arithmetic, measured, _ = np.array(figures["cost"]).T
    axes.plot(widths, arithmetic, "o-", label="multiplications")
    axes.plot(widths, measured, "o-", label="time, measured")
    axes.axhline(1, color=style.GRAY, lw=0.8, ls=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    axes.set(xlabel="width of the strip, pixels", ylabel="times one pass", ylim=(0, None))
    axes.set_title("What windows one by one cost, against one pass")
    axes.legend()
    style.save(plot, setting.folder / "7-cost.png")


def _draw_strings(figures: Figures, setting: Setting) -> None:
    plot = style.figure(6.6, 3.6)
    axes = plot.subplots()
    for name, says in READERS.items():
        right = 100 * np.array(figures["strings"][name])
        axes.plot(GAPS, right, "o-", color=COLOR[name], label=says)
    axes.axvline(0, color=style.GRAY, lw=0.8, ls=":")
    axes.set(xlabel="gap between the digits' ink, pixels", ylabel="strings of four read exactly, %")
    axes.set(ylim=(0, 102), title="Digits move together")
    axes.invert_xaxis()
    axes.legend(fontsize=8, loc="lower left")
    style.save(plot, setting.folder / "7-strings.png")


def _draw_curves(figures: Figures, setting: Setting) -> None:
    plot = style.figure(9.2, 5.2)
    for axes, change in zip(plot.subplots(2, 3, sharey=True).flat, CHANGES, strict=True):
        of = figures["changes"][change.name]
        axes.axvspan(*change.learned, color=style.GREEN, alpha=0.12, lw=0)
        axes.axvline(change.nothing, color=style.GRAY, lw=0.8, ls=":")
        axes.plot(of["amounts"], 100 * np.array(of["surest"]), "o-", ms=3, label="surest window")
        axes.plot(of["amounts"], 100 * np.array(of["center"]), "o-", ms=3, label="middle window")
        axes.set(title=change.name.capitalize(), xlabel=change.unit, ylim=(0, 103))
    for axes in plot.axes[::3]:
        axes.set_ylabel("digits right, %")
    plot.axes[0].legend(fontsize=8, loc="lower center")
    style.save(plot, setting.folder / "7-curves.png")


def _draw_cuts(scorer: Scorer, setting: Setting) -> None:
    """Draw one string apart and touching, as the sliding window and as the better cutter see it.

    It is the first of the test strings that the cutter reads apart, but not touching.
    """
    net = shipped.network()
    rng = np.random.default_rng([setting.seed, 7, 2])
    for _ in range(100):
        text = "".join(str(digit) for digit in rng.integers(0, 10, DIGITS))
        digits = shipped.choose(setting.test, text, rng)
        apart, touching = (string(digits, gap) for gap in (4, 0))
        results = [read("cut", scorer, net, page) == text for page in (apart, touching)]
        if results == [True, False] and read("slide", scorer, net, touching) == text:
            break
    columns = []
    for says, page in (("apart", apart), ("touching", touching)):
        chances = np.exp(scorer.score(page)[0])
        slid = f"slid: {read('slide', scorer, net, page)}"
        pieces = [
            np.pad(each, ((0, 0), (0, 2))) for each in cutting.characters(page, cut_wide=True)
        ]
        row = frames.Row("", np.concatenate(pieces, axis=1) / 255)
        cut = f"read: {read('cut', scorer, net, page)}"
        columns.append(
            frames.above(
                [
                    frames.ribbon(page, chances, says, slid, zoom=4),
                    frames.stack([row], "cut into", cut, zoom=4),
                ]
            )
        )
    whole = frames.beside(columns)
    whole.quantize(style.SHADES).save(setting.folder / "7-cuts.png", optimize=True)


def _animate(scorer: Scorer, change: Change, setting: Setting) -> None:
    """Animate three digits under one change, with their scores."""
    rng = np.random.default_rng([setting.seed, 7, 6])
    page = shipped.lay(shipped.choose(setting.test, "582", rng), [24, 52, 80], 136)
    count = 13 if change.name == "drown" else 21
    shown = []
    for amount in np.linspace(change.amounts[0], change.amounts[-1], count):
        changed = change.apply(page, float(amount), np.random.default_rng([setting.seed, 7, 7]))
        scores = scorer.score(changed)[0]
        text = decode_views([scores], scorer.metadata).text
        title = (
            f"{change.name} {amount:.2f}" if change.nothing == 1 else f"{change.name} {amount:+.1f}"
        )
        shown.append(
            frames.ribbon(changed, np.exp(scores), title, f"read: {text or 'nothing'}", zoom=4)
        )
    style.animate(shown, setting.folder / f"7-{change.name}.gif", 110)
