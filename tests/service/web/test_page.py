"""The page in Chromium, against the real service."""

import io
import re
import subprocess
import sys
from importlib.resources import files

import pytest
from PIL import Image

from service.web.page import FILES
from tests.conftest import STRIPS, free_address, until
from tests.service.web.conftest import start
from tests.support.browser import violations
from tests.support.http1 import call

NAME = "postcode-ruled.png"
EVIL = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>.png'
SETTLED = "body[data-state=read], body[data-state=unsure]"
WIDTHS = (320, 768, 1280)


def take(page, name=NAME):
    """Have an example read."""
    page.click(f'[data-example="{name}"]')
    page.wait_for_selector(SETTLED)


def choose(page, content, name):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def text_of(page, text):
    """Wait until the page shows a text that it read."""
    until(lambda: page.inner_text("#text") == text)


def test_every_file_of_the_page_is_served_and_no_other():
    folder = files("service.web.page")
    here = {each.name for each in folder.iterdir() if each.is_file()} - {
        "__init__.py",
        "index.html",
        "form.html",
    }
    here |= {f"examples/{each.name}" for each in folder.joinpath("examples").iterdir()}
    assert set(FILES) == here


def test_the_pages_examples_are_those_of_the_repository():
    for name in (each for each in FILES if each.startswith("examples/")):
        content = files("service.web.page").joinpath(name).read_bytes()
        assert content == (STRIPS / name.removeprefix("examples/")).read_bytes()


def test_nothing_in_the_page_is_inline(web):
    for path in ("/", "/form"):
        html = call(web.web, path).body.decode()
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|https?:", html)
    for name in FILES:
        if name.endswith(".js"):
            code = files("service.web.page").joinpath(name).read_text()
            assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|eval\(", code)


def test_an_example_is_read_and_shown_with_all_that_is_known(web, visit, truths):
    page = visit(web.web)
    assert page.get_attribute("body", "data-state") == "empty"
    take(page)
    text_of(page, truths[NAME])
    page.fill("#accept-errors", "50%")
    page.wait_for_selector("body[data-state=read]")
    assert page.inner_text("#decision") == "Accept"
    sure = page.inner_text("#confidence")
    assert f"{sure.removesuffix(' sure')} is over the 0% that keep" in page.inner_text("#reasons")
    assert page.inner_text("#status") == f"Read 6 8 7 6 7, {sure}. Accept."
    assert [each.inner_text() for each in page.query_selector_all("#digits th")] == list("68767")
    assert page.locator("#alternatives li").count() == 5
    assert "280 × 130 px" in page.inner_text("#done")
    stages = page.inner_text("#times").split("\n")[::2]
    assert stages == ["queue", "decode", "normalize", "score", "search", "there and back"]
    assert page.inner_text("#server").startswith("Version ")


def test_the_ribbon_stands_under_the_digits(web, visit):
    page = visit(web.web)
    take(page)
    image, ribbon = (page.locator(name).bounding_box() for name in ("#image", "#ribbon"))
    assert (image["x"], image["width"]) == (ribbon["x"], ribbon["width"])
    accent = page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--accent')"
    )
    wanted = tuple(bytes.fromhex(accent.strip().removeprefix("#")))
    picture = Image.open(io.BytesIO(page.locator("#ribbon").screenshot())).convert("RGB")
    row = ribbon["height"] / 11
    marks = page.query_selector_all("#marks li")
    assert len(marks) == 5
    for mark, digit in zip(marks, "68767", strict=True):
        extent = mark.query_selector(".extent").bounding_box()
        label = mark.query_selector(".label").bounding_box()
        middle = label["x"] + label["width"] / 2
        assert extent["x"] < middle < extent["x"] + extent["width"]
        at = (round(middle - ribbon["x"]), round((int(digit) + 0.5) * row))
        near = [picture.getpixel((at[0] + dx, at[1])) for dx in (-3, 0, 3)]
        assert any(max(abs(a - b) for a, b in zip(each, wanted, strict=True)) < 40 for each in near)


def test_a_digit_is_marked_in_the_image_when_its_row_is_pointed_at(web, visit):
    page = visit(web.web)
    take(page)
    page.hover("#digits tr:nth-child(3)")
    assert page.locator("#marks li.marked").count() == 1
    assert page.locator("#marks li:nth-child(3).marked").count() == 1


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_taken_by_its_content_from_a_drop_and_from_the_clipboard(
    web, visit, truths, way
):
    page = visit(web.web)
    content = list((STRIPS / NAME).read_bytes())
    page.evaluate(
        """([way, content]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(content)], "nameless.bin"));
            if (way === "drop") {
                for (const name of ["dragenter", "dragover", "drop"]) {
                    const event = new DragEvent(name, {dataTransfer: data, bubbles: true});
                    document.body.dispatchEvent(event);
                }
            } else {
                document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
            }
        }""",
        [way, content],
    )
    text_of(page, truths[NAME])


def test_digits_that_are_written_are_read_and_taken_back(web, visit):
    page = visit(web.web)
    page.click("#draw")
    box = page.locator("#pad-canvas").bounding_box()

    def stroke(*points):
        for index, (x, y) in enumerate(points):
            at = (box["x"] + x * box["height"], box["y"] + y * box["height"])
            page.mouse.move(*at, steps=4)
            if not index:
                page.mouse.down()
        page.mouse.up()

    stroke((0.3, 0.25), (0.6, 0.25), (0.42, 0.8))
    text_of(page, "7")
    assert page.locator("#pad-canvas").bounding_box() == box  # it does not move under the pen
    stroke((1.05, 0.2), (0.95, 0.52), (1.25, 0.52))
    stroke((1.22, 0.2), (1.22, 0.82))
    text_of(page, "74")
    page.click("#pad-undo")
    page.keyboard.press("Control+z")
    text_of(page, "7")
    page.click("#pad-close")
    assert page.evaluate("document.activeElement.id") == "draw"


