import shutil

import numpy as np
import pytest
from PIL import Image

from service.errors import BadForm
from service.forms.template import load
from tests.conftest import ROOT

FORM = ROOT / "examples" / "forms"
TEMPLATE = (FORM / "form.toml").read_text()
CORNERS = TEMPLATE[TEMPLATE.index('by = "corners"') : TEMPLATE.index("\n\n[[field]]")]

MISTAKES = {  # by what is changed: from, to, and what the sentence says
    "not TOML": ("[page]", "[page", "it is not TOML"),
    "a key that nobody knows": (
        "comb = 8  # printed",
        "coomb = 8  #",
        "field 'customer': 'coomb' is not known; expected name, box, length",
    ),
    "a table that nobody knows": ("[page]", "[paper]", "'paper' is not known; expected name"),
    "no page": ("[page]\nwidth = 148\nheight = 105\n", "", "page is missing"),
    "half a size": ("height = 105\n", "", "expected width and height in mm, or the dpi"),
    "two units": ("height = 105\n", "height = 105\ndpi = 200\n", "there are both"),
    "a page of no width": ("width = 148", "width = 0", "page: width: '0' was given; expected"),
    "a page of another shape": ("width = 148", "width = 190", "another shape than the page"),
    "a page like a house": ("width = 148", "width = 14800", "less than or equal to 1200"),
    "no way to register": (
        'by = "corners"',
        'by = "edges"',
        "'edges' was given; expected 'corners', 'patches', 'features' or 'none'",
    ),
    "patches that are not said": (
        CORNERS,
        'by = "patches"',
        "needs patches: boxes of the reference with print",
    ),
    "patches for another way": (
        "side = 5",
        "side = 5\npatches = [[14, 4, 60, 12]]",
        'patches are for by = "patches"; by is "corners"',
    ),
    "a patch with little print": (
        CORNERS,
        'by = "patches"\npatches = [[14, 4, 9, 9]]',
        "in its patches, are unlike what is around them; at least 12 are needed. Take larger ones",
    ),
    "a patch beyond the page": (
        CORNERS,
        'by = "patches"\npatches = [[14, 4, 140, 9]]',
        "the patch goes from 14.0, 4.0 to 154.0",
    ),
    "a patch without a height": (
        CORNERS,
        'by = "patches"\npatches = [[14, 4, 60]]',
        "registration: patches[0]: it has 3 of 4 numbers",
    ),
    "corners without marks": (
        "marks = ",
        "# marks = ",
        "needs marks (their centers) and their side",
    ),
    "marks for another way": ('by = "corners"', 'by = "features"', 'are for by = "corners"'),
    "a mark beyond the page": ("[140, 97]", "[140, 970]", "the mark goes from 137.5, 967.5"),
    "squares without a reference": ("reference =", "# reference =", "squares look alike"),
    "a reference that is not there": ("blank.png", "empty.png", "cannot read"),
    "more ids than marks": ("side = 5", "side = 5\naruco = [1, 2]", "4 marks and 2 ids"),
    "an id twice": ("side = 5", "side = 5\naruco = [1, 2, 2, 3]", "stands twice in aruco"),
    "two fields of a name": ('"reading"', '"date"', "two fields have the name 'date'"),
    "a name with a tab": ('name = "reading"', 'name = "rea\\tding"', "expected letters, digits"),
    "a box of three": (
        "[16, 46, 48, 10]",
        "[16, 46, 48]",
        "field 'reading': box: it has 3 of 4 numbers",
    ),
    "a box of five": ("[16, 46, 48, 10]", "[16, 46, 48, 10, 1]", "expected at most 4 items"),
    "a mark without a height": ("[140, 97]", "[140]", "it has 1 of 2 numbers"),
    "a box of no height": ("[16, 46, 48, 10]", "[16, 46, 48, 0]", "the last two above 0"),
    "a box beyond the page": (
        "[80, 67, 52, 8]",
        "[80, 67, 70, 8]",
        "the box goes from 80.0, 67.0 to 150.0",
    ),
    "a box full of print": ("[80, 67, 52, 8]", "[17, 15.3, 90, 2.6]", "print covers"),
    "a length of words": ("length = 5", 'length = "five"', "'five' is no number of digits"),
    "a length that the comb has not": ("length = 8", "length = 9", "the comb has 8 cells"),
    "a pattern that is none": (r"20\d\d", r"20(\d\d", "field 'date'"),
    "an empty list": ("length = 5", "allowed = []", "the list of allowed strings is empty"),
    "an unknown check digit": ("length = 5", 'check = "crc"', "'crc' is no check digit scheme"),
    "what no string satisfies": ("length = 5", 'length = 5\npattern = "12"', "no string satisfies"),
    "a search as wide as a cell": ("comb = 6", "comb = 6\nsearch = 5", "half a cell of the comb"),
    "a code beyond the page": (
        "[registration]",
        '[code]\nbox = [140, 4, 14, 14]\ntext = "A"\n[registration]',
        "code: the box goes from 140.0, 4.0 to 154.0",
    ),
    "a code that says nothing": (
        "[registration]",
        '[code]\nbox = [120, 4, 14, 14]\ntext = ""\n[registration]',
        "code: text: '' was given; expected at least 1 character",
    ),
    "a text for a number": ("comb = 6", 'comb = "six"', "field 'reading': comb: 'six' was given"),
}


