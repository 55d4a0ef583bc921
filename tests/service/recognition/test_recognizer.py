import re

import cv2
import numpy as np
import pytest

from service.imaging.decode import decode, from_raster
from service.imaging.page import Channel, Page
from service.recognition.decoding.regex import pattern
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Decision, Options, Recognizer
from tests.conftest import STRIPS


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


def page(name):
    return decode((STRIPS / name).read_bytes()).gray


def test_most_example_strips_are_read_exactly(recognizer, truths):
    texts = {name: recognizer.recognize(page(name)).reading.text for name in truths}
    wrong = {name: text for name, text in texts.items() if text != truths[name]}
    assert len(wrong) <= len(truths) // 4, wrong


def test_no_example_strip_that_is_read_wrong_is_accepted(recognizer, truths):
    for name, truth in truths.items():
        found = recognizer.recognize(page(name), Options(error_rate=0.01))
        assert found.reading.text == truth or found.decision is Decision.REVIEW, name


def test_a_constraint_is_what_the_reading_satisfies(recognizer):
    gray = page("postcode-ruled.png")
    free = recognizer.recognize(gray).reading
    assert free.outcome is None
    reading = recognizer.recognize(gray, Options(pattern(r"\d{2}-\d{3}"))).reading
    assert re.fullmatch(r"\d{2}-\d{3}", reading.text)
    assert len(recognizer.recognize(gray, Options(pattern(r"\d{2}-\d{3}"))).boxes) == 5


@pytest.mark.parametrize("second", [True, False])
def test_a_text_forced_by_a_constraint_is_not_sure_for_want_of_a_rival(recognizer, second):
    gray = page("postcode-ruled.png")
    reader = recognizer if second else Recognizer(recognizer.scorer)
    free = reader.recognize(gray).reading
    other = free.text[:-1] + str((int(free.text[-1]) + 4) % 10)
    forced = reader.recognize(gray, Options(pattern(other), error_rate=0.05))
    assert forced.reading.text == other
    assert forced.reading.confidence < 0.5
    assert forced.decision is Decision.REVIEW


def test_raw_raster_reads_as_its_png(recognizer):
    gray = page("postcode-ruled.png")
    raster = from_raster(gray.tobytes(), gray.shape[1], gray.shape[0])
    as_png, as_raster = recognizer.recognize(gray), recognizer.recognize(raster)
    assert as_png.reading == as_raster.reading
    assert np.array_equal(as_png.scores, as_raster.scores)


def test_inverted_page_reads_the_same(recognizer):
    gray = page("amount-blue-ink.jpg")
    assert recognizer.recognize(255 - gray).reading == recognizer.recognize(gray).reading


@pytest.mark.parametrize("level", [0, 120, 255])
def test_blank_page_reads_as_empty_text(recognizer, level):
    reading = recognizer.recognize(np.full((60, 300), level, np.uint8)).reading
    assert reading.text == ""
    assert reading.digits == ()
    assert reading.confidence > 0.9


@pytest.mark.parametrize("shape", [(3, 500), (20, 4000), (40, 40_000)])
def test_a_blank_page_is_empty_however_wide(recognizer, shape):
    reading = recognizer.recognize(np.full(shape, 200, np.uint8)).reading
    assert reading.text == ""
    assert reading.confidence > 0.99


def test_a_page_whose_ink_was_removed_is_not_as_sure_to_be_blank(recognizer):
    page = np.full((60, 300), 255, np.uint8)
    blank = recognizer.recognize(page)
    cv2.rectangle(page, (5, 5), (294, 54), 0, 2)
    framed = recognizer.recognize(page)
    assert framed.reading.text == ""
    assert framed.ink.removed == pytest.approx(1)
    assert blank.ink.blank
    assert not framed.ink.blank
    assert framed.reading.confidence < blank.reading.confidence


def test_every_digit_has_a_box_inside_the_image_and_left_of_the_next(recognizer):
    gray = page("account-small.png")
    found = recognizer.recognize(gray)
    assert len(found.boxes) == len(found.reading.digits) > 0
    for box in found.boxes:
        assert 0 <= box.left < box.right <= gray.shape[1]
        assert 0 <= box.top < box.bottom <= gray.shape[0]
    lefts = [box.left for box in found.boxes]
    assert lefts == sorted(lefts)


def test_boxes_hold_the_ink_of_well_spaced_digits(recognizer):
    gray = np.full((60, 400), 240, np.uint8)
    gray[15:45, 100:104] = 20
    gray[15:45, 300:304] = 20
    first, last = recognizer.recognize(gray).boxes
    assert first.left == pytest.approx(100, abs=2)
    assert first.right == pytest.approx(104, abs=2)
    assert last.left == pytest.approx(300, abs=2)
    assert (last.top, last.bottom) == pytest.approx((15, 45), abs=2)


def test_a_very_wide_strip_is_read_to_its_end(recognizer):
    gray = page("amount-blue-ink.jpg")
    many = np.tile(gray, (1, 40))
    one = recognizer.recognize(gray).reading.text
    assert recognizer.recognize(many).reading.text == one * 40


def test_fax_of_half_the_rows_reads_as_the_whole_page_and_its_boxes_are_in_its_own_pixels(
    recognizer,
):
    whole = page("postcode-ruled.png")
    fax = Page(np.ascontiguousarray(whole[::2]), aspect=0.5)
    expected, found = recognizer.recognize(whole), recognizer.recognize(fax)
    assert found.reading.text == expected.reading.text
    for box, other in zip(found.boxes, expected.boxes, strict=True):
        assert (box.left, box.right) == pytest.approx((other.left, other.right), abs=3)
        assert (box.top, box.bottom) == pytest.approx((other.top / 2, other.bottom / 2), abs=3)
        assert box.bottom <= fax.gray.shape[0]


@pytest.mark.parametrize("name", ["pencil-faint.png", "thirty-digits.png", "card-number.bmp"])
def test_a_reading_does_not_depend_on_how_many_alternatives_are_requested(recognizer, name):
    gray = page(name)
    most = recognizer.recognize(gray, Options(alternatives=20)).reading
    assert most.confidence + sum(p for _, p in most.alternatives) <= 1 + 1e-9
    for count in (0, 1, 2, 5, 10):
        reading = recognizer.recognize(gray, Options(alternatives=count)).reading
        assert (reading.text, reading.confidence, reading.exact) == (
            most.text,
            most.confidence,
            most.exact,
        )
        assert reading.alternatives == most.alternatives[:count]


def test_a_recognition_says_which_channel_was_read(recognizer):
    gray = page("postcode-ruled.png")
    assert recognizer.recognize(gray).channel is Channel.LUMINANCE
    assert recognizer.recognize(Page(gray, channel=Channel.RED)).channel is Channel.RED
    wide = Page(np.tile(gray, (1, 60)), channel=Channel.BLUE)
    assert recognizer.recognize(wide).channel is Channel.BLUE
