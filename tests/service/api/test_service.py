import numpy as np
import pytest

from service.api.options import to_request
from service.api.responses import to_response
from service.api.service import RecognitionService
from service.errors import BadOption, TooManyPixels
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
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


def test_probabilities_less_than_a_double_can_say_are_0_and_the_likeliest_is_still_the_text(
    service,
):
    gray = np.tile(decode((STRIPS / "thirty-digits.png").read_bytes()).gray, (1, 3))
    seen = service.recognize(to_request(gray)).response.text
    wrong = "".join(str((int(digit) + 5) % 10) for digit in seen)
    allowed = [wrong[:-right] + seen[-right:] for right in (1, 3, 2)]  # ends that are right
    response = service.recognize(
        to_request(gray, allowed=allowed, alternatives=2, accepted_error_rate=0.05)
    ).response
    assert response.allowed_probability == 0
    assert response.exact
    assert response.text == allowed[1]
    assert [each.text for each in response.alternatives] == [allowed[2], allowed[0]]
    assert [each.confidence for each in response.alternatives] == [0, 0]
    assert response.constraint_outcome == pb.CONSTRAINT_OUTCOME_CHANGED
    assert response.decision == pb.DECISION_REVIEW
    assert pb.REVIEW_REASON_LOW_CONFIDENCE in response.review_reasons


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
