"""Registration, against places that are known."""

import cv2
import numpy as np
import pytest
from PIL import Image

from service.forms.crops import crop
from service.forms.register import Status, register
from service.forms.template import load
from tests.conftest import ROOT
from tests.support.form_scans import Attack, Drawing, random_attack, random_form, scanned, template

EXAMPLE = ROOT / "examples" / "forms"
MORE = {
    "corners": ("marks = [[8, 8], [140, 8], [140, 97], [8, 97]]", "side = 4"),
    # The title, labels, the line at the foot.
    "patches": ("patches = [[14, 4, 112, 14], [8, 40, 90, 4], [8, 58, 110, 4], [14, 93, 120, 5]]",),
}
WAYS = ("features", "corners", "patches", "none")


def made(folder, drawing, by="features", more=()):
    Image.fromarray(drawing.gray).save(folder / "blank.png")
    (folder / "form.toml").write_text(template(drawing, by, more))
    return load(folder / "form.toml")


@pytest.fixture(scope="module")
def drawing():
    return random_form(np.random.default_rng(4))


@pytest.fixture(scope="module")
def forms(drawing, tmp_path_factory):
    return {by: made(tmp_path_factory.mktemp(by), drawing, by, MORE.get(by, ())) for by in WAYS}


def worst(registration, form, scan):
    """By how many mm a box that is trusted is off, at most."""
    assert registration.status is Status.REGISTERED, registration.why
    off = [0.0]
    for each in form.fields:
        if registration.trusts(each.name):
            cut = crop(scan.gray, form, each, registration.warp)
            apart = cut.polygon - scan.pixels(each.box.corners)
            off.append(np.hypot(*apart.T).max() / registration.warp.pixels_per_mm(each.box))
    return max(off)


@pytest.mark.parametrize("by", WAYS[:3])
@pytest.mark.parametrize("quarters", range(4))
def test_a_page_is_found_however_it_is_turned(by, quarters, drawing, forms):
    attack = Attack(angle=2.5, quarters=quarters, zoom=0.8, perspective=0.02, curl=0.01)
    scan = scanned(drawing.gray, attack, np.random.default_rng(quarters))
    registration = register(scan.gray, forms[by])
    assert worst(registration, forms[by], scan) < (0.5 if by == "patches" else 0.3)
    assert registration.residual < 0.2
    assert registration.inliers > 0.8
    assert not registration.doubtful or by == "patches"  # they say nothing of what is far off


@pytest.mark.parametrize("seed", range(4))
def test_what_scanners_and_telephones_do_is_undone(seed, drawing, forms):
    rng = np.random.default_rng(seed)
    scan = scanned(drawing.gray, random_attack(rng), rng)
    assert worst(register(scan.gray, forms["features"]), forms["features"], scan) < 0.5


@pytest.mark.parametrize("quarters", range(4))
def test_a_page_that_fills_its_scan_needs_no_search(quarters, drawing, forms):
    gray = np.ascontiguousarray(np.rot90(drawing.gray, -quarters))
    registration = register(gray, forms["none"])
    assert registration.status is Status.REGISTERED
    assert registration.residual < 0.1


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("seed", range(2))
def test_another_form_of_the_same_size_is_misregistered(by, seed, forms):
    rng = np.random.default_rng(100 + seed)
    page = random_form(rng).gray
    gray = page if by == "none" else scanned(page, random_attack(rng), rng).gray
    registration = register(gray, forms[by])
    assert registration.status is Status.MISREGISTERED
    assert registration.warp is None
    assert registration.why


@pytest.mark.parametrize(
    "gray",
    [
        np.full((900, 1200), 255, np.uint8),
        np.zeros((900, 1200), np.uint8),
        np.full((1, 1), 255, np.uint8),
        np.full((2, 4000), 128, np.uint8),
        np.random.default_rng(0).integers(0, 256, (600, 800), np.uint8),
    ],
    ids=["white", "black", "one pixel", "a thread", "noise"],
)
@pytest.mark.parametrize("by", WAYS)
def test_what_is_no_page_is_misregistered(gray, by, forms):
    registration = register(gray, forms[by])
    assert registration.status is Status.MISREGISTERED
    assert registration.why


def test_print_that_differs_from_page_to_page_matters_only_in_patches(drawing, forms):
    """Names and numbers are printed on each page; the patches are what all have."""
    page, scale = drawing.gray.copy(), drawing.gray.shape[1] / drawing.width
    patches = forms["patches"].registration.patches
    for (left, top, width, _), _ in drawing.boxes.values():
        if not any(y - 1 < top - 3 < y + high for _, y, _, high in patches):
            rows, columns = ((top - 4.2, top - 0.4), (left, left + width + 10))
            (first, last), (begin, end) = (
                (round(a * scale), round(b * scale)) for a, b in (rows, columns)
            )
            page[first:last, begin:end] = 255
    assert (page != drawing.gray).any()
    scan = scanned(page, random_attack(rng := np.random.default_rng(2)), rng)
    found = {by: register(scan.gray, forms[by]) for by in ("patches", "features")}
    assert worst(found["patches"], forms["patches"], scan) < 0.5
    assert found["patches"].inliers > 0.9 > found["features"].inliers


