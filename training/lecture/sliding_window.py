"""Chapter 7: the sliding window. Why the service has no segmentation.

LeNet-5 on strips longer than its window: what one pass says, what it costs, how far a digit may
stray, and what becomes of readers that cut first.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import nn

from service.recognition.model import Scorer
from training.lecture import shipped
from training.lecture.changes import CHANGES, Change
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
from training.lecture.readers import DIGITS, GAPS, READERS, pair, read, string
from training.lecture.sliding_pictures import WIDTHS, draw
from training.lecture.zip_code import some
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE, geometry

DIGITS_STRAYING = (250, 40)  # in a full run, and in a quick one
STRINGS_READ = (150, 12)  # at each gap
COST_HEAD = (
    "width",
    "windows",
    "multiplications, one pass",
    "… a window at a time",
    "times as many",
    "times as long",
)
STRIP = 96  # width of the strip that a single digit strays in, pixels

Strip = npt.NDArray[np.uint8]


def multiplications(width: int, height: int = RECEPTIVE_FIELD) -> int:
    """Count the multiplications of one pass, from the layers themselves."""
    total = 0
    for index, layer in enumerate(shipped.layers()):
        if isinstance(layer, nn.Conv2d):
            field, stride = geometry(shipped.layers()[: index + 1])
            rows, columns = ((side - field) // stride + 1 for side in (height, width))
            total += rows * columns * layer.weight.numel()
    return total


def positions(width: int) -> int:
    """Return how many windows stand in a strip."""
    return (width - RECEPTIVE_FIELD) // STRIDE + 1


def windows(strip: Strip) -> Strip:
    """Cut every window out: (32, width) to (positions, 32, 32)."""
    return np.stack(
        [
            strip[:, STRIDE * k : STRIDE * k + RECEPTIVE_FIELD]
            for k in range(positions(strip.shape[1]))
        ]
    )


def seconds(work: Callable[[Strip], object], pixels: Strip) -> float:
    """Return the processor time that a piece of work took: onnxruntime works in this thread."""
    started = time.process_time()
    work(pixels)
    return time.process_time() - started


def measure(setting: Setting) -> Figures:
    """Take the score map's shape, the cost, accuracy against every change, and readers' strings."""
    scorer = Scorer()
    rng = np.random.default_rng([setting.seed, 7])
    return {
        "data": setting.data,
        "pair": list(scorer.score(pair(setting)).shape),
        "cost": cost(scorer, setting, rng),
        "strings": strings(scorer, setting),
        "changes": {change.name: stray(scorer, change, setting) for change in CHANGES},
        "digits": setting.pick(*DIGITS_STRAYING),
        "read": setting.pick(*STRINGS_READ),
    }


def cost(scorer: Scorer, setting: Setting, rng: np.random.Generator) -> list[list[float]]:
    """Compare one pass with a window at a time: (width, windows, arithmetic, measured, apart).

    `arithmetic` and `measured` are how many times dearer the windows are; they are run as one
    batch, which favors them.
    """
    rows = []
    for width in WIDTHS:
        strip = rng.integers(0, 256, (RECEPTIVE_FIELD, width), dtype=np.uint8)
        each = windows(strip)
        apart = float(np.abs(scorer.run(each)[:, 0, 0] - scorer.run(strip[None])[0, 0]).max())
        times = setting.pick(25, 2)
        # In turns, so that a busy moment of the machine is shared.
        pairs = [
            (seconds(scorer.run, strip[None]), seconds(scorer.run, each)) for _ in range(times)
        ]
        whole, singly = np.array(pairs).min(0)
        arithmetic = len(each) * multiplications(RECEPTIVE_FIELD) / multiplications(width)
        rows.append([width, len(each), arithmetic, float(singly / whole), apart])
    return rows


def strings(scorer: Scorer, setting: Setting) -> dict[str, list[float]]:
    """Return the share of strings that each reader reads exactly, gap by gap."""
    net = shipped.network()
    count = setting.pick(*STRINGS_READ)
    right: dict[str, list[float]] = {name: [] for name in READERS}
    for gap in GAPS:
        rng = np.random.default_rng([setting.seed, 7, 2])  # the same digits at every gap
        hits = dict.fromkeys(READERS, 0)
        for _ in range(count):
            text = "".join(str(digit) for digit in rng.integers(0, 10, DIGITS))
            page = string(shipped.choose(setting.test, text, rng), gap)
            for name in READERS:
                hits[name] += read(name, scorer, net, page) == text
        for name in READERS:
            right[name].append(hits[name] / count)
    return right


def stray(scorer: Scorer, change: Change, setting: Setting) -> dict[str, list[float]]:
    """Return the share of digits named right by the middle window, and by the surest of all."""
    rng = np.random.default_rng([setting.seed, 7, 3])
    digits = some(setting.test, setting.pick(*DIGITS_STRAYING), rng)
    middle = (STRIP - RECEPTIVE_FIELD) // 2
    pages = np.zeros((len(digits), RECEPTIVE_FIELD, STRIP), np.uint8)
    pages[:, :, middle : middle + RECEPTIVE_FIELD] = digits.images
    center: list[float] = []
    surest: list[float] = []
    for amount in change.amounts:
        changed = np.stack([change.apply(page, amount, rng) for page in pages])
        scores = scorer.run(changed)[:, 0]  # (digits, positions, labels)
        center.append(float((scores[:, middle // STRIDE].argmax(1) == digits.labels).mean()))
        best = scores[..., :NONE].max(1).argmax(1)
        surest.append(float((best == digits.labels).mean()))
    return {"amounts": list(change.amounts), "center": center, "surest": surest}


def stands(
    of: dict[str, list[float]], which: str, nothing: float, least: float
) -> tuple[float, float]:
    """Return the range of amounts round no change in which accuracy is at least `least`."""
    amounts = of["amounts"]
    start = int(np.argmin(np.abs(np.array(amounts) - nothing)))
    low = high = start
    while low > 0 and of[which][low - 1] >= least:
        low -= 1
    while high + 1 < len(amounts) and of[which][high + 1] >= least:
        high += 1
    return amounts[low], amounts[high]


def tell(figures: Figures) -> Section:
    """Tell why nothing needs to be cut."""
    cost_rows = figures["cost"]
    strings_read = figures["strings"]
    at = {gap: k for k, gap in enumerate(GAPS)}
    ranges = {
        change.name: {
            which: stands(figures["changes"][change.name], which, change.nothing, 0.95)
            for which in ("center", "surest")
        }
        for change in CHANGES
    }
    last = cost_rows[-1]
    whole = figures["changes"]["slide"]

    def span(name: str, which: str = "surest") -> str:
        low, high = ranges[name][which]
        return f"{low:g} to {high:g}"

    limit = multiplications(RECEPTIVE_FIELD) / (
        (multiplications(2**17) - multiplications(2**16)) / (positions(2**17) - positions(2**16))
    )
    learned = {change.name: change.learned for change in CHANGES}
    claims = (
        Claim(
            "32×64 pixels give 9 answers, 4 pixels apart, in one pass",
            "9",
            f"{figures['pair'][1]} positions of {figures['pair'][2]} labels",
            Held.of(figures["pair"] == [1, 9, len(LABELS)]),
        ),
        Claim(
            "They are what each window alone would say",
            "",
            f"log-probabilities differ by {max(row[4] for row in cost_rows):.0e} at most",
            Held.of(max(row[4] for row in cost_rows) < 1e-3),
        ),
        Claim(
            "One pass costs far less than a window at a time",
            "",
            f"at {last[0]:.0f} pixels, {last[1]:.0f} windows cost {last[2]:.1f} times the "
            f"multiplications and {last[3]:.1f} times the time",
            Held.of(last[2] > 2, last[3] > 2),
        ),
        Claim(
            "The window need not find the digit: some window has it in its middle",
            "",
            f"95% right at shifts of {span('slide', 'center')} pixels by the middle window, of "
            f"{span('slide')} by the surest",
            Held.of(
                min(whole["surest"]) >= 0.95,
                min(whole["center"]) < 0.5,
            ),
        ),
        Claim(
            "Size, width, slant and stroke may vary by more than the first stage of training varied "
            "them, and noise may be added",
            "",
            "95% right at "
            + "; ".join(f"{name} {span(name)}" for name in ranges if name != "slide"),
            Held.of(
                *(
                    ranges[name]["surest"][0] <= low and ranges[name]["surest"][1] >= high
                    for name, (low, high) in learned.items()
                ),
                ranges["drown"]["surest"][1] >= 32,
            ),
        ),
        Claim(
            "Digits that touch are read without being cut apart",
            "",
            f"strings of four that just touch: {percent(strings_read['slide'][at[0]])} exact; "
            f"the best cutter {percent(max(strings_read[n][at[0]] for n in ('pieces', 'cut')))}",
            Held.of(
                strings_read["slide"][at[0]]
                > max(strings_read[n][at[0]] for n in ("pieces", "cut")) + 0.05,
            ),
        ),
    )
    costs = [
        [
            f"{width:.0f}",
            f"{count:.0f}",
            f"{multiplications(int(width)) / 1e6:.1f} million",
            f"{count * multiplications(RECEPTIVE_FIELD) / 1e6:.1f} million",
            f"{arithmetic:.1f}×",
            f"{measured:.1f}×",
        ]
        for width, count, arithmetic, measured, _ in cost_rows
    ]
    readers = [
        [says, *(percent(strings_read[name][at[gap]], 0) for gap in GAPS)]
        for name, says in READERS.items()
    ]
    text = f"""
