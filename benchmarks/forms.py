"""Registration under attack: scans of filled-in forms, and how far fields are from where they lie.

Forms are drawn, filled with digits and scanned by `tests/support/form_scans.py`, which knows where
everything lies: turned by 5° and quarters, at 0.7 to 1.4 of the size, held by hand, stretched and
curled by 1.5%, torn, stained, stapled. One page in six is another form. With `--read`, fields are
read, too: as forms are, without subtracting the reference, and from a scan of the same digits on
empty paper, cropped where they are known to lie.
"""

import argparse
import copy
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from service.api.service import RecognitionService
from service.forms.crops import AROUND_MM, crop
from service.forms.places import Box
from service.forms.reading import FormReader
from service.forms.register import Registration, Status, register
from service.forms.template import Form, load
from service.imaging.page import Gray
from service.recognition.model import ModelFiles
from service.recognition.recognizer import PLAIN, Recognizer
from tests.support.form_scans import (
    Drawing,
    Scan,
    filled,
    random_attack,
    random_form,
    scanned,
    template,
)
from training.data.digits import DigitSet, load_mnist5k, split

SIZES = ((148, 105), (210, 148), (210, 297))  # mm: A6, A5 and A4
FORMS = 9
OTHERS = 6  # one page in so many is another form
CLOSE = 0.5  # mm


@dataclass
class Tally:
    """What became of pages."""

    off: list[float] = field(default_factory=list)  # mm, of the worst field of each page
    refused: list[str] = field(default_factory=list)  # why pages of the form were not read
    fields: int = 0
    doubtful: int = 0  # fields of pages that were registered
    others: int = 0
    others_read: int = 0  # other forms of which a field would have been read
    inliers: list[float] = field(default_factory=list)
    other_inliers: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)  # of the processor
    read: int = 0  # fields
    exact: Counter[str] = field(default_factory=Counter)  # by what was read


def made(folder: Path, drawing: Drawing, by: str) -> Form:
    """Write a form's template and load it; its squares are where `random_form` prints them."""
    Image.fromarray(drawing.gray).save(folder / "blank.png")
    right, low = drawing.width - 8, drawing.height - 8
    more = {
        "corners": [f"marks = [[8, 8], [{right}, 8], [{right}, {low}], [8, {low}]]", "side = 4"],
        "patches": [f"patches = {patches(drawing)}"],
    }
    (folder / "form.toml").write_text(template(drawing, by, more.get(by, ())))
    return load(folder / "form.toml")


def patches(drawing: Drawing) -> list[list[float]]:
    """Return where a form has its title, its foot, and the labels of every other row."""
    wide, foot = drawing.width - 22, drawing.height - 12
    rows = sorted({top for (_, top, _, _), _ in drawing.boxes.values()})
    labels = [[8, round(top - 4.3, 1), wide, 4] for top in rows[1:-1:2]]
    return [[14, 4, wide - 8, 14], [14, foot, wide, 5], *labels]


@dataclass(frozen=True)
class Filled:
    """A form that was filled in and scanned."""

    texts: dict[str, str]  # by field
    scan: Scan
    bare: Scan  # the same, without the form's print


def page_of(drawing: Drawing, digits: DigitSet, rng: np.random.Generator) -> Filled:
    """Fill a form in and scan it; one field in five is left blank."""
    texts = {
        name: ""
        if rng.random() < 0.2
        else "".join(map(str, rng.integers(0, 10, int(rng.integers(2, (cells or 5) + 1)))))
        for name, (_, cells) in drawing.boxes.items()
    }
    same, images = copy.deepcopy(rng), digits.images[:, 2:-2, 2:-2]
    page = filled(drawing, texts, images, digits.labels, rng)
    scan = scanned(page, random_attack(rng), rng)
    empty = Drawing(drawing.width, drawing.height, drawing.boxes)
    page = filled(empty, texts, images, digits.labels, same)
    return Filled(texts, scan, scanned(page, random_attack(same), same))