@pytest.fixture
def form(tmp_path):
    """Write a template beside the example's reference; returns its path."""

    def form(text):
        shutil.copy(FORM / "blank.png", tmp_path)
        (tmp_path / "form.toml").write_text(text)
        return tmp_path / "form.toml"

    return form


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_a_sentence(mistake, form):
    seen, wrong, sentence = MISTAKES[mistake]
    assert seen in TEMPLATE
    with pytest.raises(BadForm) as caught:
        load(form(TEMPLATE.replace(seen, wrong, 1)))
    assert sentence in str(caught.value)
    assert "form.toml: " in str(caught.value)
    assert "\n" not in str(caught.value).partition("it is not TOML")[0]


def test_a_box_that_would_take_much_memory_is_refused(form):
    text = TEMPLATE.replace("width = 148", "width = 1184").replace("height = 105", "height = 840")
    text = text.replace("[80, 67, 52, 8]", "[0, 0, 500, 500]")
    with pytest.raises(
        BadForm, match="field 'telephone': the box has 250,000 mm²; at most 100,000"
    ):
        load(form(text))


def test_every_mistake_is_said_at_once(form):
    text = TEMPLATE.replace("width = 148", "width = -1").replace("comb = 6", "comb = 0")
    with pytest.raises(BadForm, match=r"page: width: .*; field 'reading': comb: "):
        load(form(text))


@pytest.mark.parametrize("name", ["nowhere.toml", "."])
def test_a_template_that_cannot_be_read_is_named(name, tmp_path):
    with pytest.raises(BadForm, match="cannot read"):
        load(tmp_path / name)


def test_a_reference_without_print_is_refused(form):
    path = form(TEMPLATE)
    Image.fromarray(np.full((827, 1165), 255, np.uint8)).save(path.parent / "blank.png")
    with pytest.raises(BadForm, match="0 places of its print"):
        load(path)


def test_a_reference_that_looks_the_same_upside_down_is_refused(form):
    path = form(TEMPLATE)
    half = np.asarray(Image.open(FORM / "blank.png").convert("L"))
    Image.fromarray(np.minimum(half, half[::-1, ::-1])).save(path.parent / "blank.png")
    with pytest.raises(BadForm, match="the same upside down"):
        load(path)


def test_places_in_the_references_pixels_are_those_in_millimeters(form):
    text = TEMPLATE.replace("width = 148\nheight = 105", "dpi = 200")
    for seen in (
        "[16, 27, 48, 8]",
        "[80, 27, 48, 8]",
        "[16, 46, 48, 10]",
        "[16, 67, 35, 8]",
        "[80, 67, 52, 8]",
    ):
        pixels = [round(float(each) * 200 / 25.4, 2) for each in seen[1:-1].split(",")]
        text = text.replace(seen, str(pixels))
    text = text.replace(
        "[[8, 8], [140, 8], [140, 97], [8, 97]]", "[[63, 63], [1102, 63], [1102, 764], [63, 764]]"
    )
    text = text.replace("side = 5", "side = 39.4")
    text = text.replace("[[field]]", "[[field]]\nsearch = 1.0")
    ours, theirs = load(form(TEMPLATE)), load(FORM / "form.toml")
    ours = load(form(text))
    assert (ours.width, ours.height) == pytest.approx((theirs.width, theirs.height), abs=0.1)
    for mine, other in zip(ours.fields, theirs.fields, strict=True):
        assert mine.box.corners == pytest.approx(other.box.corners, abs=0.01)


def test_a_comb_has_a_digit_a_cell_at_most():
    fields = {each.name: each for each in load(FORM / "form.toml").fields}
    assert (fields["reading"].constraint.length.max, fields["customer"].constraint.length.min) == (
        6,
        8,
    )
    assert not fields["telephone"].constraint.ByteSize()
