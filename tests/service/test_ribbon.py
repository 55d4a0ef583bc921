import numpy as np
import pytest

from service.image import decode
from service.messages import to_response
from service.recognizer import Recognizer
from service.ribbon import GUTTER, HEADER, IMAGE_HEIGHT, LANE, PANEL_WIDTH, draw
from service.scorer import Scorer
from tests.conftest import STRIPS


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(Scorer())


def ribbon_of(recognizer, gray):
    found = recognizer.recognize(gray)
    response = to_response(found, recognizer.contract, recognizer.scorer.digest)
    return response, np.asarray(draw(gray, response))


def test_every_digit_glows_under_the_pixel_it_is_centred_on(recognizer):
    gray = decode((STRIPS / "postcode-ruled.png").read_bytes())
    response, picture = ribbon_of(recognizer, gray)
    zoom = IMAGE_HEIGHT / gray.shape[0]
    heat = picture[HEADER + IMAGE_HEIGHT + LANE :].sum(axis=2)
    assert response.digits
    for digit in response.digits:
        middle = (digit.extent.left + digit.extent.right) / 2
        column = GUTTER + round(middle * zoom)
        reach = round(2 * response.scores.centers.step_x * zoom)
        assert heat[:, column - reach : column + reach].max() > 500


def test_a_long_strip_goes_on_in_further_panels(recognizer):
    gray = decode((STRIPS / "amount-blue-ink.jpg").read_bytes())
    _, short = ribbon_of(recognizer, gray)
    _, long = ribbon_of(recognizer, np.tile(gray, (1, 12)))
    assert long.shape[1] <= GUTTER + PANEL_WIDTH + 50
    assert long.shape[0] > 1.5 * short.shape[0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (40, 40)])
def test_a_page_of_any_shape_without_digits_is_drawn(recognizer, shape):
    response, picture = ribbon_of(recognizer, np.full(shape, 200, np.uint8))
    assert response.text == ""
    assert picture.ndim == 3