def test_what_is_known_changes_the_reading_at_once(web, visit):
    page = visit(web.web)
    take(page)
    page.fill("#pattern", r"\d{3}-\d{2}")
    text_of(page, "687-67")
    page.fill("#pattern", "[")
    page.wait_for_selector("#pattern[aria-invalid=true]")
    assert "allowed are digits" in page.inner_text("#fault")
    assert page.inner_text("#text") == "687-67"  # the last one stays
    page.fill("#pattern", "")
    text_of(page, "68767")
    assert not page.inner_text("#fault")
    page.fill("#length", "five")
    page.wait_for_selector("#length[aria-invalid=true]")
    page.fill("#length", "4")
    until(lambda: len(page.inner_text("#text")) == 4)
    assert "What you know changed it" in page.inner_text("#reasons")


def test_what_was_done_is_a_command_and_a_program_that_do_the_same(web, visit, tmp_path):
    page = visit(web.web)
    content = (STRIPS / NAME).read_bytes()
    name = 'it\'s "mine" $(touch pwned).png'
    (tmp_path / name).write_bytes(content)
    choose(page, content, name)
    page.wait_for_selector(SETTLED)
    page.fill("#length", "5")
    page.fill("#pattern", r"\d{3}-\d{2}")
    page.fill("#accept-errors", "50%")
    text_of(page, "687-67")
    ended = subprocess.run(
        ["sh", "-c", page.inner_text("#curl")], cwd=tmp_path, capture_output=True, check=True
    )
    assert b'"text":"687-67"' in ended.stdout
    assert b'"decision":"ACCEPT"' in ended.stdout
    ended = subprocess.run(
        [sys.executable, "-c", page.inner_text("#python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.startswith("687-67 0.9")
    assert not (tmp_path / "pwned").exists()


def test_it_is_used_by_keyboard_alone(web, visit, truths):
    page = visit(web.web)
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.dataset.example ?? document.activeElement.id")
        )
        if seen[-1] == NAME:
            break
    assert seen[1:3] == ["file", "draw"] or seen[1:4] == ["file", "camera", "draw"]
    page.keyboard.press("Enter")
    text_of(page, truths[NAME])


def test_a_page_of_a_tiff_is_chosen(web, visit, truths, tmp_path):
    pages = [Image.open(STRIPS / name).convert("L") for name in (NAME, "one-digit.png")]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    page = visit(web.web)
    page.set_input_files("#file", tmp_path / "two.tif")
    text_of(page, truths[NAME])
    page.fill("#page", "2")
    text_of(page, truths["one-digit.png"])
    page.fill("#page", "3")
    page.wait_for_selector("#page[aria-invalid=true]")
    assert "2 pages" in page.inner_text("#fault")


def test_an_image_that_is_refused_is_so_in_words(web, visit):
    page = visit(web.web)
    choose(page, (STRIPS / NAME).read_bytes()[:300], "torn.png")
    page.wait_for_selector("body[data-state=refused]")
    assert page.inner_text("#notice-title") == "Not read"
    assert "truncated" in page.inner_text("#notice-text")
    choose(page, b"%PDF-1.7\n", "scan.pdf")
    until(lambda: "draw a PDF's pages" in page.inner_text("#notice-text"))
    take(page)
    assert not page.is_visible("#notice")


def test_scripts_in_names_and_fields_are_shown_as_text(web, visit):
    page = visit(web.web)
    choose(page, (STRIPS / NAME).read_bytes(), EVIL)
    page.wait_for_selector(SETTLED)
    assert "<script>" in page.inner_text("#curl")
    choose(page, EVIL.encode(), EVIL)
    page.wait_for_selector("body[data-state=refused]")
    take(page)
    page.fill("#pattern", EVIL)
    until(lambda: "<img src=x" in page.inner_text("#fault") or "<img" in page.inner_text("#text"))
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src=x]").count() == 0


def test_a_server_that_is_gone_is_waited_for(visit, tmp_path, truths):
    address = free_address()
    again = ("--web-listen", address)
    server = start(tmp_path / "log", *again)
    page = visit(server.web)
    take(page)
    server.stop()
    page.fill("#length", "5")
    page.wait_for_selector("body[data-state=offline]")
    assert page.inner_text("#notice-title") == "The server does not answer"
    server = start(tmp_path / "log2", *again)
    page.wait_for_selector(SETTLED)
    text_of(page, truths[NAME])
    server.stop()


def test_a_token_is_asked_for_and_used(visit, tmp_path, truths):
    (tmp_path / "tokens").write_text("a-token-of-some-length")
    server = start(tmp_path / "log", "--tokens-file", tmp_path / "tokens")
    page = visit(server.web)
    page.click(f'[data-example="{NAME}"]')
    page.wait_for_selector("#token:focus")
    page.fill("#token", "a-token-of-some-length")
    page.keyboard.press("Enter")
    text_of(page, truths[NAME])
    assert "$TOKEN" in page.inner_text("#curl")
    server.stop()


def refused(page):
    choose(page, b"nothing", "x.png")
    page.wait_for_selector("#notice")


def fault(page):
    take(page)
    page.fill("#pattern", "[")
    page.wait_for_selector("[aria-invalid]")


STATES = {
    "empty": lambda page: None,
    "read": take,
    "unsure": lambda page: take(page, "account-small.png"),
    "writing": lambda page: page.click("#draw"),
    "refused": refused,
    "fault": fault,
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_everybody_can_use_it(web, visit, axe, state, dark):
    page = visit(web.web, dark=dark, bypass_csp=True)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        STATES[state](page)
        assert not violations(page, axe), width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.reload()
