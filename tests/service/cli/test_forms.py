"""`digitstrip read --form` and `digitstrip form check`, as a user runs them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from service.cli.form_plot import ACCEPTED
from tests.conftest import ROOT
from tests.support.form_scans import random_form, template

FORMS = ROOT / "examples" / "forms"
TEMPLATE = FORMS / "form.toml"


def test_a_form_is_read_field_by_field(run):
    done = run("read", "--form", TEMPLATE, FORMS / "copy.jpg")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "customer\t26084919",
        "date\t30102026",
        "reading\t126508",
        "postcode\t20359",
        "telephone\t40556713",
    ]


def test_a_forms_record_has_registration_fields_and_places(run):
    done = run("read", "--form", TEMPLATE, FORMS / "askew.jpg", "--json", "--accept-errors", "1%")
    (record,) = map(json.loads, done.stdout.splitlines())
    assert [record["form"], record["page"]] == ["meter card", 1]
    assert record["registration"]["status"] == "REGISTERED"
    assert record["registration"]["residual_mm"] < 0.2
    fields = {each["name"]: each for each in record["fields"]}
    assert list(fields) == ["customer", "date", "reading", "postcode", "telephone"]
    assert fields["telephone"]["status"] == "BLANK"
    assert (fields["customer"]["text"], fields["customer"]["decision"]) == ("40718827", "ACCEPT")
    assert len(fields["customer"]["reading"]["digits"]) == 8
    left, top = fields["customer"]["polygon"][0]
    assert 150 < left < 450
    assert 200 < top < 450


def test_another_page_is_no_reading_but_says_why(run):
    strip = ROOT / "examples" / "strips" / "two-digits.png"
    done = run("read", "--form", TEMPLATE, FORMS / "copy.jpg", strip)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == f"{FORMS / 'copy.jpg'}\tcustomer\t26084919"
    assert lines[5:] == [
        f"{strip}\t{name}\t\tREVIEW\tMISREGISTERED"
        for name in ("customer", "date", "reading", "postcode", "telephone")
    ]
    assert b"MISREGISTERED: " in done.stderr


def test_the_picture_shows_the_page(run, tmp_path):
    done = run("read", "--form", TEMPLATE, FORMS / "photo.jpg", "--picture", tmp_path / "seen.png")
    assert done.returncode == 0
    with Image.open(FORMS / "photo.jpg") as page, Image.open(tmp_path / "seen.png") as seen:
        assert seen.mode == "RGB"
        assert seen.width / seen.height == pytest.approx(page.width / page.height, rel=0.01)


@pytest.mark.parametrize("option", [("--length", "5"), ("--explain", "out.png")])
def test_options_of_one_line_do_not_go_with_a_form(option, run):
    done = run("read", "--form", TEMPLATE, FORMS / "copy.jpg", *option)
    assert done.returncode == 2
    assert b"--form" in done.stderr


def test_a_template_with_a_mistake_is_wrong_input_with_a_sentence(run, tmp_path):
    (tmp_path / "form.toml").write_text("[page]\nwidth = 5\n")
    done = run("read", "--form", tmp_path / "form.toml", FORMS / "copy.jpg")
    assert done.returncode == 1
    assert b"BAD_FORM" in done.stderr
    assert b"registration is missing" in done.stderr
    assert b"Traceback" not in done.stderr


def test_every_page_is_drawn_with_what_was_decided_of_its_fields(run, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("copy.jpg", "askew.jpg"):
        shutil.copy(FORMS / name, scans)
    options = ("--accept-errors", "1%", "--picture", tmp_path / "looked")
    done = run("read", "--form", TEMPLATE, scans, *options)
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "looked").iterdir())
    assert [each.name for each in pictures] == ["askew.png", "copy.png"]
    seen = [np.asarray(Image.open(each).convert("RGB")).reshape(-1, 3) for each in pictures]
    assert all((each == ACCEPTED).all(axis=1).any() for each in seen)


def test_a_check_lists_the_worst_page_first(run, tmp_path):
    strip = ROOT / "examples" / "strips" / "two-digits.png"
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    done = run(
        *("form", "check", TEMPLATE, FORMS / "copy.jpg", FORMS / "askew.jpg", strip),
        *(tmp_path / "damaged.png", "--picture", tmp_path / "boxes"),
    )
    assert done.returncode == 1
    first, *others = done.stdout.decode().splitlines()
    assert first.startswith(f"{strip}\tMISREGISTERED")
    assert all("\tREGISTERED, 0.0" in each and "100% in place" in each for each in others)
    assert b"damaged.png: UNKNOWN_FORMAT" in done.stderr
    assert {each.name for each in (tmp_path / "boxes").iterdir()} == {
        *("copy.png", "askew.png", "two-digits.png")
    }


def test_a_check_names_fields_whose_place_is_not_known(run, tmp_path):
    page = np.array(Image.open(FORMS / "blank.png").convert("L"))
    scale = page.shape[1] / 148
    left, top, right, bottom = (round(each * scale) for each in (76, 63, 136, 79))
    page[top:bottom, left:right] = 255
    Image.fromarray(page).save(tmp_path / "torn.png")
    done = run("form", "check", TEMPLATE, "torn.png", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.decode().endswith("\tplaces that are not known: telephone\n")


def test_a_check_of_good_pages_succeeds(run):
    assert run("form", "check", TEMPLATE, FORMS / "copy.jpg").returncode == 0


def test_pages_are_written_as_alto_named_after_their_files(run, tmp_path):
    done = run(
        "read",
        "--form",
        TEMPLATE,
        FORMS / "copy.jpg",
        FORMS / "photo.jpg",
        "--alto",
        tmp_path / "xml",
    )
    assert done.returncode == 0
    assert sorted(each.name for each in (tmp_path / "xml").iterdir()) == ["copy.xml", "photo.xml"]
    written = (tmp_path / "xml" / "copy.xml").read_bytes()
    assert b'CONTENT="26084919" WC="' in written
    assert f"<fileName>{FORMS / 'copy.jpg'}</fileName>".encode() in written


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--form", TEMPLATE, FORMS / "copy.jpg", "--alto", "page.txt"), "that ends in .xml"),
        ((FORMS / "copy.jpg", "--alto", "page.xml"), "ALTO is of pages that a form is read on"),
    ],
)
def test_alto_of_another_name_or_of_no_form_is_wrong_use(arguments, sentence, run, tmp_path):
    done = run("read", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.decode().replace("│", " ").split())
    assert not (tmp_path / "page.txt").exists()


@pytest.fixture
def folder(tmp_path):
    """Two forms, of which the example is one; and a folder without any."""
    (tmp_path / "forms").mkdir()
    (tmp_path / "none").mkdir()
    for name in ("form.toml", "blank.png"):
        shutil.copy(FORMS / name, tmp_path / "forms")
    other = random_form(np.random.default_rng(5))
    Image.fromarray(other.gray).save(tmp_path / "forms" / "other.png")
    text = template(other).replace("blank.png", "other.png")
    (tmp_path / "forms" / "another.toml").write_text(text)
    return tmp_path


def test_of_a_folder_of_forms_the_one_that_a_page_is_is_named_in_the_row(run, folder):
    done = run("read", "--form", folder / "forms", FORMS / "copy.jpg", folder / "forms/other.png")
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert lines[0][1:] == ["meter card", "customer", "26084919"]
    assert {tuple(line[:2]) for line in lines[5:]} == {(str(folder / "forms/other.png"), "another")}
    table = folder / "fields.csv"
    done = run("batch", FORMS / "copy.jpg", "--form", folder / "forms", "--output", table)
    assert done.returncode == 0, done.stderr
    rows = table.read_text().splitlines()
    assert rows[0] == "source,page,id,form,field,text,confidence,decision,reason"
    assert "meter card,customer,26084919" in rows[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("read", "--form", "none", "scan.jpg"), "none has no template"),
        (
            ("read", "--form", "forms", "--form", "forms/form.toml", "scan.jpg"),
            "two forms have the name 'meter card'",
        ),
        (
            ("batch", "scan.jpg", "--form", "forms", "--output", "a.csv", "--wide"),
            "--wide has columns for the fields of one form",
        ),
        (
            ("batch", "scan.jpg", "--form", "forms", "-o", "a.csv", "--address", "127.0.0.1:1"),
            "services read pages of one form",
        ),
    ],
)
def test_what_does_not_go_with_several_forms_says_why(arguments, sentence, run, folder):
    shutil.copy(FORMS / "copy.jpg", folder / "scan.jpg")
    done = run(*arguments, cwd=folder)
    assert done.returncode != 0
    assert sentence in " ".join(done.stderr.decode().split())


def test_bad_pages_are_read_where_they_can_be_and_else_say_what_is_wrong(run, tmp_path):
    with Image.open(FORMS / "copy.jpg") as opened:
        page = opened.convert("L")
    wide, high = page.size
    pages = {
        "blank.png": Image.new("L", page.size, 250),
        "half.png": page.crop((0, 0, wide // 2, high)),
        "one.png": Image.new("L", (1, 1), 255),
        "other.png": Image.fromarray(random_form(np.random.default_rng(5)).gray),
        "turned.png": page.transpose(Image.Transpose.ROTATE_180),
    }
    for name, each in pages.items():
        each.save(tmp_path / name)
    mixed = [page, Image.new("L", (400, 900), 255), page.resize((wide * 3 // 4, high * 3 // 4))]
    mixed[0].save(tmp_path / "mixed.pdf", save_all=True, append_images=mixed[1:], resolution=200)
    done = run("read", "--form", TEMPLATE, *sorted(pages), "mixed.pdf", "--json", cwd=tmp_path)
    records = {
        (each["source"], each["page"]): each for each in map(json.loads, done.stdout.splitlines())
    }
    right = ["26084919", "30102026", "126508", "20359", "40556713"]
    for key in (("turned.png", 1), ("mixed.pdf", 1), ("mixed.pdf", 3)):
        assert records[key]["registration"]["status"] == "REGISTERED", key
        assert [each["text"] for each in records[key]["fields"]] == right, key
    wrong = {
        ("blank.png", 1): "the marks were not found",
        ("one.png", 1): "the page has 1×1 pixels, too few for a form",
        ("other.png", 1): "of the form's print is in its place; at least 50% is needed",
        ("mixed.pdf", 2): "the marks were not found",
    }
    for key, why in wrong.items():
        assert why in records[key]["registration"]["why"], key
        assert {each["status"] for each in records[key]["fields"]} == {"MISREGISTERED"}, key
        assert not any(each["text"] for each in records[key]["fields"]), key
    half = {each["name"]: each for each in records["half.png", 1]["fields"]}
    assert half["telephone"]["status"] == "MISREGISTERED"  # it lies in the other half
    assert all(each["text"] in (*right, "") for each in half.values())
