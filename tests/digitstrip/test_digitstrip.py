import doctest
import importlib
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image

import digitstrip
from service import errors
from service.pb import recognizer_pb2 as pb
from tests.conftest import ROOT, STRIPS

NAME = "postcode-ruled.png"
ADDRESS = "127.0.0.1:50051"  # of the server in the examples


@pytest.fixture(scope="module")
def recognizer():
    return digitstrip.load_model()


@pytest.mark.parametrize("module", ["digitstrip", "digitstrip.recognizer"])
def test_the_docstrings_examples_run(service, monkeypatch, module):
    monkeypatch.chdir(ROOT)
    found = doctest.DocTestFinder().find(importlib.import_module(module), module)
    tests = [test for test in found if test.examples]
    assert tests
    for test in tests:
        for example in test.examples:
            example.source = example.source.replace(ADDRESS, service.address)
        assert doctest.DocTestRunner().run(test).failed == 0


def test_all_names_are_there():
    for name in digitstrip.__all__:
        assert getattr(digitstrip, name).__doc__, name
    assert dir(digitstrip) == digitstrip.__all__
    with pytest.raises(AttributeError, match="no attribute 'recognise'"):
        _ = digitstrip.recognise


def test_the_version_is_the_installed_distribution_s():
    assert digitstrip.__version__ == version("digitstrip")


def test_the_errors_that_reading_or_a_client_raises_are_there():
    def tree(kind):
        return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]

    kinds = [errors.ModelError, errors.SettingsError]
    kinds += tree(errors.InputError) + tree(errors.ServerError)
    for kind in kinds:
        if kind.__module__ == errors.__name__:
            assert getattr(digitstrip, kind.__name__) is kind


def test_the_package_says_that_it_is_typed():
    for package in ("digitstrip", "service"):  # whose annotations `digitstrip` uses
        assert (ROOT / package / "py.typed").exists()


def test_every_form_of_an_image_is_read_alike(recognizer, truths):
    path = STRIPS / NAME
    with Image.open(path) as image:
        forms = [path, str(path), path.read_bytes(), image, np.asarray(image.convert("L"))]
        readings = [recognizer.read(form) for form in forms]
    assert {reading.text for reading in readings} == {truths[NAME]}
    assert len({reading.confidence for reading in readings}) == 1


def test_levels_from_0_to_1_are_refused_and_not_read_as_an_empty_strip(recognizer):
    with Image.open(STRIPS / NAME) as image:
        levels = np.asarray(image.convert("L")) / 255
    with pytest.raises(digitstrip.UnsupportedPixels, match="float64"):
        recognizer.read(levels, accepted_error_rate=0.5)


def test_a_reading_is_what_a_client_gets(recognizer, service):
    options = {"length": 5, "alternatives": 3, "accepted_error_rate": 0.01, "scores": True}
    reading = recognizer.read(STRIPS / NAME, **options)
    with digitstrip.Client(service.address) as client:
        assert digitstrip.Reading(client.recognize(STRIPS / NAME, **options)) == reading
    assert reading.decision in ("ACCEPT", "REVIEW")
    assert reading.outcome == "FREE"
    assert len(reading.alternatives) == 3
    assert [digit.label for digit in reading.digits] == list(reading.text)
    assert repr(reading) == f"Reading('68767', confidence={reading.confidence:.3f})"


def test_a_score_map_has_a_row_a_position_and_sums_to_one(recognizer):
    scores = recognizer.read(STRIPS / NAME, scores=True).scores
    assert scores.shape[1] == 11
    assert np.allclose(np.exp(scores).sum(axis=1), 1, atol=1e-5)
    assert recognizer.read(STRIPS / NAME).scores is None


def test_a_plain_reading_has_no_decision_and_no_outcome(recognizer):
    reading = recognizer.read(STRIPS / NAME)
    assert (reading.decision, reading.outcome, list(reading.alternatives)) == (None, None, [])
    assert reading.to_dict()["text"] == reading.text
    assert not {"source", "page"} & reading.to_dict().keys()


def test_a_page_of_a_file_is_read_by_its_number(recognizer, truths, tmp_path):
    names = [NAME, "two-digits.png"]
    first, second = (Image.open(STRIPS / name).convert("L") for name in names)
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    texts = [recognizer.read(tmp_path / "pages.tif", page=page).text for page in (0, 1)]
    assert texts == [truths[name] for name in names]
    with pytest.raises(digitstrip.NoSuchPage):
        recognizer.read(tmp_path / "pages.tif", page=2)


def test_a_wrong_option_names_its_field(recognizer):
    with pytest.raises(digitstrip.BadConstraint) as raised:
        recognizer.read(STRIPS / NAME, check_digit="crc")
    assert (raised.value.reason, raised.value.field) == ("BAD_CONSTRAINT", "constraint.check_digit")
    with pytest.raises(digitstrip.BadOption):
        recognizer.read(STRIPS / NAME, accepted_error_rate=1.5)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(digitstrip.ModelError):
        digitstrip.load_model(tmp_path / "model.onnx")


def test_an_empty_response_is_a_reading_of_nothing():
    assert digitstrip.Reading(pb.RecognizeResponse()).text == ""