def test_half_a_page_is_misregistered_or_reads_what_is_there(drawing, forms):
    scan = scanned(drawing.gray, Attack(), np.random.default_rng(1))
    half = np.ascontiguousarray(scan.gray[:, : scan.gray.shape[1] // 2])
    registration = register(half, forms["features"])
    for each in forms["features"].fields:
        if (scan.pixels(each.box.corners)[:, 0] > half.shape[1] + 5).any():
            assert not registration.trusts(each.name)


def test_bold_writing_in_a_bare_box_does_not_hide_where_it_lies(tmp_path):
    """On a large page print is few pixels, and strokes are many."""
    drawing = random_form(np.random.default_rng(5), (210, 297))
    page = drawing.gray.copy()
    scale = page.shape[1] / 210
    for (left, top, width, height), cells in drawing.boxes.values():
        for x in np.arange(left + 2, left + min(width, 20), 5) if not cells else ():
            zigzag = [(x, top + 2), (x + 2.5, top + 2.5), (x, top + height - 2), (x + 3, top + 5)]
            points = np.rint(np.array(zigzag) * scale).astype(np.int32)
            cv2.polylines(page, [points], False, 20, round(0.9 * scale))
    form = made(tmp_path, drawing, "none")
    assert not register(page, form).doubtful


def test_a_field_that_another_edition_has_elsewhere_is_not_trusted(tmp_path):
    """Most of the print is in its place; that around the field is not."""

    def edition(top):
        form = Drawing(148, 105)
        form.text(16, 6, "Meter reading", 7)
        form.text(16, 15, "Please write one digit a box, in dark ink, and send it back.", 2.9, 60)
        form.text(16, 22, "Digitstrip Waterworks, 1 Example Street. Form 18.", 2.6, 60)
        form.text(80, 32, "Customer number", 2.8)
        form.add("customer", (80, 37, 48, 8), 8)
        form.text(16, top, "Reading of the meter", 2.8)
        form.add("reading", (16, top + 4, 48, 8), 6)
        form.text(16, 90, "For office use: do not write below this line, thank you.", 2.6, 60)
        return form

    form = made(tmp_path, edition(55))
    old = register(scanned(edition(55).gray, Attack(), np.random.default_rng(2)).gray, form)
    assert old.trusts("reading")
    assert old.trusts("customer")
    for moved in (50, 53, 54, 56, 57, 58, 62, 70):
        scan = scanned(edition(moved).gray, Attack(), np.random.default_rng(2))
        new = register(scan.gray, form)
        (field,) = (each for each in form.fields if each.name == "reading")
        if new.trusts("reading"):  # bent into place
            there = scan.pixels(field.box.moved((0, moved - 55)).corners)
            apart = crop(scan.gray, form, field, new.warp).polygon - there
            assert np.hypot(*apart.T).max() < field.search * new.warp.pixels_per_mm(field.box), (
                moved
            )
        assert abs(moved - 55) < 3 or not new.trusts("reading"), moved


@pytest.mark.parametrize("pitch", [5.0, 6.0, 7.0])
def test_a_comb_that_another_edition_has_a_cell_farther_on_is_not_trusted(pitch, tmp_path):
    """Its dividers lie where they should; the digits would be those of other cells."""

    def edition(left):
        form = Drawing(148, 105)
        form.text(16, 6, "Meter reading", 7)
        form.text(16, 15, "Please write one digit a box, in dark ink, and send it back.", 2.9, 60)
        form.text(80, 32, "Customer number", 2.8)
        form.add("customer", (80, 37, 48, 8), 8)
        form.text(left, 55, "Reading", 2.8)
        form.add("reading", (left, 59, 7 * pitch, 8), 7)
        form.text(16, 90, "For office use: do not write below this line, thank you.", 2.6, 60)
        return form

    form = made(tmp_path, edition(45), "none")
    assert register(edition(45).gray, form).trusts("reading")
    for cells in (-2, -1.1, -1, 1, 1.1, 2):
        registration = register(edition(45 + cells * pitch).gray, form)
        assert registration.status is Status.REGISTERED
        assert not registration.trusts("reading"), cells


def test_markers_register_without_a_reference(tmp_path):
    """Three of four are enough; two are not."""
    form = Drawing(148, 105)
    page = form.gray.copy()
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    centers = [(12, 12), (136, 12), (136, 93), (12, 93)]
    scale = page.shape[1] / 148
    for number, (x, y) in enumerate(centers):
        marker = cv2.aruco.generateImageMarker(dictionary, 7 + number, 63)
        left, top = round((x - 4) * scale), round((y - 4) * scale)
        page[top : top + 63, left : left + 63] = marker
    (tmp_path / "form.toml").write_text(
        f"page.width = 148\npage.height = 105\n[registration]\nby = 'corners'\nside = 8\n"
        f"marks = {[list(each) for each in centers]}\naruco = [7, 8, 9, 10]\n"
        "[[field]]\nname = 'a'\nbox = [40, 40, 50, 10]\n"
    )
    loaded = load(tmp_path / "form.toml")
    attack = Attack(angle=4, quarters=2, perspective=0.02)
    for lost in range(3):
        torn = page.copy()
        for x, y in centers[:lost]:
            left, top = round((x - 6) * scale), round((y - 6) * scale)
            torn[top : top + 95, left : left + 95] = 255
        scan = scanned(torn, attack, np.random.default_rng(3))
        registration = register(scan.gray, loaded)
        if lost < 2:
            assert worst(registration, loaded, scan) < 0.4
            assert registration.inliers == 1 - lost / 4
        else:
            assert registration.status is Status.MISREGISTERED
            assert "2 of 4 markers" in registration.why


def test_without_a_reference_a_page_of_another_shape_is_misregistered(tmp_path):
    (tmp_path / "form.toml").write_text(
        "page.width = 148\npage.height = 105\nregistration.by = 'none'\n"
        "[[field]]\nname = 'a'\nbox = [40, 40, 50, 10]\n"
    )
    loaded = load(tmp_path / "form.toml")
    good, turned = np.full((1050, 1480), 255, np.uint8), np.full((1480, 1050), 255, np.uint8)
    assert register(good, loaded).trusts("a")
    assert register(turned, loaded).status is Status.MISREGISTERED
