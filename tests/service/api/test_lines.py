"""Pages of several lines: each is read as an image of its own, top to bottom, with its box."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from service.api.options import to_request
from service.api.service import RecognitionService
from service.recognition.lines import find_lines
from service.recognition.model import ModelFiles
from service.recognition.normalize import normalize
from service.recognition.recognizer import Recognizer
from tests.conftest import STRIPS

NAMES = ("postcode-ruled.png", "two-digits.png", "serial.tif")


@pytest.fixture(scope="module")
def service():
    return RecognitionService(Recognizer.load(ModelFiles.read()))


def strip(name):
    gray = Image.open(STRIPS / name).convert("L")
    return np.asarray(gray.resize((round(60 * gray.width / gray.height), 60)))


def stacked(names, gap=40):
    """A page of strips, one above the other, and the first row of each."""
    strips = [strip(name) for name in names]
    paper = int(np.median([np.median(each) for each in strips]))
    wide = max(each.shape[1] for each in strips) + 40
    rows, starts = [np.full((gap, wide), paper, np.uint8)], []
    for each in strips:
        starts.append(sum(map(len, rows)))
        padded = np.full((len(each), wide), paper, np.uint8)
        padded[:, 20 : 20 + each.shape[1]] = each
        rows += [padded, np.full((gap, wide), paper, np.uint8)]
    return np.concatenate(rows), starts


def test_each_line_is_read_top_to_bottom_with_its_box(service, truths):
    page, starts = stacked(NAMES)
    lines = service.recognize_lines(to_request(page))
    assert [each.response.text for each in lines] == [truths[name] for name in NAMES]
    for line, start in zip(lines, starts, strict=True):
        assert start - 2 <= line.box.top < line.box.bottom <= start + 62
        assert 18 <= line.box.left < line.box.right <= page.shape[1] - 18
        for digit in line.response.digits:
            assert line.box.top - 3 <= digit.extent.top < digit.extent.bottom <= line.box.bottom + 3
        assert line.response.normalization.ink.lines == 1


def test_there_are_as_many_as_the_account_counts(service):
    page, _ = stacked(NAMES)
    whole = service.recognize(to_request(page)).response
    assert whole.normalization.ink.lines == len(service.recognize_lines(to_request(page))) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_one_line_is_read_as_it_is_without(name, service):
    request = to_request(STRIPS / name, accepted_error_rate=0.01)
    (line,) = service.recognize_lines(request)
    assert line.response == service.recognize(request).response


def test_a_line_reads_as_its_rows_alone(service):
    page, starts = stacked(NAMES)
    second = service.recognize_lines(to_request(page, alternatives=2))[1].response
    gap = [round((a + 60 + b) / 2) for a, b in pairwise(starts)]
    alone = service.recognize(to_request(page[gap[0] : gap[1]], alternatives=2)).response
    assert (second.text, len(second.alternatives)) == (alone.text, len(alone.alternatives))


def test_a_page_without_ink_is_one_line_of_nothing(service):
    (line,) = service.recognize_lines(to_request(np.full((90, 300), 240, np.uint8)))
    assert line.response.text == ""
    assert (line.box.left, line.box.top, line.box.right, line.box.bottom) == (0, 0, 300, 90)


def test_a_page_of_a_thin_stroke_alone_has_no_lines():
    gray = np.full((200, 80), 240, np.uint8)
    gray[20:170, 40:42] = 20
    assert find_lines(normalize(gray)) == []


def test_every_row_of_a_page_belongs_to_a_line():
    gray = np.full((300, 300), 240, np.uint8)
    for text, bottom in (("4711", 80), ("9250", 270)):
        cv2.putText(gray, text, (40, bottom), cv2.FONT_HERSHEY_SIMPLEX, 2, 20, 4)
    first, last = find_lines(normalize(gray))
    assert (first.top, last.bottom) == (0, 300)
    assert first.bottom >= last.top
