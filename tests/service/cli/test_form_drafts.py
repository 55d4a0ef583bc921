"""`digitstrip form from-pdf` and `from-image`: a blank form, its template, a page read with it."""

import shutil

import numpy as np
import pytest
from PIL import Image

from service.forms.places import Box
from service.forms.template import load
from service.inputs.pdf_fields import text_fields
from tests.conftest import ROOT
from tests.support.acroform import COMB, MULTILINE, Widget, acroform

FORMS = ROOT / "examples" / "forms"
SIZE = (148.0, 105.0)  # mm, of the example
DPI = 200


@pytest.fixture(scope="module")
def example():
    return load(FORMS / "form.toml")


@pytest.fixture(scope="module")
def blank():
    return np.asarray(Image.open(FORMS / "blank.png").convert("L"))


def widgets(form):
    return [
        Widget(
            each.name,
            (each.box.left, each.box.top, each.box.width, each.box.height),
            each.comb or each.constraint.length.max or None,
            COMB if each.comb else 0,
        )
        for each in form.fields
    ]


def test_a_template_of_a_pdf_checks_and_reads_a_scan(run, tmp_path, example, blank):
    (tmp_path / "card.pdf").write_bytes(acroform(blank, SIZE, widgets(example)))
    done = run("form", "from-pdf", "card.pdf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"card.toml: 5 fields; card.png\n"
    made = load(tmp_path / "card.toml")
    assert (made.width, made.height) == pytest.approx(SIZE, abs=0.1)
    for mine, given in zip(made.fields, example.fields, strict=True):
        assert (mine.name, mine.comb) == (given.name, given.comb)
        assert mine.box.corners == pytest.approx(given.box.corners, abs=0.1)
    assert {each.name: each.constraint.length.max for each in made.fields}["postcode"] == 5
    checked = run("form", "check", "card.toml", FORMS / "askew.jpg", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    done = run("read", "--form", "card.toml", FORMS / "copy.jpg", cwd=tmp_path)
    assert done.stdout.decode().splitlines() == [
        "customer\t26084919",
        "date\t30102026",
        "reading\t126508",
        "postcode\t20359",
        "telephone\t40556713",
    ]


def test_a_template_of_a_picture_finds_boxes_and_combs(run, tmp_path, example):
    shutil.copy(FORMS / "blank.png", tmp_path / "card.png")
    done = run("form", "from-image", "card.png", "--dpi", DPI, "-o", "draft.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"draft.toml: 5 fields; card.png\n"
    made = load(tmp_path / "draft.toml")
    assert [each.name for each in made.fields] == [f"field{number}" for number in range(1, 6)]
    for mine, given in zip(made.fields, example.fields, strict=True):
        assert mine.comb == given.comb
        assert mine.box.corners == pytest.approx(given.box.corners, abs=0.4)
    done = run("read", "--form", "draft.toml", FORMS / "copy.jpg", cwd=tmp_path)
    texts = [line.split("\t")[1] for line in done.stdout.decode().splitlines()]
    assert texts == ["26084919", "30102026", "126508", "20359", "40556713"]


def test_an_answer_of_several_lines_a_choice_and_a_tick_are_no_fields(blank):
    box = (20.0, 30.0, 40.0, 8.0)
    page = text_fields(
        acroform(
            blank,
            SIZE,
            [
                Widget("kept", box, 300),
                Widget("remarks", box, flags=MULTILINE),
                Widget("choice", box, kind="Ch"),
                Widget("tick", box, kind="Btn"),
            ],
        ),
        0,
    )
    (field,) = page.fields
    assert (field.name, field.longest, field.comb) == ("kept", None, False)


READ_ONLY, DO_NOT_SCROLL = 1, 1 << 23


@pytest.mark.parametrize("flags", [0, COMB, READ_ONLY, DO_NOT_SCROLL])
@pytest.mark.parametrize(("longest", "known"), [(7, 7), (255, 255), (300, None), (None, None)])
def test_how_much_may_be_entered_is_known_where_a_widget_inherits_it(longest, known, flags, blank):
    """It is known, too, where the box has room for less, and where the next one inherits more."""
    box = (20.0, 30.0, 10.0, 8.0)
    given = [Widget("a", box, longest, flags, inherits=True), Widget("b", box, 9, inherits=True)]
    fields = text_fields(acroform(blank, SIZE, given), 0).fields
    assert [(each.name, each.longest) for each in fields] == [("a", known), ("b", 9)]
    assert fields[0].comb is (flags == COMB)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_field_lies_where_the_page_shows_it(rotate, blank):
    """The page is turned, and its origin is elsewhere."""
    pdf = acroform(blank, SIZE, [Widget("a", (20, 30, 40, 8))], rotate, origin=50.0)
    page = text_fields(pdf, 0)
    width, height = SIZE
    wanted = {
        0: (20, 30, 40, 8),
        90: (height - 38, 20, 8, 40),
        180: (width - 60, height - 38, 40, 8),
        270: (30, width - 60, 8, 40),
    }[rotate]
    assert page.size == pytest.approx(SIZE if rotate in (0, 180) else SIZE[::-1], abs=0.01)
    assert page.fields[0].box == pytest.approx(wanted, abs=0.02)


def test_names_that_a_template_may_not_have_are_changed_and_stay_distinct(run, tmp_path, blank):
    names = ["Straße/Nr.", "Straße/Nr.", "a\tb", "  ", "x" * 200]
    given = [Widget(each, (16, 20 + 12 * at, 40, 8)) for at, each in enumerate(names)]
    (tmp_path / "card.pdf").write_bytes(acroform(blank, SIZE, given))
    run("form", "from-pdf", "card.pdf", cwd=tmp_path)
    text = (tmp_path / "card.toml").read_text()
    for name in ("Straße_Nr.", "Straße_Nr. 2", "a_b", "field", "x" * 75):
        assert f'name = "{name}"' in text


def test_more_fields_than_a_template_may_have_are_all_written_and_need_editing(
    run, tmp_path, blank
):
    given = [Widget(f"f{number}", (16, 20, 40, 8)) for number in range(501)]
    (tmp_path / "card.pdf").write_bytes(acroform(blank, SIZE, given))
    done = run("form", "from-pdf", "card.pdf", cwd=tmp_path)
    assert done.returncode == 1
    assert b"card.toml is written, and needs editing" in done.stderr
    assert b"500" in done.stderr
    assert (tmp_path / "card.toml").read_text().count("[[field]]") == 501


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["from-pdf", "plain.pdf"], "page 1 of the PDF has no text fields"),
        (["from-pdf", "plain.pdf", "--page", "2"], "page 2 was requested; there is one page"),
        (["from-pdf", "white.png"], "white.png is no PDF"),
        (["from-pdf", "nowhere.pdf"], "nowhere.pdf: No such file"),
        (["from-pdf", "damaged.pdf"], "the PDF is damaged"),
        (["from-image", "white.png", "--dpi", 200], "no printed box was found"),
        (["from-image", "blank.png", "--dpi", 200], "blank.toml exists; choose another name"),
        (["from-pdf", "full.pdf", "-o", "blank.toml"], "blank.toml exists; choose another name"),
        (["from-pdf", "full.pdf", "-o", "white.toml"], "white.png exists; choose another name"),
        (["from-image", "blank.png", "--dpi", 200, "-o", "a.txt"], "ends in .toml"),
        (["from-image", "blank.png", "--dpi", 200, "-o", "no/a.toml"], "cannot write no/a.toml"),
    ],
)
def test_what_makes_no_template_says_why_and_writes_nothing(
    arguments, sentence, run, tmp_path, blank
):
    shutil.copy(FORMS / "blank.png", tmp_path)
    Image.fromarray(np.full((800, 1100), 255, np.uint8)).save(tmp_path / "white.png")
    (tmp_path / "plain.pdf").write_bytes(acroform(blank, SIZE, []))
    (tmp_path / "blank.toml").write_text("")
    full = acroform(blank, SIZE, [Widget("a", (16, 27, 48, 8))])
    (tmp_path / "full.pdf").write_bytes(full)
    (tmp_path / "damaged.pdf").write_bytes(b"%PDF-1.7\nnothing")
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    done = run("form", *arguments, cwd=tmp_path)
    assert done.returncode == (2 if "-o" in arguments or "exists" in sentence else 1)
    assert sentence in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_draft_with_too_little_print_is_written_and_says_what_to_mend(run, tmp_path):
    page = np.full((827, 1165), 255, np.uint8)
    page[200:264, 100] = page[200:264, 400] = page[200, 100:400] = page[264, 100:401] = 0
    Image.fromarray(page).save(tmp_path / "bare.png")
    done = run("form", "from-image", "bare.png", "--dpi", 200, "-o", "a.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert b"a.toml is written, and needs editing" in done.stderr
    assert b"places of its print" in done.stderr
    assert "box = [12." in (tmp_path / "a.toml").read_text()


def test_boxes_keep_their_rows_and_ticks_and_frames_are_left_out():
    from service.forms.printed_boxes import printed_fields

    page = np.full((1000, 1600), 255, np.uint8)

    def frame(box):
        left, top, right, bottom = (round(8 * each) for each in box.corners[[0, 2]].ravel())
        page[top:bottom, left : left + 3] = page[top:bottom, right - 3 : right] = 30
        page[top : top + 3, left:right] = page[bottom - 3 : bottom, left:right] = 30

    frame(Box(2, 2, 196, 120))  # around everything
    frame(Box(10, 20, 6, 6))  # to be ticked
    frame(Box(100, 21, 40, 8))
    frame(Box(30, 20, 50, 8))
    for cell in range(6):
        frame(Box(20 + 7 * cell, 50, 6, 8))  # apart
    frame(Box(120, 50, 30, 8))
    frame(Box(150, 50, 30, 8))  # a table's cells share a line; they are no comb
    fields = printed_fields(page, 8.0)
    assert [(each.name, round(each.box.left), each.comb) for each in fields] == [
        ("field1", 30, None),
        ("field2", 100, None),
        ("field3", 20, 6),
        ("field4", 120, None),
        ("field5", 150, None),
    ]
