import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import ROOT
from training.cli.main import app
from training.config import StripConfig
from training.pages.contact_sheet import EDGE, WIDTH
from training.pages.effects import page
from training.pages.page import make_pages
from training.pages.samples import draw


@pytest.fixture(scope="module")
def pages(digits):
    return make_pages(digits, 1, 12, StripConfig())


def test_more_pages_begin_with_the_same_ones(digits, pages):
    for few, many in zip(make_pages(digits, 1, 3, StripConfig()), pages, strict=False):
        np.testing.assert_array_equal(few.gray, many.gray)


def test_a_sheet_shows_every_page_within_its_edges(pages):
    picture = np.asarray(draw(pages, "Made pages"))
    assert picture.shape[1:] == (WIDTH, 3)
    night = picture[0, 0]
    assert (picture[:, :EDGE] == night).all()
    assert (picture[:, -EDGE:] == night).all()
    more = draw([*pages, *pages], "Made pages")
    assert more.height > picture.shape[0]


def test_the_command_writes_a_sheet_of_one_effect_alone(tmp_path):
    out = tmp_path / "sheet.png"
    arguments = ["samples", str(out), "--data", "mnist5k", "--count", "4", "--only", "bar"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width == WIDTH


def test_a_long_path_with_brackets_is_one_line_of_output(tmp_path):
    out = tmp_path / ("[bold]" + "x" * 100) / "sheet.png"
    result = CliRunner().invoke(app, ["samples", str(out), "--data", "mnist5k", "--count", "1"])
    assert result.output.splitlines()[-1] == f"1 pages in {out}"


def test_an_unknown_effect_is_refused_with_the_known_ones(tmp_path):
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["samples", str(out), "--only", "glitter"])
    assert result.exit_code == 2
    assert "glitter" in result.output
    assert "guilloche" in result.output
    assert not out.exists()


EACH = "digitstrip-train samples docs/effects --each --seed 7"


def test_every_effect_has_its_picture_in_the_docs_and_nothing_else_has():
    here = {path.name for path in (ROOT / "docs" / "effects").iterdir()}
    assert here == {f"{name}.png" for name in StripConfig.switches()}, f"run `{EACH}`"
    assert EACH in (ROOT / "docs" / "effects.md").read_text("utf-8")


def test_the_command_of_the_docs_draws_a_picture_of_each_effect(tmp_path):
    arguments = [str(tmp_path / "effects"), "--each", "--seed", "7"]
    result = CliRunner().invoke(app, ["samples", *arguments])
    assert result.exit_code == 0, result.output
    made = {path.stem for path in (tmp_path / "effects").iterdir()}
    assert made == {*StripConfig.switches()}
    assert sum(path.stat().st_size for path in (tmp_path / "effects").iterdir()) < 400_000


@pytest.mark.parametrize("effect", StripConfig.switches())
def test_a_picture_shows_its_effect(digits, effect):
    """The page changes with the effect alone: both pages are made with the same numbers."""
    without, with_it = (page(digits, 7, effect, on) for on in (False, True))
    assert without.shape != with_it.shape or (without != with_it).any()
    np.testing.assert_array_equal(without, page(digits, 7, effect, False))


def test_all_effects_and_some_are_not_drawn_at_once(tmp_path):
    result = CliRunner().invoke(app, ["samples", str(tmp_path / "a"), "--each", "--only", "bar"])
    assert result.exit_code == 2
    assert "leave --only out" in result.output
