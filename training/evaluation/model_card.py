"""Figures to MODEL_CARD.md: what the model is, how it was made, what it does."""

from collections.abc import Sequence
from pathlib import Path

from training.config import StageRecord
from training.evaluation.evaluate import Figures
from training.evaluation.metrics import BINS, RATES, StripFigures
from training.evaluation.plots import draw_trust
from training.evaluation.report import figure_rows, markdown_table
from training.evaluation.training_record import fits, knobs, note, what_it_learned_from
from training.export import stages
from training.networks import LABELS, NONE, RECEPTIVE_FIELD, STRIDE, LeNet5

# What the papers report on the same kind of task.
LENET_5_1998 = 0.0095
LENET_5_1998_DISTORTED = 0.008

CONFUSIONS = 8  # of digits, listed
ABLATIONS = Path(__file__).with_name("ablations.md")


def write_card(figures: Figures, path: Path, ablations: Path = ABLATIONS) -> None:
    """Write the model card, and its picture of risk and coverage into `docs/` beside it.

    Args:
        figures: what was measured.
        path: where to write.
        ablations: Markdown of what each part is worth, taken over as it stands, if it is there.
    """
    picture = path.parent / "docs" / "risk-coverage.png"
    picture.parent.mkdir(exist_ok=True)
    draw_trust(figures.sources, picture)
    learned = stages(figures.metadata.training)
    parts = (
        what_it_is(figures),
        what_it_learned_from(learned),
        how_to_make_it(learned, figures),
        second_reader(figures),
        what_it_does(figures),
        parts_worth(ablations),
        limits(figures),
    )
    path.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")


def what_it_is(figures: Figures) -> str:
    """Return the card's first section."""
    weights = sum(each.numel() for each in LeNet5().parameters())
    return f"""# Model card

`service/model.onnx`, SHA-256 `{figures.digest}`.
This page is written by `digitstrip-train evaluate --card MODEL_CARD.md`; do not edit it.

## What it is

LeNet-5 without a dense layer: {weights:,} weights, {len(LABELS)} labels (ten digits and `none`),
a receptive field of {RECEPTIVE_FIELD} pixels each way and a stride of {STRIDE}. It says which digit
is centered in a window, or `none`; one pass over a strip of any width answers for every window,
{STRIDE} pixels apart."""


def how_to_make_it(learned: Sequence[StageRecord], figures: Figures) -> str:
    """Return the section of commands that repeat all this."""
    calibration = figures.calibration
    commands = "\n".join(f"    {line}" for line in fits(learned))
    pictures = "\n".join(
        f"![Loss and held-out error by epoch: {name}](docs/training-{name}.png)"
        for name in dict.fromkeys(stage["stage"] for stage in learned)
    )
    fitted = ""
    if calibration.source:
        fitted = f"\n\nThen `digitstrip-train calibrate` on {calibration.source}."
    return f"""## How to make it again

{commands}

Each takes its stage's knobs by `--set`. Repeatable on one kind of machine with the versions in
`constraints.txt`; other processors round otherwise. Ctrl-C after the epoch that is named
ends a run with the same weights.{fitted}

{pictures}"""


def second_reader(figures: Figures) -> str:
    """Return the section about the second reader, if there is one."""
    second = figures.second
    if second is None:
        return ""
    assert second.windows is not None, "a card has the figures of test digits"
    learned = stages(second.metadata.training)
    last = learned[-1]
    pairing = figures.metadata.pairing
    network = str(last.get("network", LeNet5.name))
    rows = [
        (
            source.reads.source,
            *(
                f"{100 * each.figures.exact.value:.1f}% · "
                f"{100 * each.figures.coverage.at[f'{RATES[0]:.0%}']:.1f}%"
                for each in (first, alone, source)
            ),
            f"{consulted:.0%}",
            f"{agreed:.0%}",
        )
        for source, first, alone, consulted, agreed in zip(
            figures.sources,
            second.first_alone,
            second.second_alone,
            second.consulted,
            second.agreed,
            strict=True,
        )
    ]
    heads = ("strips", "LeNet-5 alone", "second alone", "both", "consulted", "of these, agreed")
    vote = (
        f"Below a probability of {pairing.sure:g} in its first view LeNet-5 is not sure, and the "
        f"second reader is\nconsulted; it has a weight of {pairing.weight:g} in the vote."
        if pairing
        else "The two were not calibrated together, so that nothing is accepted."
    )
    return f"""## The second reader

`service/second_reader.onnx`, SHA-256 `{second.digest}`: the network `{network}` of
`training/networks.py`, over the same windows. It learned from {last["data"]}.
{vote}
Digits, error: {second.windows.digit_error:.2%}; `none` found:
{second.windows.none_found["all"]:.2%}.{"".join(note(stage) for stage in learned)}

The knobs of its last stage:

{knobs(last, learned[:-1])}

Exact strings · accepted at {RATES[0]:.0%} error, by what reads:

{markdown_table(heads, rows)}"""


