"""ALTO, checked by its own schema."""

import cv2
import numpy as np
import pytest
from htrvx.schemas import Validator
from lxml import etree

from service.api.images import to_image
from service.api.service import RecognitionService
from service.forms.alto import NAMESPACE, to_alto
from service.forms.reading import FormReader
from service.forms.responses import to_form_response
from service.forms.template import load
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Options, Recognizer
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "forms"
NAMES = {"a": NAMESPACE}


@pytest.fixture(scope="module")
def schema():
    return Validator("alto").xmlschema


@pytest.fixture(scope="module")
def form():
    return load(EXAMPLE / "form.toml")


@pytest.fixture(scope="module")
def read(form):
    """The response for an example, and the page's width and height."""
    recognizer = Recognizer.load(ModelFiles.read())
    reader = FormReader(RecognitionService(recognizer), [form], Options(error_rate=0.01))

    def read(name):
        path = EXAMPLE / name
        height, width = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape
        reading = reader.read(to_image(path))
        return to_form_response(reading, recognizer), (width, height)

    return read


def document(response, form, size):
    return etree.fromstring(to_alto(response, form, size, "scans/a\tb\udcff.pdf", 2).encoded)


@pytest.mark.parametrize("name", ["askew.jpg", "blank.png"])
def test_a_page_is_valid_with_its_blank_fields(name, read, form, schema):
    response, size = read(name)
    assert any(not each.reading.text for each in response.fields)
    root = document(response, form, size)
    schema.assertValid(root)
    assert root.findtext(".//a:fileName", None, NAMES) == "scans/a\tb\ufffd.pdf"
    assert root.find(".//a:Page", NAMES).get("PHYSICAL_IMG_NR") == "3"
    blocks = root.findall(".//a:TextBlock", NAMES)
    assert len(blocks) == len(response.fields)
    assert len(root.findall(".//a:String", NAMES)) == sum(
        bool(each.reading.text) for each in response.fields
    )


def test_a_misregistered_page_is_valid_and_has_no_words(form, read, schema):
    response, size = read("../strips/two-digits.png")
    assert response.registration.status == pb.REGISTRATION_STATUS_MISREGISTERED
    root = document(response, form, size)
    schema.assertValid(root)
    assert not root.findall(".//a:String", NAMES)
    labels = {each.get("LABEL") for each in root.findall(".//a:OtherTag", NAMES)}
    assert {"MISREGISTERED", "REVIEW", "customer"} <= labels


def test_words_have_confidences_digits_their_places_and_runners_up(form, read):
    response, size = read("askew.jpg")
    root = document(response, form, size)
    strings = {each.get("CONTENT"): each for each in root.findall(".//a:String", NAMES)}
    for field in response.fields:
        if not field.reading.text:
            continue
        string = strings[field.reading.text]
        assert float(string.get("WC")) == pytest.approx(field.reading.confidence, abs=1e-6)
        glyphs = string.findall("a:Glyph", NAMES)
        assert "".join(each.get("CONTENT") for each in glyphs) == field.reading.text
        for glyph, digit in zip(glyphs, field.reading.digits, strict=True):
            others = {each.label: each.confidence for each in digit.runners_up}
            others.pop("none", None)
            seen = {
                each.get("CONTENT"): float(each.get("VC"))
                for each in glyph.findall("a:Variant", NAMES)
            }
            assert seen == pytest.approx(others, abs=1e-6)
    assert root.findall(".//a:Variant", NAMES)


def test_a_digits_place_is_the_pages(form, read):
    """The page is turned: where the ink of the first digit of the first field is."""
    response, size = read("askew.jpg")
    root = document(response, form, size)
    page = cv2.imread(str(EXAMPLE / "askew.jpg"), cv2.IMREAD_GRAYSCALE)
    for string in root.findall(".//a:String", NAMES):
        left, top, width, height = (
            float(string.get(key)) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")
        )
        for glyph in string.findall("a:Glyph", NAMES):
            x, y, wide, high = (
                float(glyph.get(key)) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")
            )
            assert left - wide < x < left + width
            assert top - high < y < top + height
            inside = page[round(y) : round(y + high), round(x) : round(x + wide)]
            paper = np.median(page)
            assert (inside < paper - 60).mean() > 0.06
            assert wide * high < 0.4 * width * height


def test_what_xml_cannot_hold_is_replaced(form, read, schema):
    response, size = read("askew.jpg")
    response.form = "a\x00b\ud7ff<&\x1b"
    root = document(response, form, size)
    schema.assertValid(root)
    assert root.find(".//a:OtherTag[@TYPE='form']", NAMES).get("LABEL") == "a�b\ud7ff<&�"
