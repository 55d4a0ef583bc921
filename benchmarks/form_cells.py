"""What printed lines cost: cells of forms read with their lines and without them, by kind.

Digits are MNIST's test digits; the cells are drawn by `tests/support/form_cells.py`.
"""

import argparse
from collections import Counter
from pathlib import Path

from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from tests.support.form_cells import KINDS, Cell, cells
from training.data.digits import load_mnist

SEED = 14


def arguments(description: str | None, count: int, seed: int) -> argparse.ArgumentParser:
    """Return a parser of where MNIST is, how many cells to draw, and their seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-dir", type=Path, help="MNIST's four files")
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=seed)
    return parser


def made_cells(args: argparse.Namespace, empty: float = 0.2) -> list[Cell]:
    """Draw cells from MNIST's test digits; a share of them is empty."""
    digits = load_mnist(args.data_dir)[1]
    images = digits.images[:, 2:-2, 2:-2]  # without the window's margin
    return cells(images, digits.labels, args.seed, args.count, empty)


def main() -> None:
    """Print the share of cells read exactly, and of empty ones read as empty."""
    args = arguments(__doc__, 2000, SEED).parse_args()
    recognizer = Recognizer.load(ModelFiles.read())
    right: Counter[tuple[str, str]] = Counter()
    many: Counter[tuple[str, str]] = Counter()
    for cell in made_cells(args):
        for shown, page in (("framed", cell.framed), ("plain", cell.plain)):
            what = f"{shown} {'digits' if cell.text else 'empty'}"
            same = recognizer.recognize(page).reading.text == cell.text
            for kind in (cell.kind, "all"):
                many[kind, what] += 1
                right[kind, what] += same
    print("| cells | digits, without lines | with | empty, without lines | with |")
    print("|---|---|---|---|---|")
    for kind in (*KINDS, "all"):
        shares = [
            f"{right[kind, what] / many[kind, what]:.1%} of {many[kind, what]}"
            for what in ("plain digits", "framed digits", "plain empty", "framed empty")
        ]
        print(f"| {kind} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
