"""Make the example form, and scans of it filled in with digits that no shipped model learned.

The digits are MNIST's as in `make_strips.py`, under the same license; the form is ours.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.form_scans import Attack, Drawing, filled, scanned
from training.data.digits import load_mnist5k, split

FOLDER = Path(__file__).parent / "forms"
SEED = 2027
WIDTH, HEIGHT = 148.0, 105.0  # mm

SCANS = {  # by name: what happens to the page, and what is written
    "askew.jpg": (
        Attack(angle=3.4, noise=3),
        {"customer": "40718827", "date": "14112026", "reading": "80352", "postcode": "68767"},
    ),
    "photo.jpg": (
        Attack(angle=-2.2, quarters=1, perspective=0.035, shade=0.5, curl=0.006, noise=4),
        {"customer": "90215637", "date": "02112026", "reading": "7419", "postcode": "10435"},
    ),
    "copy.jpg": (
        Attack(angle=0.8, zoom=0.85, stretch=0.013, curl=-0.004, stains=1, staples=1, noise=6),
        {
            "customer": "26084919",
            "date": "30102026",
            "reading": "126508",
            "postcode": "20359",
            "telephone": "40556713",
        },
    ),
}


def draw() -> Drawing:
    """Draw the blank form."""
    form = Drawing(WIDTH, HEIGHT)
    for x in (8.0, WIDTH - 8):
        for y in (8.0, HEIGHT - 8):
            form.square(x, y, 5)
    form.text(16, 6, "Meter reading", 7)
    form.text(16, 15, "Please write one digit a box, in dark ink, and send the card back.", 2.9, 60)
    form.text(16, 23, "Customer number", 2.8)
    form.add("customer", (16, 27, 48, 8), 8)
    form.text(80, 23, "Date (day, month, year)", 2.8)
    form.add("date", (80, 27, 48, 8), 8)
    form.text(16, 42, "Reading of the meter, without decimals", 2.8)
    form.add("reading", (16, 46, 48, 10), 6)
    form.text(70, 49, "kWh", 4)
    form.text(16, 63, "Postal code", 2.8)
    form.add("postcode", (16, 67, 35, 8))
    form.text(80, 63, "Telephone (may be left blank)", 2.8)
    form.add("telephone", (80, 67, 52, 8))
    form.text(16, 84, "Digitstrip Waterworks, 1 Example Street. Form 18, edition 1.", 2.6, 60)
    form.text(16, 90, "For office use: do not write below this line.", 2.6, 60)
    return form


def main() -> None:
    """Write the blank form, the scans and their truth."""
    _, unseen = split(load_mnist5k())
    images = unseen.images[:, 2:-2, 2:-2]  # without the window's margin
    rng = np.random.default_rng(SEED)
    form = draw()
    FOLDER.mkdir(exist_ok=True)
    form.image.save(FOLDER / "blank.png", optimize=True, dpi=(200, 200))
    with (FOLDER / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "field", "text"])
        for name, (attack, texts) in SCANS.items():
            page = filled(form, texts, images, unseen.labels, rng)
            Image.fromarray(scanned(page, attack, rng).gray).save(FOLDER / name, quality=70)
            table.writerows([name, field, texts.get(field, "")] for field in form.boxes)


if __name__ == "__main__":
    main()