def what_it_does(figures: Figures) -> str:
    """Return the section of measured figures."""
    parts = [
        f"""## What it does

Measured by

    digitstrip-train evaluate {figures.command}

In brackets are 95% intervals (bootstrap over strips).

{markdown_table(("what", "on", "figure"), figure_rows(figures))}

- *Digits* are MNIST's 10,000 test digits, one centered 32×32 window each, all 11 labels allowed.
  LeNet-5 in 1998 (LeCun et al., section III.C, ten labels): {LENET_5_1998:.2%}, trained with
  distortions {LENET_5_1998_DISTORTED:.1%}.
- *`none`* is on windows of blank paper, of noise, and of test digits at the sides.
- *Synthetic* strings are 2 to 10 test digits with gaps of -4 to 8 pixels (below 0 they overlap),
  read through the whole service.
- Folders named on the command line are read as `digitstrip read` reads them. `cheques` are 528
  courtesy amounts of ORAND-CAR-A (ICFHR 2014), real handwriting of a kind that the model has never
  seen; about one label in fifty may be wrong. They are not in this repository: ask its authors.
- *Two equal neighbors*, as 00 in 1200: such strings, against others as long as they are.
- *Expected calibration error*: how far confidence and share of right strings are apart on average,
  in {BINS} bins of equal mass. Of few strips even exact confidences show some: right and wrong
  ones are drawn by chance.
- *Accepted at {RATES[0]:.0%} error*: how many strings the best threshold accepts, had one known it,
  if {RATES[0]:.0%} of these may be wrong. The *area* is the mean error over all such coverages.

![Risk over coverage, and reliability](docs/risk-coverage.png)"""
    ]
    for source in figures.sources:
        name = source.reads.source
        parts.append(f"### {name.capitalize()}, by length\n\n{lengths_table(source.figures)}")
        parts.append(f"The commonest confusions of `{name}`: {confused(source.figures)}.")
    return "\n\n".join(parts)


def lengths_table(figures: StripFigures) -> str:
    """Return the figures of each length as a table."""
    rows = [
        (
            str(each.length),
            f"{each.strips:,}",
            f"{each.exact:.1%}",
            f"{each.character_error_rate:.2%}",
        )
        for each in figures.lengths
    ]
    return markdown_table(("digits", "strips", "exact", "character error rate"), rows)


def confused(figures: StripFigures) -> str:
    """Return which digits were taken for which most often, as words."""
    pairs = [
        (count, written, read)
        for written, row in enumerate(figures.confusions)
        for read, count in enumerate(row)
        if count and written != read
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return ", ".join(f"{mistaken(*pair[1:])} {pair[0]}×" for pair in pairs[:CONFUSIONS]) or "none"


def mistaken(written: int, read: int) -> str:
    """Return a mistake's name."""
    if read == NONE:
        return f"{LABELS[written]} missed"
    return f"{LABELS[read]} invented" if written == NONE else f"{LABELS[written]} as {LABELS[read]}"


def parts_worth(ablations: Path) -> str:
    """Return the section of what each part is worth, if there is a file of it."""
    if not ablations.is_file():
        return ""
    return f"## What each part is worth\n\n{ablations.read_text(encoding='utf-8').strip()}"


def limits(figures: Figures) -> str:
    """Return the last section."""
    calibration = figures.calibration
    trust = """- The confidence is the string's probability given the scores, summed over its
  alignments. It orders readings; it is not calibrated."""
    if calibration.source:
        rates = ", ".join(f"{100 * each.error_rate:g}%" for each in calibration.thresholds)
        trust = f"""- Confidences are calibrated on {calibration.source}, with thresholds for error
  rates of {rates or "none at all"}. Neither carries over to other sources of scans:
  `digitstrip-train calibrate` fits both to your own."""
    return f"""## What it does not do

{trust}
- Nines like a P, open fours, fives like an S, and digits that run through each other are what is
  misread most.
- It reads one line of digits. Letters, signs and several lines are read as whatever digits they
  resemble."""
