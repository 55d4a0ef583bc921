import numpy as np
import pytest

from service.api.responses import to_response
from service.cli.score_plot import (
    CELL,
    GUTTER,
    IMAGE_HEIGHT,
    PANEL_WIDTH,
    draw,
    heat,
    image_height,
    panel_edges,
    row_of,
)
from service.imaging.decode import decode
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from tests.conftest import STRIPS


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


def ribbon_of(recognizer, gray):
    found = recognizer.recognize(gray)
    response = to_response(found, recognizer, include_scores=True)
    return response, np.asarray(draw(gray, response))


def test_every_digit_glows_in_its_row_under_the_pixel_it_is_centered_on(recognizer):
    gray = decode((STRIPS / "postcode-ruled.png").read_bytes()).gray
    response, _ = ribbon_of(recognizer, gray)
    zoom = 2.0
    labels = list(response.scores.labels)
    glow = np.asarray(heat(response, 0, zoom, round(gray.shape[1] * zoom))).sum(axis=2)
    rows = [row_of(index, labels) + CELL // 2 for index in range(10)]
    assert response.digits
    for digit in response.digits:
        grid = response.scores.centers
        column = round((grid.origin_x + round(digit.position) * grid.step_x) * zoom)
        assert labels[int(glow[rows, column].argmax())] == digit.label


def test_a_long_strip_goes_on_in_further_panels(recognizer):
    gray = decode((STRIPS / "amount-blue-ink.jpg").read_bytes()).gray
    _, short = ribbon_of(recognizer, gray)
    _, long = ribbon_of(recognizer, np.tile(gray, (1, 12)))
    assert long.shape[1] <= GUTTER + PANEL_WIDTH + 50
    assert long.shape[0] > 1.5 * short.shape[0]


def test_panels_begin_between_digits_and_none_is_too_wide(recognizer):
    gray = decode((STRIPS / "thirty-digits.png").read_bytes()).gray
    response, _ = ribbon_of(recognizer, gray)
    edges = panel_edges(gray.shape[1], gray.shape[1] / 3.5, response)
    assert len(edges) == 5
    assert max(np.diff(edges)) <= gray.shape[1] / 3.5 + 1e-6
    for edge in edges:
        assert not any(
            digit.extent.left + 8 < edge < digit.extent.right - 8 for digit in response.digits
        )


def test_a_tall_page_is_shown_so_large_that_no_label_covers_the_next(recognizer):
    gray = decode((STRIPS / "postcode-ruled.png").read_bytes()).gray
    height, width = gray.shape
    tall = np.full((6 * height, width), np.median(gray), np.uint8)
    tall[2 * height : 3 * height] = gray
    response, picture = ribbon_of(recognizer, tall)
    assert response.text == "68767"
    places = [digit.position * response.scores.centers.step_x for digit in response.digits]
    zoom = image_height(len(tall), response) / len(tall)
    assert min(np.diff(places)) * zoom >= 20  # a label is 18 wide
    assert picture.shape[1] >= width * zoom
    assert image_height(height, ribbon_of(recognizer, gray)[0]) == IMAGE_HEIGHT


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (40, 40)])
def test_a_page_of_any_shape_without_digits_is_drawn(recognizer, shape):
    response, picture = ribbon_of(recognizer, np.full(shape, 200, np.uint8))
    assert response.text == ""
    assert picture.ndim == 3
