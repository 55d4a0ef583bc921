"""Forms in Chromium, against the real service: pages read by a form, and the editor of forms."""

import csv
import tomllib

import pytest

from service.forms.template import load
from tests.conftest import ROOT, until
from tests.service.web.conftest import start
from tests.support.browser import violations

FORMS = ROOT / "examples" / "forms"
NAME = "form"  # of the example's file, by which a server knows it
EVIL = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
WIDTHS = (320, 1280)
WIDTH, HEIGHT = 148, 105  # mm: the example's page
FIELDS = {"customer": (16, 27, 64, 35), "date": (80, 27, 128, 35)}  # mm: left, top, right, bottom
OFF = 0.5  # mm by which a box that is drawn may be off what the pointer meant


@pytest.fixture(scope="module")
def server(tmp_path_factory, calibrated_model):
    """A server that has the example's form."""
    log = tmp_path_factory.mktemp("forms") / "log"
    started = start(log, "--forms", FORMS, DIGITSTRIP_MODEL=str(calibrated_model))
    yield started
    status, _ = started.stop()
    assert status == 0


@pytest.fixture(scope="module")
def written():
    """What people wrote into the example's pages: file and field to text."""
    with (FORMS / "labels.csv").open(newline="") as file:
        return {(row["file"], row["field"]): row["text"] for row in csv.DictReader(file)}


def read_as_form(page, file="copy.jpg"):
    page.wait_for_selector("#form-field:not([hidden])")
    page.select_option("#form-name", NAME)
    page.set_input_files("#file", FORMS / file)
    page.wait_for_selector("#form-reading .fields tbody tr")


def shown(page, place="#form-reading"):
    """The fields that are shown: name to text."""
    rows = page.query_selector_all(f"{place} .fields tbody tr")
    return {
        row.query_selector("th").inner_text(): row.query_selector(".reading-of").inner_text()
        for row in rows
    }


def edit(page, server, file=FORMS / "blank.png"):
    page.goto(f"{server.web}/form")
    page.set_input_files("#blank", file)
    page.wait_for_selector("#editor:not([hidden])")


def draw(page, left, top, right, bottom):
    """Draw a box; places are mm of the page."""
    page.locator("#boxes").scroll_into_view_if_needed()
    box = page.locator("#boxes").bounding_box()

    def at(x, y):
        return box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]

    page.mouse.move(*at(left, top))
    page.mouse.down()
    page.mouse.move(*at(right, bottom), steps=4)
    page.mouse.up()


def template(page, folder):
    """Download the template beside its reference, and load it as `read --form` does."""
    with page.expect_download() as downloading:
        page.click("#download")
    path = folder / downloading.value.suggested_filename
    downloading.value.save_as(path)
    (folder / "blank.png").write_bytes((FORMS / "blank.png").read_bytes())
    return load(path)


def test_a_page_of_a_form_is_read_and_its_fields_are_shown_where_they_are(server, visit, written):
    page = visit(server.web)
    read_as_form(page)
    truth = {field: text for (file, field), text in written.items() if file == "copy.jpg"}
    assert shown(page) == truth
    assert page.inner_text("#form-reading h2") == "meter card: found in the page"
    assert page.inner_text("#status").startswith("meter card: found in the page: 5 fields, ")
    assert page.locator("#form-reading polygon").count() == 5
    assert page.locator("#form-reading .crop canvas").count() == 5
    page.hover("#form-reading .fields tr:nth-child(2)")
    assert page.locator("#form-reading polygon:nth-child(2).marked").count() == 1
    assert not page.is_visible("#length")  # the form knows
    page.select_option("#form-name", "")
    page.wait_for_selector("#reading:not([hidden])")
    assert not page.is_visible("#form-reading")


def test_a_page_that_is_not_the_form_is_not_read(server, visit):
    page = visit(server.web)
    page.wait_for_selector("#form-field:not([hidden])")
    page.select_option("#form-name", NAME)
    page.click('[data-example="form-shaded.jpg"]')
    page.wait_for_selector("#form-reading .fields tbody tr")
    assert page.inner_text("#form-reading h2") == "meter card: not found in the page"
    assert set(shown(page).values()) == {"–"}
    assert page.locator("#form-reading polygon").count() == 0
    assert page.inner_text("#form-reading .fields tr:first-child .pill") == "not read"


def test_a_server_without_forms_offers_none(web, visit):
    page = visit(web.web)
    page.wait_for_selector("#server:not(:empty)")
    assert not page.is_visible("#form-name")