To read a string you might first cut it into characters and then ask a network about each. But where to
cut? Digits touch, break, overlap. Whoever cuts must know what is written, and whoever knows what is
written need not cut (Sayre's paradox, 1973). That circle is why this service has no segmentation.

The network does not ask where digits are. It answers one question at every place: *which digit is
centered here, or none?* `none` is a label like any other, learned from windows that look at the space
between two digits or past the end of a line. Below each strip are the scores of all eleven labels; each
column stands under the pixel that its window is centered on.

{picture("7-ribbon.png", "Two strips; under each the digits found and the scores of every label at every position")}

Read a ribbon from left to right: where a digit comes into the middle of the window its row lights up,
on either side `none` does. The decoder takes the string that is most probable over all ways to run
through the map. No cut was ever chosen, so none can be wrong.

### What cutting costs

The same network, asked in three ways about the same {figures["read"]} strings of four test digits, the ink
of neighbors brought closer and closer. *Cut at gaps* takes connected pieces of ink for characters. The second cutter
also parts pieces that are too wide, where the ink is thinnest.

{picture("7-strings.png", "Strings read exactly against the gap between digits, for one pass and two cutters")}

{table(["reader; gap, pixels", *(f"{gap:+d}" for gap in GAPS)], readers)}

Apart, both ways read. As soon as digits touch, the cutter's pieces are not digits any more, and no
network can mend that: the mistake was made before it was asked. Below is the first string of the test
that the better cutter reads apart and not touching.

{picture("7-cuts.png", "One string apart and touching: one pass reads both, the cutter only the first")}

### What one pass costs

Windows that stand 4 pixels apart share seven eighths of their pixels. One pass computes each unit
once. A window at a time computes a unit of the first convolution in all {28 // STRIDE} windows that it
stands in, and one of the second in {10 // (STRIDE // 2)}.

{table(COST_HEAD, costs)}

{picture("7-cost.png", "How many times dearer a window at a time is than one pass, by width")}

The times are onnxruntime's, of one core's processor, the least of several, the windows in one batch; random
pixels. The ratio of multiplications tends to {limit:.1f}: the convolutions share almost all, the last two
layers answer once a position and share nothing. That time saves more than arithmetic is, we think,
memory: a batch of windows fills maps several times as large as the strip's, and they no longer fit into
the processor's caches.

### How far a digit may stray

Single test digits ({figures["digits"]} of them) in a strip of {STRIP} pixels, changed by one thing at a
time. Blue is what the surest window says of all in the strip; orange the one window in the middle.
Green is what the first stage of training varied.

{picture("7-curves.png", "Accuracy against shift, size, width, slant, thickness and noise")}

| | |
|---|---|
| {picture("7-slide.gif", "Three digits slide; the scores slide with them")} | {picture("7-shrink.gif", "Three digits shrink and grow")} |
| {picture("7-squeeze.gif", "Three digits are squeezed and stretched")} | {picture("7-slant.gif", "Three digits lean left and right")} |
| {picture("7-thicken.gif", "Strokes grow thin and thick")} | {picture("7-drown.gif", "Digits drown in noise")} |

Sliding is free: another window has the digit in its middle. Everything else the network must have
learned, or be spared: which is why the service scales each line to one height and takes slant away
before it looks, and looks again at other sizes where it is unsure.
"""
    return Section(claims, text)


CHAPTER = Chapter(
    7,
    "The sliding window",
    "LeCun's 2020 lecture; Matan, Burges, LeCun and Denker 1991; LeCun's demonstration pages",
    measure,
    draw,
    tell,
)
