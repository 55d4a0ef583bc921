import numpy as np
import pytest

from service.cli.explain_plot import PRINTED, WIDTH, draw_steps
from service.cli.score_plot import EDGE, SURE, UNSURE
from service.imaging.decode import decode
from service.imaging.page import Page
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Options, Recognizer
from tests.conftest import STRIPS


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


def colors(picture):
    return {tuple(color) for color in np.asarray(picture).reshape(-1, 3).tolist()}


def test_removed_lines_and_digits_are_drawn(recognizer):
    page = decode((STRIPS / "postcode-ruled.png").read_bytes())
    drawn = colors(draw_steps(page, recognizer, Options()))
    assert PRINTED in drawn
    assert SURE in drawn
    assert UNSURE not in drawn


def test_unexplained_ink_is_drawn(recognizer):
    gray = decode((STRIPS / "two-digits.png").read_bytes()).gray
    page = Page(np.vstack([gray, gray]))
    assert UNSURE in colors(draw_steps(page, recognizer, Options(error_rate=0.1)))


def test_the_band_of_a_curved_line_is_drawn_along_it(recognizer):
    straight = decode((STRIPS / "account-small.png").read_bytes()).gray
    straight = straight.repeat(2, axis=0).repeat(2, axis=1)
    straight = np.pad(straight, [(60, 60), (0, 0)], constant_values=int(np.median(straight)))
    curved = straight.copy()
    for column in range(straight.shape[1]):
        fall = round(50 * ((2 * column / straight.shape[1] - 1) ** 2))
        curved[:, column] = np.roll(straight[:, column], fall)
    for gray, sag in ((straight, 0), (curved, 20)):
        page = Page(gray)
        drawn = np.asarray(draw_steps(page, recognizer, Options()))
        shown = (drawn == SURE).all(axis=-1)
        band = int(np.flatnonzero(shown.any(axis=1))[0])
        upper = shown[band : band + 120]
        end, middle = EDGE + 4, int(np.flatnonzero(upper.any(axis=0)).mean())
        rise = int(upper[:, end].argmax()) - int(upper[:, middle].argmax())
        assert rise >= sag if sag else rise == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (40, 40)])
@pytest.mark.parametrize("aspect", [1.0, 2.0, 0.5])
def test_a_page_of_any_shape_is_drawn(recognizer, shape, aspect):
    page = Page(np.full(shape, 200, np.uint8), aspect)
    picture = draw_steps(page, recognizer, Options())
    assert picture.width <= WIDTH + 2 * EDGE
    assert picture.height > 200
