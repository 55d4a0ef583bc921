"""The page of a review, in Chromium, against the real server."""

import signal
from statistics import median

import cv2
import pytest

from service.review.journal import read_journal
from tests.support.browser import violations
from tests.support.review_tables import made_batch, row_of, scan_of, write_table

NASTY = "<img src=x onerror='window.ran = 1'>"
PEOPLE = "ada aaaaaaaaaaaaaaaa\nben bbbbbbbbbbbbbbbb\neve cccccccccccccccc\n"


@pytest.fixture
def visit(browser):
    """Open a server's page; gives the page, in a window of its own."""
    contexts = []

    def visit(server, token="", width=1280, height=800, scheme="light", **more):
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.said = []
        page.on("console", lambda line: page.said.append(line.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(server.url)
        if token:
            page.fill("#token", token)
            page.keyboard.press("Enter")
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def table(tmp_path):
    """Write a table of scans that say what was read, least sure first."""

    def table(*texts, **columns):
        rows = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.png"
            cv2.imwrite(str(path), scan_of(text))
            rows.append(row_of(path, text, 0.5 + number / 1000, **columns))
        return write_table(tmp_path / "t.jsonl", rows)

    return table


def events(server):
    """What was done, once the page has saved it."""
    server.stop()
    return read_journal(server.table.with_name("t.jsonl.review"))[1]


def shown(page, text):
    """Wait until the field shows a value."""
    page.wait_for_function("text => document.getElementById('value').value === text", arg=text)


def saved(page):
    """Wait until nothing waits to be saved."""
    page.wait_for_function("() => !Object.keys(localStorage).length")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def done_of(server, page):
    saved(page)
    return [(event.what, event.row, event.text, event.strokes) for event in events(server)]


def test_enter_confirms_and_the_doubtful_digit_is_under_the_cursor(visit, serve, table):
    server = serve(table("123", "45678"), "--name", "ada")
    page = visit(server)
    shown(page, "123")
    assert page.locator("#digits .cursor").inner_text() == "2"
    assert page.locator("#digits .least").inner_text() == "2"
    page.wait_for_selector("#picture img")
    mark = page.locator("#picture .at").bounding_box()
    digit = page.locator("#digits .cursor").bounding_box()
    assert abs(mark["x"] + mark["width"] / 2 - digit["x"] - digit["width"] / 2) < 2
    assert page.evaluate("document.activeElement.id") == "value"
    press(page, "Enter")
    shown(page, "45678")
    press(page, "Enter")
    page.get_by_text("Everything is decided").wait_for()
    assert done_of(server, page) == [("text", 0, "123", 1), ("text", 1, "45678", 1)]


def test_a_short_csv_has_no_digits_to_mark_but_is_reviewed_alike(visit, serve, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scan_of("0123"))
    rows = [row_of(tmp_path / "a.png", "0128", 0.5)]
    server = serve(write_table(tmp_path / "t.csv", rows, short=True, spreadsheet=True))
    page = visit(server)
    shown(page, "0128")
    page.wait_for_selector("#picture img")
    assert page.locator("#picture .at").count() == 0
    press(page, "End", "ArrowLeft", "3", "Enter")
    saved(page)
    server.stop()
    (event,) = read_journal(tmp_path / "t.csv.review")[1]
    assert event.text == "0123"


def test_a_key_that_is_held_confirms_one_row(visit, serve, table):
    page = visit(serve(table("123", "456", "789")))
    shown(page, "123")
    page.keyboard.down("Enter")
    shown(page, "456")
    page.keyboard.down("Enter")  # again without being let go: it repeats
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    shown(page, "456")


def test_digits_overtype_what_is_under_the_cursor(visit, serve, table):
    server = serve(table("123"))
    page = visit(server)
    shown(page, "123")
    press(page, "9")
    shown(page, "193")
    press(page, "ArrowLeft", "ArrowLeft", "7", "End", "5")
    shown(page, "7935")
    press(page, "Enter")
    assert done_of(server, page) == [("text", 0, "7935", 7)]


def test_a_missed_digit_is_put_in_and_one_too_many_taken_out(visit, serve, table):
    page = visit(serve(table("123")))
    shown(page, "123")
    press(page, "+", "8")
    shown(page, "1823")
    press(page, "Insert", "9", "Delete")
    shown(page, "1893")
    press(page, "-")
    shown(page, "189")
    press(page, "n")
    shown(page, "")
    assert "no digits" in page.locator("#digits").inner_text()


def test_an_alternative_is_one_key(visit, serve, table):
    server = serve(table("123", alternatives=[{"text": "723"}, {"text": "173"}]))
    page = visit(server)
    shown(page, "123")
    assert page.locator("#choices button").count() == 3
    press(page, "s")
    shown(page, "173")
    press(page, "Enter")
    assert done_of(server, page) == [("text", 0, "173", 2)]


@pytest.mark.parametrize(
    ("key", "what"), [("u", "unsure"), ("x", "illegible"), ("w", "wrong_crop")]
)
def test_a_row_without_a_value_is_one_key(visit, serve, table, key, what):
    server = serve(table("123"))
    page = visit(server)
    shown(page, "123")
    press(page, key)
    assert done_of(server, page) == [(what, 0, "", 1)]


@pytest.mark.parametrize("key", ["Backspace", "Control+z"])
def test_undo_takes_back_the_edit_and_then_the_row(visit, serve, table, key):
    server = serve(table("123", "456"))
    page = visit(server)
    shown(page, "123")
    press(page, "9")
    shown(page, "193")
    press(page, key)
    shown(page, "123")
    press(page, "8", "Enter")
    shown(page, "456")
    press(page, key)
    shown(page, "183")
    press(page, key)
    shown(page, "123")
    press(page, "Enter", "Enter")
    saved(page)
    kinds = [(event.what, event.row, event.text) for event in events(server)]
    assert kinds == [("text", 0, "183"), ("undo", None, ""), ("text", 0, "123"), ("text", 1, "456")]


def test_what_was_undone_on_the_last_row_comes_back(visit, serve, table):
    page = visit(serve(table("123")))
    shown(page, "123")
    press(page, "Enter")
    page.get_by_text("Everything is decided").wait_for()
    press(page, "Backspace")
    page.wait_for_selector("#row:visible")
    shown(page, "123")


def test_a_constraint_is_checked_as_one_types_and_enter_twice_overrides_it(visit, serve, table):
    server = serve(table("79927398713"), "--check", "luhn")
    page = visit(server)
    shown(page, "79927398713")
    assert page.locator("#note").inner_text() == ""
    press(page, "0")
    page.get_by_text("This breaks the constraint.").wait_for()
    press(page, "Enter")
    page.get_by_text("Enter again keeps it").wait_for()
    press(page, "Backspace", "1")
    page.get_by_text("This breaks the constraint.").wait_for()
    press(page, "Enter", "Enter")
    saved(page)
    (event,) = events(server)
    assert event.override


def test_the_keys_are_shown_and_hidden(visit, serve, table):
    page = visit(serve(table("123")))
    shown(page, "123")
    press(page, "?")
    assert page.locator("#keys").is_visible()
    press(page, "5", "Escape")
    assert not page.locator("#keys").is_visible()
    shown(page, "123")
    assert page.evaluate("document.activeElement.id") == "value"


def test_everything_can_be_done_with_a_mouse(visit, serve, table):
    server = serve(table("123", "456", "789"))
    page = visit(server)
    shown(page, "123")
    page.locator("#choices button").first.click()
    shown(page, "133")
    page.get_by_role("button", name="Confirm").click()
    shown(page, "456")
    page.get_by_role("button", name="Illegible").click()
    shown(page, "789")
    page.get_by_role("button", name="Undo").click()
    shown(page, "456")
    box = page.locator("#digits span").nth(2).bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + 3)
    press(page, "0")
    shown(page, "450")
    page.mouse.click(box["x"] + 3, box["y"] + 3)
    page.get_by_role("button", name="Remove").click()
    shown(page, "45")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Insert").click()
    press(page, "7")
    shown(page, "4570")
    saved(page)
    assert [event.what for event in events(server)] == ["text", "illegible", "undo"]


def test_a_keyboard_on_a_screen_types_without_keys(visit, serve, table):
    page = visit(serve(table("123")))
    shown(page, "123")
    page.keyboard.insert_text("9")
    shown(page, "193")


def test_the_whole_page_is_a_key_away(visit, serve, tmp_path):
    page_of = cv2.copyMakeBorder(scan_of("7"), 900, 900, 700, 700, cv2.BORDER_CONSTANT, value=255)
    cv2.imwrite(str(tmp_path / "big.png"), page_of)
    row = row_of(tmp_path / "big.png", "7", 0.5)
    row["digits"][0]["extent"] = [730.0, 910.0, 760.0, 938.0]
    page = visit(serve(write_table(tmp_path / "t.jsonl", [row])))
    page.wait_for_selector("#picture img")
    assert page.evaluate("document.querySelector('#picture img').naturalWidth") < 400
    press(page, "z")
    page.wait_for_function("() => document.querySelector('#picture img').naturalWidth > 900")
    press(page, "z")
    page.wait_for_function("() => document.querySelector('#picture img').naturalWidth < 400")


def test_more_contrast_is_a_key_away(visit, serve, table):
    page = visit(serve(table("123", "456")))
    page.wait_for_selector("#picture img")
    press(page, "c")
    page.wait_for_function("() => document.querySelector('#picture img').src.endsWith('?clear=1')")
    shown(page, "123")
    press(page, "c")
    page.wait_for_function("() => !document.querySelector('#picture img').src.includes('?')")


def test_a_scan_that_is_gone_says_so(visit, serve, tmp_path):
    table = write_table(tmp_path / "t.jsonl", [row_of(tmp_path / "gone.png", "12", 0.5)])
    page = visit(serve(table))
    page.get_by_text("there is no such file").wait_for()


def test_while_the_server_is_away_one_goes_on_and_nothing_is_lost(visit, serve, table):
    server = serve(table(*[str(100 + n) for n in range(12)]))
    page = visit(server)
    shown(page, "100")
    page.wait_for_timeout(500)  # until the next ones are here
    server.stop(signal.SIGKILL)
    for number in range(4):
        press(page, "Enter")
        shown(page, str(101 + number))
    page.get_by_text("The server does not answer. 4 changes kept in this browser").wait_for()
    server.start()
    saved(page)
    page.wait_for_function("() => !document.getElementById('saving').textContent")
    assert [event.text for event in events(server)] == ["100", "101", "102", "103"]


def test_what_a_closed_page_could_not_save_the_next_one_saves(visit, serve, table):
    server = serve(table("100", "101", "102"))
    page = visit(server)
    shown(page, "100")
    server.stop(signal.SIGKILL)
    press(page, "Enter")
    page.get_by_text("1 change kept").wait_for()
    page.close(run_before_unload=False)
    server.start()
    other = page.context.new_page()
    other.goto(server.url)
    shown(other, "101")
    saved(other)
    assert [event.text for event in events(server)] == ["100"]


def test_two_people_key_a_row_and_a_third_decides(visit, serve, table, tmp_path):
    (tmp_path / "people").write_text(PEOPLE)
    server = serve(table("123"), "--people", tmp_path / "people", "--keys", 2, "--length", 3)
    ada = visit(server, "a" * 16)
    shown(ada, "123")
    press(ada, "Enter")
    ada.get_by_text("Nothing more for you at the moment").wait_for()
    saved(ada)
    ben = visit(server, "b" * 16)
    ben.get_by_text("type what you see").wait_for()
    assert ben.locator("#choices button").count() == 0
    press(ben, "Enter")
    ben.get_by_text("Type what you see; n where there are no digits.").wait_for()
    press(ben, "1", "7", "3", "Enter")
    saved(ben)
    eve = visit(server, "c" * 16)
    eve.get_by_text("These values were given.").wait_for()
    assert "constraint" not in eve.inner_text("#note")
    values = eve.locator("#choices button").all_inner_texts()
    assert [value.split()[-1] for value in values] == ["123", "173"]
    press(eve, "Enter")
    eve.get_by_text("Take one with its key").wait_for()
    press(eve, "s", "Enter")
    eve.get_by_text("Everything is decided").wait_for()
    saved(eve)
    assert [(e.who, e.text, e.blind) for e in events(server)] == [
        ("ada", "123", False),
        ("ben", "173", True),
        ("eve", "173", False),
    ]


def test_a_wrong_token_is_refused_in_words(visit, serve, table, tmp_path):
    (tmp_path / "people").write_text(PEOPLE)
    page = visit(serve(table("123"), "--people", tmp_path / "people"), "x" * 16)
    page.get_by_text("this token is nobody's").wait_for()


def test_the_odd_digits_of_a_carpet_are_reviewed(visit, serve, table):
    server = serve(table("171", "272", "373"))
    page = visit(server)
    shown(page, "171")
    page.click("#to-carpet")
    page.get_by_role("heading", name="Read as 7").wait_for()
    assert page.locator("#cells button").count() == 3
    press(page, "ArrowRight", "Space", "Enter")
    page.get_by_text("No more digits that were read as 7").wait_for()
    press(page, "Backspace")
    page.get_by_role("heading", name="Read as 7").wait_for()
    page.locator("#cells button").nth(2).click()
    page.get_by_role("button", name="Confirm the rest").click()
    page.get_by_text("No more digits that were read as 7").wait_for()
    saved(page)
    first, undo, second = events(server)
    assert (first.what, undo.what) == ("carpet", "undo")
    assert first.odd == ((1, 1),)
    assert second.odd == ((2, 1),)
    assert len(second.digits) == 3


def test_scripts_in_ids_paths_and_texts_do_not_run(visit, serve, tmp_path):
    rows = [
        row_of(f"{NASTY}.png", "12", 0.5, id=NASTY),
        row_of("b.png", "34", 0.6, reasons=[NASTY], alternatives=[{"text": NASTY}]),
    ]
    table = write_table(tmp_path / "t.jsonl", rows)
    table = table.rename(tmp_path / f"{NASTY.replace('/', '')}.jsonl")
    server = serve(table, "--name", NASTY)
    page = visit(server)
    page.get_by_text(NASTY).first.wait_for()
    page.click("#to-carpet")
    page.wait_for_selector("#cells button")
    page.click("#to-rows")
    press(page, "Enter", "Enter")
    page.get_by_text("Everything is decided").wait_for()
    assert page.evaluate("window.ran") is None
    assert not [line for line in page.said if "Content Security Policy" in line]


def look(page, axe, name):
    """Check one state for what keeps people out, and for what does not fit."""
    assert violations(page, axe) == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_nothing_keeps_anybody_out_in_any_state(visit, serve, table, axe, width, scheme):
    server = serve(table("123456789012345678901234567890", "71", "72"), "--length", "30")
    page = visit(server, width=width, scheme=scheme)
    shown(page, "123456789012345678901234567890")
    page.wait_for_selector("#picture img")
    look(page, axe, "row")
    press(page, "?")
    look(page, axe, "keys")
    press(page, "Escape", "-")
    page.get_by_text("This breaks the constraint").wait_for()
    look(page, axe, "constraint")
    page.click("#to-carpet")
    page.wait_for_selector("#cells button")
    press(page, "Space")
    look(page, axe, "carpet")
    page.click("#to-rows")
    page.wait_for_selector("#row:visible")
    server.stop(signal.SIGKILL)
    press(page, "Enter", "Enter")
    page.get_by_text("The server does not answer").wait_for()
    look(page, axe, "offline")
    server.start()
    press(page, "Enter", "Enter", "x")
    page.get_by_text("Everything is decided").wait_for()
    look(page, axe, "summary")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signing_in_and_deciding_keep_nobody_out(visit, serve, table, axe, tmp_path, scheme):
    (tmp_path / "people").write_text(PEOPLE)
    server = serve(table("123"), "--people", tmp_path / "people", "--keys", 2)
    page = visit(server, width=320, scheme=scheme)
    page.wait_for_selector("#token:visible")
    look(page, axe, "sign in")
    for person, keys in (("a", ["Enter"]), ("b", ["1", "7", "3", "Enter"]), ("c", [])):
        page = visit(server, person * 16, width=320, scheme=scheme)
        page.wait_for_selector("#row:visible")
        look(page, axe, person)
        press(page, *keys)
        saved(page)


def test_the_next_row_is_there_at_once(visit, serve, tmp_path):
    """From a key to the next picture: the median of fifty, at a person's pace."""
    made, _ = made_batch(tmp_path, 60, accepted=0.0)
    page = visit(serve(made))
    page.wait_for_selector("#picture img")
    times = []
    for _ in range(50):
        page.wait_for_timeout(120)
        times.append(page.evaluate(NEXT))
    assert median(times) < 100


# Presses Enter, and returns the milliseconds until another picture is painted.
NEXT = """() => new Promise((resolve) => {
  const before = document.querySelector('#picture img');
  const start = performance.now();
  document.getElementById('value').dispatchEvent(
    new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
  const look = () => {
    const now = document.querySelector('#picture img');
    if (now && now !== before && now.complete) {
      requestAnimationFrame(() => resolve(performance.now() - start));
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
})"""