def test_a_form_that_is_drawn_is_a_template_that_reads(server, visit, written, tmp_path):
    page = visit(server.web)
    edit(page, server)
    assert (page.input_value("#width"), page.input_value("#height")) == ("148", "105")
    for name, (left, top, right, bottom) in FIELDS.items():
        draw(page, left, top, right, bottom)
        row = page.locator("#fields > li").last
        row.get_by_label("Name").fill(name)
        row.get_by_label("Printed cells").fill("8")
    page.locator("#fields > li").last.get_by_label("Pattern").fill(r"[0-3]\d[01]\d20\d\d")
    page.set_input_files("#filled", FORMS / "copy.jpg")
    page.wait_for_selector("#tried .fields tbody tr")
    assert shown(page, "#tried") == {name: written["copy.jpg", name] for name in FIELDS}
    form = template(page, tmp_path)
    assert [field.name for field in form.fields] == list(FIELDS)
    assert form.fields[1].constraint.pattern == r"[0-3]\d[01]\d20\d\d"
    for field, wanted in zip(form.fields, FIELDS.values(), strict=True):
        found = (field.box.left, field.box.top, field.box.right, field.box.bottom)
        assert found == pytest.approx(wanted, abs=OFF)


def test_a_box_is_moved_and_made_larger_by_the_pointer(server, visit):
    page = visit(server.web)
    edit(page, server)
    draw(page, 20, 20, 40, 30)
    draw(page, 30, 25, 35, 27)  # from within it: moves it
    draw(page, 45, 32, 50, 37)  # from its corner
    places = [
        float(page.locator("#fields input[type=number]").nth(at).input_value()) for at in range(4)
    ]
    assert places == pytest.approx([25, 22, 25, 15], abs=2 * OFF)
    assert page.locator("#fields > li").count() == 1


def test_square_marks_at_the_corners_are_drawn_like_fields(server, visit, tmp_path):
    page = visit(server.web)
    edit(page, server)
    assert page.is_hidden("#mark-hint")
    page.select_option("#by", "corners")
    assert page.is_visible("#mark-hint")
    for x, y in ((8, 8), (140, 8), (140, 97), (8, 97)):
        draw(page, x - 2.5, y - 2.5, x + 2.5, y + 2.5)
    draw(page, *FIELDS["customer"])
    assert page.locator("#marks > li").count() == 4
    form = template(page, tmp_path)
    assert form.registration.by == "corners"
    assert form.registration.side == pytest.approx(5, abs=OFF)
    assert form.registration.marks[2] == pytest.approx((140, 97), abs=OFF)


def test_a_form_is_made_by_keyboard_alone(server, visit, tmp_path):
    page = visit(server.web)
    edit(page, server)
    page.focus("#add")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("meter")
    for _ in range(5):  # digits, cells, pattern, check digit, blank
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    for value in (16, 46, 48, 10):
        page.keyboard.press("Tab")
        page.keyboard.type(str(value))
    (field,) = tomllib.loads(page.inner_text("#toml"))["field"]
    assert field == {"name": "meter", "box": [16, 46, 48, 10], "blank": False}
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#fields > li").count() == 0
    assert page.evaluate("document.activeElement.id") == "add"


def test_what_was_drawn_comes_back_with_the_same_scan(server, visit):
    page = visit(server.web)
    edit(page, server)
    draw(page, *FIELDS["date"])
    before = page.inner_text("#toml")
    edit(page, server)
    assert page.inner_text("#toml") == before
    assert page.locator("#fields > li").count() == 1


def test_mistakes_of_a_template_are_said(server, visit, tmp_path):
    page = visit(server.web)
    edit(page, server)
    page.set_input_files("#filled", FORMS / "copy.jpg")
    until(lambda: "field" in page.inner_text("#fault"))
    page.click("#add")
    page.locator("#fields").get_by_label("Pattern").fill("[")
    page.set_input_files("#filled", FORMS / "copy.jpg")
    until(lambda: "allowed are digits" in page.inner_text("#fault"))
    (tmp_path / "scan.tif").write_bytes(b"II*\0")
    page.set_input_files("#blank", tmp_path / "scan.tif")
    until(lambda: "cannot show scan.tif" in page.inner_text("#fault"))


def test_scripts_in_names_are_shown_as_text(server, visit):
    page = visit(server.web)
    edit(page, server)
    page.fill("#name", EVIL)
    page.click("#add")
    page.locator("#fields").get_by_label("Name").fill(EVIL)
    assert tomllib.loads(page.inner_text("#toml"))["field"][0]["name"] == EVIL
    page.set_input_files("#filled", FORMS / "copy.jpg")
    until(lambda: page.inner_text("#fault"))
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src=x]").count() == 0


def tried(page, server):
    edit(page, server)
    draw(page, *FIELDS["customer"])
    page.set_input_files("#filled", FORMS / "photo.jpg")
    page.wait_for_selector("#tried .fields tbody tr")


STATES = {
    "read": lambda page, _: read_as_form(page, "photo.jpg"),
    "editor": lambda page, server: page.goto(f"{server.web}/form"),
    "tried": tried,
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_everybody_can_use_it(server, visit, axe, state, dark):
    page = visit(server.web, dark=dark, bypass_csp=True)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        STATES[state](page, server)
        assert not violations(page, axe), width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.goto(server.web)