def cut_where_it_lies(scan: Scan, box: Box, scale: float) -> Gray:
    """Crop a scan by what is known of it, straight."""
    across, down = (max(round(side * scale), 1) for side in (box.width, box.height))
    x = box.left + (np.arange(across) + 0.5) * box.width / across
    y = box.top + (np.arange(down) + 0.5) * box.height / down
    places = np.stack(np.meshgrid(x, y), axis=-1)
    pixels = scan.pixels(places.reshape(-1, 2)).reshape(places.shape) - 0.5
    return np.asarray(
        cv2.remap(
            scan.gray, pixels.astype(np.float32), None, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


def read_fields(page: Filled, registration: Registration, reader: FormReader, tally: Tally) -> None:
    """Read the fields of a registered page in three ways, and count the exact ones."""
    (form,) = reader.forms
    assert registration.warp is not None
    for each in form.fields:
        if not registration.trusts(each.name):
            continue
        seen = crop(page.scan.gray, form, each, registration.warp).gray
        around = each.box.grown(AROUND_MM)
        scale = seen.shape[1] / around.width
        ways = {
            "as forms are read": seen,
            "reference not subtracted": registration.warp.cut(page.scan.gray, around, scale),
            "cropped perfectly": cut_where_it_lies(page.bare, around, scale),
        }
        tally.read += 1
        for way, gray in ways.items():
            request = reader.request(gray, each.constraint)
            text = reader.service.recognize(request).response.text
            tally.exact[way] += text == page.texts[each.name]


def measure(scan: Scan, form: Form, own: bool, tally: Tally) -> Registration:
    """Register a page and count what became of it."""
    began = time.process_time()
    registration = register(scan.gray, form)
    tally.ms.append(1000 * (time.process_time() - began))
    trusted = [each for each in form.fields if registration.trusts(each.name)]
    if not own:
        tally.others += 1
        tally.others_read += bool(trusted)
        tally.other_inliers.append(registration.inliers or 0.0)
        return registration
    tally.inliers.append(registration.inliers or 0.0)
    if registration.status is Status.MISREGISTERED or registration.warp is None:
        tally.refused.append(registration.why)
        return registration
    tally.fields += len(form.fields)
    tally.doubtful += len(form.fields) - len(trusted)
    worst = 0.0
    for each in trusted:
        polygon = crop(scan.gray, form, each, registration.warp).polygon
        apart = np.hypot(*(polygon - scan.pixels(each.box.corners)).T).max()
        worst = max(worst, float(apart) / registration.warp.pixels_per_mm(each.box))
    tally.off.append(worst)
    return registration


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--by", choices=("features", "corners", "patches"), default="features")
    parser.add_argument("--read", action="store_true", help="read the fields, too")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    _, digits = split(load_mnist5k())
    tally = Tally()
    strips = RecognitionService(Recognizer.load(ModelFiles.read())) if args.read else None
    with tempfile.TemporaryDirectory() as folder:
        drawings = [random_form(rng, SIZES[each % len(SIZES)]) for each in range(FORMS)]
        forms = []
        for number, drawing in enumerate(drawings):
            (place := Path(folder) / str(number)).mkdir()
            forms.append(made(place, drawing, args.by))
        for number in range(args.count):
            which = int(rng.integers(FORMS))
            own = number % OTHERS != 0
            # Another form of the same size: sizes take turns.
            shown = which if own else (which + len(SIZES) * int(rng.integers(1, 3))) % FORMS
            page = page_of(drawings[shown], digits, rng)
            registration = measure(page.scan, forms[which], own, tally)
            if own and strips and registration.status is Status.REGISTERED:
                read_fields(page, registration, FormReader(strips, [forms[which]], PLAIN), tally)
    off = np.array(tally.off)
    pages = len(off) + len(tally.refused)
    print(f"by {args.by}: {pages} pages of the form, {tally.others} of another of the same size")
    print(f"every field that is read within {CLOSE} mm: {(off <= CLOSE).sum() / pages:.1%}")
    print(f"a field that is read farther off: {(off > CLOSE).sum()}; the worst {off.max():.2f} mm")
    print(
        "off by, median and 99th percentile of pages' worst fields: "
        f"{np.median(off):.2f} and {np.percentile(off, 99):.2f} mm"
    )
    print(
        f"misregistered: {len(tally.refused)}; fields doubtful on other pages: "
        f"{tally.doubtful} of {tally.fields}"
    )
    print(f"other forms read as if they were right: {tally.others_read}")
    print(
        f"print in place: {np.percentile(tally.inliers, 1):.0%} at the 1st percentile of pages of "
        f"the form, {max(tally.other_inliers):.0%} at most of another"
    )
    print(
        f"processor: {np.median(tally.ms):.0f} ms a page, "
        f"{np.percentile(tally.ms, 95):.0f} at the 95th percentile"
    )
    for way, exact in tally.exact.items():
        print(f"fields exact, {way}: {exact / tally.read:.1%} of {tally.read}")
    for why in tally.refused:
        print("  misregistered:", why)


if __name__ == "__main__":
    main()
