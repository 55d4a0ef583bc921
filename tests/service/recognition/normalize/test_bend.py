import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.decode import decode
from service.recognition.ink_account import Reason
from service.recognition.lines import find_lines
from service.recognition.model import ModelFiles
from service.recognition.normalize import normalize
from service.recognition.normalize.bend import Bend, find_bend, straighten, straighten_mask
from service.recognition.normalize.ink_mask import boxes
from service.recognition.recognizer import Decision, Options, Recognizer
from tests.conftest import STRIPS

PAPER, INK = 235, 40


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


@pytest.fixture(scope="module")
def straight():
    gray = decode((STRIPS / "account-small.png").read_bytes()).gray
    return cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


def bent(gray, rise):
    """A page whose middle column is so many rows above its ends, on more paper.

    And the map of its points.
    """
    pad = round(abs(rise)) + 8
    page = np.pad(gray, ((pad, pad), (0, 0)), constant_values=int(np.median(gray)))
    height, width = page.shape

    def lower(x):
        return rise * ((2 * x / width - 1) ** 2 - 0.5)

    columns = np.arange(width, dtype=np.float32)[None].repeat(height, axis=0)
    rows = np.arange(height, dtype=np.float32)[:, None] - lower(columns + 0.5)
    found = cv2.remap(page, columns, rows.astype(np.float32), cv2.INTER_LINEAR, None, 1)
    return found, lambda x, y: (x, y + pad + lower(x))


