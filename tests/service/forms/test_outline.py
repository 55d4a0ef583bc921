"""Pages by their edges, where print alone does not say how they lie."""

import cv2
import numpy as np
import pytest
from PIL import Image

from service.forms.outline import outlines
from service.forms.page_print import Print
from service.forms.register import Status, register
from service.forms.template import load
from tests.support.form_scans import Attack, random_form, scanned, template

CORNERS = np.array([(120, 90), (850, 60), (900, 1010), (80, 980)], np.float64)


def photo(corners=CORNERS, paper=215, around=80):
    gray = np.full((1100, 1000), around, np.uint8)
    cv2.fillPoly(gray, [corners.astype(np.int32)], paper)
    cv2.putText(gray, "Print 123", (250, 300), cv2.FONT_HERSHEY_SIMPLEX, 3, 30, 8)
    return gray


@pytest.mark.parametrize("around", [0, 80, 150])
def test_the_corners_are_found_from_each_of_them(around):
    found = list(outlines(photo(around=around)))
    assert len(found) == 4
    for turn, corners in enumerate(
        sorted(found, key=lambda each: np.hypot(*(each[0] - CORNERS[0])))
    ):
        assert np.hypot(*(corners - np.roll(corners, -1, axis=0)).T).min() > 700
        if turn == 0:
            assert np.abs(corners - CORNERS).max() < 4


def test_a_corner_that_is_torn_off_is_where_its_sides_would_meet():
    torn = np.array([(120, 90), (700, 66), (857, 200), (900, 1010), (80, 980)], np.float64)
    nearest = min(outlines(photo(torn)), key=lambda each: np.hypot(*(each[0] - CORNERS[0])))
    assert np.abs(nearest - CORNERS).max() < 8


@pytest.mark.parametrize(
    "gray",
    [
        np.full((300, 200), 128, np.uint8),
        np.zeros((40, 40), np.uint8),
        np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8),
        photo(np.array([(100, 100), (300, 100), (300, 300), (100, 300)])),
        photo(np.array([(100, 100), (900, 200), (400, 1000)])),
    ],
    ids=["plain", "black", "noise", "a stamp", "a triangle"],
)
def test_what_has_no_page_has_finite_corners_or_none(gray):
    for corners in outlines(gray):
        assert corners.shape == (4, 2)
        assert np.isfinite(corners).all()


@pytest.mark.parametrize("quarters", range(4))
def test_a_form_whose_keypoints_say_nothing_is_found_by_the_pages_edges(
    quarters, tmp_path, monkeypatch
):
    """As on forms whose print repeats itself; another form is not taken for it by its edges."""
    monkeypatch.setattr(Print, "homography", lambda *_: None)
    drawing = random_form(np.random.default_rng(4))
    Image.fromarray(drawing.gray).save(tmp_path / "blank.png")
    (tmp_path / "form.toml").write_text(template(drawing))
    form = load(tmp_path / "form.toml")
    attack = Attack(angle=3, quarters=quarters, perspective=0.03, curl=0.01, torn=0.06)
    scan = scanned(drawing.gray, attack, np.random.default_rng(quarters))
    found = register(scan.gray, form)
    assert found.status is Status.REGISTERED, found.why
    for each in form.fields:
        if found.trusts(each.name):
            apart = found.warp.source(each.box.corners) - scan.pixels(each.box.corners)
            assert np.hypot(*apart.T).max() / found.warp.pixels_per_mm(each.box) < 0.5
    other = random_form(np.random.default_rng(5))
    page = scanned(other.gray, attack, np.random.default_rng(quarters)).gray
    assert register(page, form).status is Status.MISREGISTERED
