import csv

import numpy as np
import pytest
from PIL import Image

from service.api.images import to_image
from service.api.options import to_request
from service.api.service import RecognitionService
from service.forms.reading import FieldStatus, FormReader
from service.forms.register import Status
from service.forms.responses import to_form_response
from service.forms.template import load
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Decision, Options, Recognizer
from tests.conftest import ROOT
from tests.support.form_scans import Attack, Drawing, scanned, template

EXAMPLE = ROOT / "examples" / "forms"
RATE = 0.01  # tolerated wrong among accepted fields: of fifteen, none


@pytest.fixture(scope="module")
def strips():
    return RecognitionService(Recognizer.load(ModelFiles.read()))


@pytest.fixture(scope="module")
def form():
    return load(EXAMPLE / "form.toml")


@pytest.fixture(scope="module")
def read(strips, form):
    """What is read of the example scans, by name."""
    reader = FormReader(strips, [form], Options(error_rate=RATE))
    return {path.name: reader.read(to_image(path)) for path in sorted(EXAMPLE.glob("*.jpg"))}


def truths():
    with (EXAMPLE / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_example_scans_are_read(read):
    right = 0
    for row in truths():
        (field,) = (each for each in read[row["file"]].fields if each.field.name == row["field"])
        right += field.text == row["text"]
        if field.decision is Decision.ACCEPT:
            assert field.text == row["text"], row
    assert right >= len(truths()) - 2


def test_a_field_reads_as_its_crop_alone_does_bit_for_bit(read, strips):
    for page in read.values():
        for field in page.fields:
            constraint = None if field.status is FieldStatus.BLANK else field.field.constraint
            alone = to_request(field.crop, constraint=constraint, accepted_error_rate=RATE)
            response = strips.recognize(alone).response
            assert response.SerializeToString(deterministic=True) == (
                field.response.SerializeToString(deterministic=True)
            )


def test_a_blank_field_is_an_answer(read):
    blanks = [each for page in read.values() for each in page.fields if not each.text]
    assert len(blanks) == 2
    for each in blanks:
        assert (each.status, each.decision, each.reasons) == (
            FieldStatus.BLANK,
            Decision.ACCEPT,
            (),
        )
        assert each.confidence > 0.99


def test_a_blank_that_is_not_allowed_is_reviewed(strips, form):
    """With an error rate and without one; a constraint does not hide that the field is blank."""
    page = to_image(np.pad(form.reference, 30, constant_values=255))
    for rate in (RATE, None):
        for field in FormReader(strips, [form], Options(error_rate=rate)).read(page).fields:
            assert (field.text, field.status) == ("", FieldStatus.BLANK)
            if field.field.blank:
                assert field.reasons == ()
                assert field.decision is (Decision.ACCEPT if rate else None)
            else:
                assert field.reasons == ("BLANK",)
                assert field.decision is Decision.REVIEW


@pytest.mark.parametrize("rate", [RATE, None])
def test_nothing_is_read_of_a_misregistered_page(rate, strips, form):
    strip = to_image(ROOT / "examples" / "strips" / "telephone-large.webp")
    reading = FormReader(strips, [form], Options(error_rate=rate)).read(strip)
    assert reading.registration.status is Status.MISREGISTERED
    assert len(reading.fields) == len(form.fields)
    for field in reading.fields:
        assert (field.text, field.confidence, field.response, field.crop) == ("", 0, None, None)
        assert (field.decision, field.reasons) == (Decision.REVIEW, ("MISREGISTERED",))


def test_the_raster_of_a_request_is_read_as_a_file_is(strips, form):
    gray = np.asarray(Image.open(EXAMPLE / "askew.jpg"))
    reader = FormReader(strips, [form], Options(error_rate=RATE))
    ours, theirs = (
        to_form_response(reader.read(to_image(each)), strips.recognizer)
        for each in (gray, EXAMPLE / "askew.jpg")
    )
    assert ours == theirs


def test_a_page_without_pixels_is_an_error(strips, form):
    with pytest.raises(Exception, match="no image"):
        FormReader(strips, [form], Options()).read(pb.Image())


@pytest.mark.parametrize("thick", [0.5, 0.8])
def test_a_stroke_along_a_divider_is_not_erased_without_a_word(thick, strips, tmp_path):
    """A 1 on a divider: whatever is read, it is not accepted as if nothing had been there."""

    def card():
        form = Drawing(148, 105)
        form.text(16, 6, "Meter reading", 7)
        form.text(16, 15, "Please write one digit a box, in dark ink, and send it back.", 2.9, 60)
        form.text(16, 32, "Customer number, as on your last bill", 2.8)
        form.add("customer", (16, 37, 48, 8), 8)
        form.text(16, 60, "For office use: do not write below this line, thank you.", 2.6, 60)
        form.text(16, 90, "Digitstrip Waterworks, 1 Example Street. Form 18.", 2.6, 60)
        return form

    Image.fromarray(card().gray).save(tmp_path / "blank.png")
    (tmp_path / "form.toml").write_text(template(card()))
    reader = FormReader(strips, [load(tmp_path / "form.toml")], Options(error_rate=0.5))
    for beside in (0.0, 0.2, 0.4):
        page = card()
        scale = page.image.width / 148
        x = (16 + 6 * 3 + beside) * scale
        ends = [(x, 38.2 * scale), (x + 0.2 * scale, 43.8 * scale)]
        page.canvas.line(ends, 20, round(thick * scale))
        scan = scanned(page.gray, Attack(angle=1), np.random.default_rng(0))
        (field,) = reader.read(to_image(scan.gray)).fields
        assert field.text == "1" or field.decision is Decision.REVIEW, (beside, field.text)
