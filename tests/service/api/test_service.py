import numpy as np
import pytest

from service.api.options import to_request
from service.api.responses import to_response
from service.api.service import RecognitionService
from service.errors import BadOption, TooManyPixels
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Options, Recognizer
from tests.conftest import STRIPS

NAME = "postcode-ruled.png"
ENCODED = (STRIPS / NAME).read_bytes()


@pytest.fixture(scope="module")
def service():
    return RecognitionService(Recognizer.load(ModelFiles.read()))


@pytest.mark.parametrize("include_scores", [False, True])
def test_a_response_is_that_of_decoding_and_recognizing(service, include_scores):
    recognized = service.recognize(to_request(ENCODED, 0, include_scores, alternatives=2))
    page = decode(ENCODED)
    recognizer = service.recognizer
    recognition = recognizer.recognize(page, Options(alternatives=2))
    assert recognized.response == to_response(recognition, recognizer, include_scores)
    assert recognized.response.HasField("scores") == include_scores


def test_the_figures_of_a_recognition_are_returned_with_it(service):
    recognized = service.recognize(to_request(ENCODED))
    assert recognized.pixels == decode(ENCODED).gray.size
    assert recognized.seconds.keys() == {"decode", "normalize", "score", "search"}
    assert all(seconds > 0 for seconds in recognized.seconds.values())
    assert 0 < recognized.none_share < 1


def test_a_file_and_its_gray_levels_are_recognized_alike(service):
    raster = service.recognize(to_request(decode(ENCODED).gray)).response
    assert raster == service.recognize(to_request(ENCODED)).response


def test_an_option_is_checked_before_the_image_is_decoded(service):
    with pytest.raises(BadOption):
        service.recognize(to_request(b"no image", alternatives=21))


def test_an_image_over_the_limits_is_refused(service):
    small = RecognitionService(service.recognizer, Limits(max_pixels=100))
    with pytest.raises(TooManyPixels):
        small.recognize(to_request(np.zeros((20, 20), np.uint8)))


def test_the_model_is_described(service):
    described, metadata = service.get_model(), service.recognizer.metadata
    assert list(described.labels) == list(metadata.labels)
    assert (described.receptive_field, described.stride) == (
        metadata.receptive_field,
        metadata.stride,
    )
    assert described.digest == service.recognizer.scorer.digest
    assert described.calibration.source == metadata.calibration.source
