"""Which of several forms a page is."""

import cv2
import numpy as np
import pytest
from PIL import Image

from service.errors import BadForm
from service.forms.choice import check, choose
from service.forms.register import Status, register
from service.forms.template import load
from tests.support.form_scans import SCALE, Attack, random_form, scanned, template

CODE = (100.0, 4.0, 14.0, 14.0)  # mm
ATTACK = Attack(angle=-3, perspective=0.02, curl=0.005, zoom=1.2)


def made(folder, name, page, drawing, code=""):
    Image.fromarray(page).save(folder / f"{name}.png")
    text = template(drawing).replace("blank.png", f"{name}.png")
    if code:
        text += f'[code]\nbox = {list(CODE)}\ntext = "{code}"\n'
    (folder / f"{name}.toml").write_text(text)
    return load(folder / f"{name}.toml")


def with_code(page, text):
    """Print a QR code on a page, with paper around it."""
    left, top, width, height = (round(each * SCALE) for each in CODE)
    code = cv2.QRCodeEncoder.create().encode(text)
    page = page.copy()
    page[: top + height + 16, left - 16 : left + width + 16] = 255
    page[top : top + height, left : left + width] = cv2.resize(
        code, (width, height), interpolation=cv2.INTER_NEAREST
    )
    return page


def scan(page, seed=1):
    return scanned(page, ATTACK, np.random.default_rng(seed)).gray


@pytest.fixture(scope="module")
def drawing():
    return random_form(np.random.default_rng(4))


def test_the_form_whose_print_is_in_its_place_is_chosen(tmp_path, drawing):
    other = random_form(np.random.default_rng(5))
    forms = [made(tmp_path, "a", drawing.gray, drawing), made(tmp_path, "b", other.gray, other)]
    for page, name in ((drawing.gray, "a"), (other.gray, "b")):
        form, registration = choose(scan(page), forms)
        assert (form.name, registration.status) == (name, Status.REGISTERED)
    _, registration = choose(np.full((800, 1100), 250, np.uint8), forms)
    assert registration.status is Status.MISREGISTERED


def test_editions_that_look_alike_are_told_apart_by_their_codes_alone(tmp_path, drawing):
    pages = {each: with_code(drawing.gray, each) for each in ("FORM 18 A", "FORM 18 B")}
    forms = [made(tmp_path, each[-1], page, drawing, each) for each, page in pages.items()]
    for text, page in pages.items():
        form, registration = choose(scan(page), forms)
        assert (form.name, registration.status) == (text[-1], Status.REGISTERED)
        assert registration.coded
    covered = pages["FORM 18 A"].copy()
    left, top, width, height = (round(each * SCALE) for each in CODE)
    covered[top : top + height, left : left + width // 2] = 30
    form, registration = choose(scan(covered), forms)
    assert registration.status is Status.MISREGISTERED
    assert not registration.trusts(form.fields[0].name)
    assert "several forms have their print in place" in registration.why


def test_a_page_with_another_forms_code_is_misregistered(tmp_path, drawing):
    form = made(tmp_path, "a", with_code(drawing.gray, "FORM 18 A"), drawing, "FORM 18 A")
    registration = register(scan(with_code(drawing.gray, "FORM 19")), form)
    assert registration.status is Status.MISREGISTERED
    assert registration.why == "the page's code says 'FORM 19', the form's 'FORM 18 A'"


def test_forms_that_a_page_cannot_be_told_to_be_are_refused(tmp_path, drawing):
    form = made(tmp_path, "a", drawing.gray, drawing)
    with pytest.raises(BadForm, match="two forms have the name 'a'"):
        check([form, form])
    bare = "page.width = 148\npage.height = 105\nregistration.by = 'none'\n"
    (tmp_path / "bare.toml").write_text(f"{bare}[[field]]\nname = 'a'\nbox = [1, 1, 9, 9]\n")
    check([load(tmp_path / "bare.toml")])
    with pytest.raises(BadForm, match="'bare' would fit every page of its shape"):
        check([form, load(tmp_path / "bare.toml")])
