import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.decode import decode
from service.recognition.model import ModelFiles
from service.recognition.normalize import normalize
from service.recognition.normalize.ink_mask import boxes
from service.recognition.normalize.skew import find_skew, level, level_mask, level_matrix
from service.recognition.recognizer import Recognizer
from tests.conftest import STRIPS

PAPER, INK = 235, 40


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


def turned(gray, degrees):
    """A page turned counterclockwise, on more paper; and the map from its points."""
    paper = int(np.median(gray))
    pad = round(gray.shape[1] * abs(np.sin(np.radians(degrees))) / 2) + 4
    page = np.pad(gray, pad, constant_values=paper)
    height, width = page.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    border = (paper, paper, paper, paper)
    found = cv2.warpAffine(page, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=border)
    return found, matrix @ [[1, 0, pad], [0, 1, pad], [0, 0, 1]]


def dots(places, size=12, shape=(120, 320)):
    """A page with a box of ink at each place."""
    mask = np.zeros(shape, bool)
    for x, y in places:
        mask[round(y) : round(y) + size, round(x) : round(x) + size // 2] = True
    return mask


@given(st.floats(-0.28, 0.28))
def test_the_skew_of_a_row_is_its_tangent(tangent):
    row = dots([(x, 54 + tangent * (x - 160)) for x in range(20, 300, 20)])
    found = find_skew(row, boxes(row))
    if abs(tangent) * 270 > 8:
        assert found == pytest.approx(tangent, abs=0.01)
    else:
        assert abs(found) <= abs(tangent) + 0.01


@pytest.mark.parametrize(
    "places",
    [
        [],
        [(20, 50)],
        [(20, 20), (100, 60), (180, 90)],
        [(x, 30 + 40 * (x // 20 % 2)) for x in range(20, 300, 20)],
        [(x, 100 - x / 4) for x in range(20, 300, 20) if x < 60],
    ],
    ids=["empty", "one", "three", "two lines", "two"],
)
def test_what_is_no_row_has_no_skew(places):
    page = dots(places)
    assert find_skew(page, boxes(page)) == 0


def test_three_digits_are_a_row():
    for tangent in (-0.26, -0.2, 0.2, 0.26):
        row = dots([(x, 54 + tangent * (x - 110)) for x in (90, 110, 130)])
        assert find_skew(row, boxes(row)) == pytest.approx(tangent, abs=0.03)


def test_three_level_digits_of_different_heights_have_no_skew():
    page = dots([(90, 54), (110, 50), (130, 56)])
    page[54:74, 110:116] = True
    assert find_skew(page, boxes(page)) == 0


@pytest.mark.parametrize("degrees", [-14, -10, 10, 14])
def test_four_turned_digits_are_read(recognizer, degrees):
    gray = decode((STRIPS / "account-small.png").read_bytes()).gray[:, :98]
    gray = cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    page, _ = turned(gray, degrees)
    found = recognizer.recognize(page)
    assert found.reading.text == "9560"
    assert found.strip.skew == pytest.approx(-np.tan(np.radians(degrees)), abs=0.06)


def test_a_level_page_maps_back_to_the_page():
    mask = dots([(40, 80), (200, 30)])
    skew = -0.25
    matrix = level_matrix(mask.shape[1], skew)
    shown = level_mask(mask, skew)
    assert shown.sum() == pytest.approx(mask.sum(), rel=0.1)
    rows, columns = np.nonzero(mask)
    x, y = matrix @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    assert shown[y.astype(int), x.astype(int)].mean() > 0.9
    gray = np.where(mask, 255, 0).astype(np.uint8)
    assert level(gray, 0.0).tolist() == gray.tolist()


@pytest.mark.parametrize("degrees", [-13, -8, 8, 13])
def test_turned_strings_are_read_and_their_digits_found_in_the_source(recognizer, degrees):
    gray = decode((STRIPS / "account-small.png").read_bytes()).gray
    gray = cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    level_reading = recognizer.recognize(gray)
    page, matrix = turned(gray, degrees)
    found = recognizer.recognize(page)
    assert found.reading.text == level_reading.reading.text
    assert found.strip.skew == pytest.approx(-np.tan(np.radians(degrees)), abs=0.03)
    # Every digit's box holds the place to which the middle of its box on the level page came.
    for before, after in zip(level_reading.boxes, found.boxes, strict=True):
        middle = [(before.left + before.right) / 2, (before.top + before.bottom) / 2, 1]
        x, y = matrix @ middle
        assert after.left - 2 <= x <= after.right + 2
        assert after.top - 2 <= y <= after.bottom + 2
    assert found.ink.reasons == ()


def test_unexplained_ink_of_a_turned_page_is_found_in_the_source(recognizer):
    gray = decode((STRIPS / "account-small.png").read_bytes()).gray
    gray = cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    gray = np.pad(gray, ((0, 0), (0, 90)), constant_values=int(np.median(gray)))
    middle = (gray.shape[1] - 40, gray.shape[0] // 2)
    cv2.circle(gray, middle, 14, (INK, INK, INK, INK), -1, cv2.LINE_AA)
    page, matrix = turned(gray, 9)
    found = recognizer.recognize(page)
    x, y = matrix @ [*middle, 1]
    assert any(
        box.left <= x <= box.right and box.top <= y <= box.bottom and box.right - box.left < 50
        for box in found.ink.boxes
    )


def test_an_ordinary_page_is_left_as_it_is():
    for path in sorted(STRIPS.glob("*.[!c]*")):
        assert normalize(decode(path.read_bytes()).gray).skew == 0
