import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.recognition.calibration import SIGNS, Calibration, Evidence, Logistic, Threshold

shares = st.floats(0, 1)
evidences = st.builds(
    Evidence, shares, shares, st.integers(0, 30), shares, st.none() | shares, st.booleans()
)
FULL = Calibration(
    scale=0.9,
    offset=-0.1,
    thresholds=(Threshold(0.05, 0.8, 0.03, 0.06), Threshold(0.01, 0.95, 0.0, 0.02)),
    source="some strips",
    alone=Logistic({"vote": 0.5, "brevity": 0.1}, 0.25),
    consulted=Logistic(dict.fromkeys(SIGNS, 0.2), -1.0),
)


@given(evidences)
def test_confidences_are_probabilities(evidence):
    assert 0 <= FULL.confidence(evidence) <= 1
    assert 0 <= Calibration().confidence(evidence) <= 1


@pytest.mark.parametrize(
    ("surer", "less"),
    [
        (Evidence(0.8), Evidence(0.7)),
        (Evidence(0.8, digits=3), Evidence(0.8, digits=4)),
        (Evidence(0.5, 0.1, 3, 0.5, 0.6), Evidence(0.5, 0.4, 3, 0.5, 0.6)),
        (Evidence(0.5, 0.1, 3, 0.5, 0.6), Evidence(0.5, 0.1, 3, 0.5, 0.5)),
        (Evidence(0.5, 0.1, 3, 0.5, 0.6, agreed=True), Evidence(0.5, 0.1, 3, 0.5, 0.6)),
    ],
)
def test_every_sign_raises_the_confidence(surer, less):
    assert FULL.confidence(surer) > FULL.confidence(less)


def test_an_uncalibrated_confidence_is_the_probability():
    assert Calibration().confidence(Evidence(0.3)) == pytest.approx(0.3)
    assert Calibration().confidence(Evidence(0.3, second=0.9)) == pytest.approx(0.3)


def test_texts_with_and_without_the_second_reader_have_regressions_of_their_own():
    by = Calibration(alone=Logistic({}, 1.0), consulted=Logistic({}, -1.0))
    assert by.confidence(Evidence(0.5)) == pytest.approx(1 / (1 + math.exp(-1)))
    assert by.confidence(Evidence(0.5, second=0.5)) == pytest.approx(1 / (1 + math.exp(1)))


def test_a_calibration_survives_json():
    assert Calibration.from_json(FULL.to_json()) == FULL


def test_the_two_numbers_of_earlier_models_are_read():
    earlier = '{"scale": 0.5, "offset": -0.7, "thresholds": [[0.01, 0.9]], "source": "pages"}'
    by = Calibration.from_json(earlier)
    expected = 1 / (1 + math.exp(-(0.5 * math.log(0.8 / 0.2) - 0.7)))
    assert by.confidence(Evidence(0.8)) == pytest.approx(expected)
    assert by.threshold(0.01) == 0.9
    assert (by.scale, by.offset, by.source) == (1, 0, "pages")


@pytest.mark.parametrize(
    "changed",
    [
        {"scale": -1.0},
        {"offset": math.nan},
        {"alone": {"weights": {"vote": -0.5}, "offset": 0}},
        {"alone": {"weights": {"luck": 0.5}, "offset": 0}},
        {"consulted": {"weights": {"vote": 1.0}, "offset": math.inf}},
        {"consulted": 7},
        {"thresholds": [["often"]]},
    ],
)
def test_a_damaged_calibration_is_refused(changed):
    with pytest.raises(ValueError, match=r"calibration|convert"):
        Calibration.from_json(json.dumps(json.loads(FULL.to_json()) | changed))
