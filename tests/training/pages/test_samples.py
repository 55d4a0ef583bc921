import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from training.cli.main import app
from training.config import StripConfig
from training.pages.contact_sheet import EDGE, WIDTH
from training.pages.samples import draw
from training.pages.strips import make_pages


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


def test_an_unknown_effect_is_refused_with_the_known_ones(tmp_path):
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["samples", str(out), "--only", "glitter"])
    assert result.exit_code == 2
    assert "glitter" in result.output
    assert "guilloche" in result.output
    assert not out.exists()