def boxes_at(places, shape=(160, 320), high=16):
    """A page with a box of ink at each place, its upper left corner."""
    mask = np.zeros(shape, bool)
    for x, y in places:
        mask[round(y) : round(y) + high, x : x + high // 2] = True
    return mask


@given(st.floats(-20, 20), st.floats(-0.2, 0.2))
def test_the_curve_of_a_row_is_a_parabola(rise, slope):
    row = boxes_at(
        [(x, 70 + slope * (x - 150) + rise * ((x - 150) / 130) ** 2) for x in range(20, 300, 20)]
    )
    found = find_bend(boxes(row), row.shape)
    if abs(rise) > 7:
        assert found is not None
        assert found[0] == pytest.approx(slope, abs=0.01)
        assert found[1].curvature * 130**2 == pytest.approx(rise, abs=1)
        assert found[1].middle == pytest.approx(154, abs=1)
    if abs(rise) < 5:
        assert found is None


@pytest.mark.parametrize(
    "places",
    [
        [],
        [(20, 50)],
        [(20, 50), (60, 38), (100, 38), (140, 50)],
        [(x, 40 + 30 * (x // 20 % 2)) for x in range(20, 300, 20)],
        [(x, 20 + 60 * (100 < x < 200)) for x in range(20, 300, 20)],
        [(x, 70 + (x - 150) ** 2 / 400) for x in range(20, 300, 20)],
        [(x, y + (x - 150) ** 2 / 1400) for x in range(20, 300, 20) for y in (20, 90)],
    ],
    ids=["empty", "one", "four", "two lines", "steps", "steep", "two curves"],
)
def test_what_is_no_curved_row_has_no_bend(places):
    page = boxes_at(places)
    assert find_bend(boxes(page), page.shape) is None


def test_digits_whose_middle_ones_go_deeper_stand_on_a_straight_line():
    page = boxes_at([(x, 50) for x in range(20, 300, 20)])
    for x in range(20, 300, 20):
        page[50 : 66 + round(14 * (1 - ((x - 150) / 130) ** 2)), x : x + 8] = True
    assert find_bend(boxes(page), page.shape) is None


def test_beyond_the_line_its_curve_goes_on_along_its_tangents():
    bend = Bend(curvature=0.01, middle=100, reach=50, zero=4)
    assert bend.rows(np.array([100.0, 150, 50, 200])) == pytest.approx([-4, 21, 21, 71])
    scaled = bend.scaled(2, 3)
    assert scaled.rows(np.array([200.0, 300, 400])) == pytest.approx([-12, 63, 213])


def test_a_straightened_page_maps_back_to_the_page():
    mask = boxes_at([(40, 100), (150, 60), (260, 100)])
    bend = Bend(curvature=40 / 110**2, middle=154.0, reach=120.0, zero=0.0)
    shown = straighten_mask(mask, bend)
    assert shown.sum() == pytest.approx(mask.sum(), rel=0.1)
    more = (len(shown) - len(mask)) // 2
    rows, columns = np.nonzero(mask)
    back = rows + 0.5 + more - bend.rows(columns + 0.5)
    assert shown[back.astype(int), columns].mean() > 0.9
    tops = [np.flatnonzero(shown[:, x]).min() for x in (44, 154, 264)]
    assert np.ptp(tops) <= 2
    none = Bend(0.0, 154.0, 120.0, 0.0)
    gray = np.where(mask, 255, 0).astype(np.uint8)
    assert straighten(gray, none).tolist() == gray.tolist()


@pytest.mark.parametrize("rise", [-50, -40, 32, 50])
def test_curved_strings_are_read_and_their_digits_found_in_the_source(recognizer, straight, rise):
    level = recognizer.recognize(straight)
    page, at = bent(straight, rise)
    found = recognizer.recognize(page)
    assert found.strip.bend is not None
    assert found.reading.text == level.reading.text
    assert found.ink.reasons == ()
    # Every digit's box lies where the box on the straight page came, and holds its middle.
    for before, after in zip(level.boxes, found.boxes, strict=True):
        assert (after.left, after.right) == pytest.approx((before.left, before.right), abs=10)
        x = np.linspace(before.left, before.right, 20)
        top, bottom = at(x, before.top)[1].min(), at(x, before.bottom)[1].max()
        assert after.top >= top - 8
        assert after.bottom <= bottom + 8
        middle_x, middle_y = (before.left + before.right) / 2, (before.top + before.bottom) / 2
        assert after.top <= at(middle_x, middle_y)[1] <= after.bottom


def test_unexplained_ink_of_a_curved_page_is_found_in_the_source(recognizer, straight):
    gray = np.pad(straight, ((0, 0), (0, 90)), constant_values=int(np.median(straight)))
    middle = (gray.shape[1] - 40, gray.shape[0] // 2)
    cv2.circle(gray, middle, 14, (INK, INK, INK, INK), -1, cv2.LINE_AA)
    page, at = bent(gray, 32)
    found = recognizer.recognize(page)
    assert found.strip.bend is not None
    x, y = at(*middle)
    assert any(
        box.left <= x <= box.right and box.top <= y <= box.bottom and box.right - box.left < 50
        for box in found.ink.boxes
    )


def test_the_box_of_a_curved_line_holds_all_of_its_ink(straight):
    page, _ = bent(straight, 32)
    line = normalize(page)
    assert line.bend is not None
    (found,) = find_lines(line)
    rows, columns = np.nonzero(page < (PAPER + INK) / 2)
    assert found.box.left <= columns.min() + 3
    assert found.box.right >= columns.max() - 3
    assert found.box.top <= rows.min() + 3
    assert found.box.bottom >= rows.max() - 3


def test_a_rule_that_curves_as_the_line_does_is_removed(recognizer, straight):
    gray = np.pad(straight, ((0, 30), (0, 0)), constant_values=int(np.median(straight)))
    gray[-20:-17] = INK
    page, _ = bent(gray, 32)
    found = recognizer.recognize(page)
    assert found.reading.text == recognizer.recognize(straight).reading.text
    assert found.ink.removed > 0.05


def test_a_rule_that_stays_beneath_a_curved_line_is_never_accepted(recognizer, straight):
    gray = np.pad(straight, ((0, 30), (0, 0)), constant_values=int(np.median(straight)))
    x = np.arange(gray.shape[1])
    wave = gray.shape[0] - 16 + 4 * np.sin(x / 12)
    for column, row in zip(x, wave.round().astype(int), strict=True):
        gray[row - 1 : row + 2, column] = INK
    page, _ = bent(gray, 32)
    found = recognizer.recognize(page, Options(error_rate=0.05))
    assert found.strip.bend is not None
    assert found.decision is Decision.REVIEW
    assert Reason.UNEXPLAINED_INK in found.reasons


def test_ordinary_pages_are_left_as_they_are():
    for path in sorted(STRIPS.glob("*.[!c]*")):
        assert normalize(decode(path.read_bytes()).gray).bend is None
