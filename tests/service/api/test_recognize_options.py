"""What a caller asks of a reading, over a real connection."""

import asyncio

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from service.client.client import AsyncClient, Client
from service.errors import BadConstraint, BadOption
from service.imaging.decode import decode
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from tests.conftest import PATIENCE, STRIPS, Service

NAME = "postcode-ruled.png"
IMAGE = (STRIPS / NAME).read_bytes()
OTHER = "68761"  # than what it says


@pytest.fixture
def client(service):
    with Client(service.address) as client:
        yield client


@pytest.fixture(scope="module")
def calibrated(calibrated_model):
    server = Service("--model", str(calibrated_model))
    with Client(server.address) as client:
        yield client
    server.stop()


def test_without_wishes_nothing_of_them_is_told(client):
    response = client.recognize(IMAGE)
    assert not response.alternatives
    assert response.constraint_outcome == pb.CONSTRAINT_OUTCOME_UNSPECIFIED
    assert response.allowed_probability == 1
    assert response.decision == pb.DECISION_UNSPECIFIED
    assert response.exact
    assert client.recognize(IMAGE, constraint=pb.Constraint()) == response


def test_a_constraint_that_the_likeliest_text_satisfies_leaves_it(client, truths):
    constraint = pb.Constraint(
        length=pb.LengthRange(min=5, max=5), pattern=r"\d{2}-\d+", check_digit=pb.CHECK_DIGIT_LUHN
    )
    response = client.recognize(IMAGE, constraint=constraint)
    assert response.text == f"{truths[NAME][:2]}-{truths[NAME][2:]}"
    assert response.constraint_outcome == pb.CONSTRAINT_OUTCOME_FREE
    assert "".join(digit.label for digit in response.digits) == truths[NAME]
    assert 0 < response.allowed_probability <= 1


def test_a_constraint_that_it_breaks_changes_the_reading(client):
    free = client.recognize(IMAGE)
    response = client.recognize(IMAGE, constraint=pb.Constraint(allowed=[OTHER]))
    assert response.text == OTHER
    assert response.constraint_outcome == pb.CONSTRAINT_OUTCOME_CHANGED
    assert response.confidence < free.confidence
    assert not response.alternatives


def test_where_nothing_allowed_fits_the_free_reading_is_told(client):
    free = client.recognize(IMAGE)
    constraint = pb.Constraint(length=pb.LengthRange(min=200))  # more than positions
    response = client.recognize(IMAGE, constraint=constraint)
    assert response.constraint_outcome == pb.CONSTRAINT_OUTCOME_IMPOSSIBLE
    assert (response.text, response.allowed_probability) == (free.text, 0)


def test_a_strip_too_wide_to_search_says_so(client, truths):
    wide = np.tile(decode((STRIPS / "amount-blue-ink.jpg").read_bytes()).gray, (1, 40))
    few = pb.Constraint(length=pb.LengthRange(max=5))
    response = client.recognize(wide, constraint=few, timeout=PATIENCE)
    assert response.constraint_outcome == pb.CONSTRAINT_OUTCOME_UNSEARCHED
    assert len(response.text) > 5
    assert not response.exact


def test_alternatives_are_other_texts_the_likeliest_first(client):
    response = client.recognize(IMAGE, alternatives=3)
    texts = [other.text for other in response.alternatives]
    confidences = [response.confidence, *(other.confidence for other in response.alternatives)]
    assert len({response.text, *texts}) == 4
    assert confidences == sorted(confidences, reverse=True)
    assert len(client.recognize(IMAGE, alternatives=20).alternatives) == 20


def test_alternatives_satisfy_the_constraint(client, truths):
    constraint = pb.Constraint(allowed=[truths[NAME], OTHER, "99999"])
    response = client.recognize(IMAGE, constraint=constraint, alternatives=5)
    assert response.text == truths[NAME]
    assert [other.text for other in response.alternatives] == [OTHER, "99999"]


@pytest.mark.parametrize(
    ("rate", "decision"), [(0.5, pb.DECISION_ACCEPT), (0.4, pb.DECISION_REVIEW)]
)
def test_a_reading_is_accepted_where_the_model_knows_that_so_few_are_wrong(
    calibrated, rate, decision
):
    assert calibrated.recognize(IMAGE, accepted_error_rate=rate).decision == decision


def test_a_reading_that_breaks_the_constraint_is_never_accepted(calibrated):
    constraint = pb.Constraint(length=pb.LengthRange(min=200))
    response = calibrated.recognize(IMAGE, constraint=constraint, accepted_error_rate=0.5)
    assert response.decision == pb.DECISION_REVIEW


def test_decisions_follow_the_thresholds_that_the_model_tells(client):
    thresholds = client.get_model().calibration.thresholds
    for rate in (0.001, 0.01, 0.05, 0.5):
        enough = min((t.confidence for t in thresholds if t.error_rate <= rate), default=2)
        response = client.recognize(IMAGE, accepted_error_rate=rate)
        accepted = response.decision == pb.DECISION_ACCEPT
        assert accepted == (response.confidence >= enough)


def test_the_calibration_is_described(calibrated):
    described = calibrated.get_model().calibration
    assert described.source == "no strips at all"
    assert [(each.error_rate, each.confidence) for each in described.thresholds] == [(0.5, 0.0)]


def test_the_view_that_was_read_is_told(client):
    done = client.recognize(IMAGE).normalization
    assert 0 <= done.view.upright <= 1
    assert 0.5 < done.view.scale < 2
    leaning = decode(IMAGE).gray
    height, width = leaning.shape
    sheared = np.full((height, width + height), 255, np.uint8)
    for row in range(height):  # by half a pixel a row, to the right at the top
        left = (height - row) // 2
        sheared[row, left : left + width] = leaning[row]
    lean = client.recognize(sheared).normalization
    assert lean.view.upright == 0 or lean.slant > 0.2 * lean.view.upright


@pytest.mark.parametrize(
    ("asked", "reason", "field"),
    [
        ({"constraint": pb.Constraint(pattern="[")}, "BAD_CONSTRAINT", "constraint.pattern"),
        ({"constraint": pb.Constraint(allowed=["x"])}, "BAD_CONSTRAINT", "constraint.allowed"),
        ({"constraint": pb.Constraint(check_digit=77)}, "BAD_CONSTRAINT", "constraint.check_digit"),
        (
            {"constraint": pb.Constraint(length=pb.LengthRange(min=300))},
            "BAD_CONSTRAINT",
            "constraint.length",
        ),
        (
            {
                "constraint": pb.Constraint(
                    length=pb.LengthRange(max=4), check_digit=pb.CHECK_DIGIT_ISBN10
                )
            },
            "BAD_CONSTRAINT",
            "constraint",
        ),
        (
            {"constraint": pb.Constraint(pattern="\N{EURO SIGN}" * 999 + "[")},
            "BAD_CONSTRAINT",
            "constraint.pattern",
        ),
        ({"alternatives": 21}, "BAD_OPTION", "alternatives"),
        ({"accepted_error_rate": 0.0}, "BAD_OPTION", "accepted_error_rate"),
        ({"accepted_error_rate": 1.0}, "BAD_OPTION", "accepted_error_rate"),
        ({"accepted_error_rate": float("nan")}, "BAD_OPTION", "accepted_error_rate"),
    ],
)
def test_an_option_that_cannot_be_honored_is_an_invalid_argument_with_details(
    service, asked, reason, field
):
    request = pb.RecognizeRequest(image=pb.Image(encoded=IMAGE), **asked)
    with (
        grpc.insecure_channel(service.address) as channel,
        pytest.raises(grpc.RpcError) as raised,
    ):
        RecognizerServiceStub(channel).Recognize(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details = rpc_status.from_call(raised.value).details
    assert details[0].Unpack(info)
    assert details[1].Unpack(bad)
    assert info.reason == reason
    assert bad.field_violations[0].field == field


def test_the_client_raises_what_cannot_be_met(client):
    with pytest.raises(BadConstraint, match="'x' is not written") as raised:
        client.recognize(IMAGE, constraint=pb.Constraint(allowed=["x"]))
    assert raised.value.field == "constraint.allowed"
    with pytest.raises(BadOption, match="at most 20"):
        client.recognize(IMAGE, alternatives=21)


def test_what_is_asked_of_a_stream_holds_for_every_image(client):
    images = [(str(number), IMAGE) for number in range(4)]
    asked = {"constraint": pb.Constraint(allowed=[OTHER]), "alternatives": 2}
    asked["accepted_error_rate"] = 0.01
    answers = dict(client.recognize_many(images, **asked))
    assert answers.keys() == dict(images).keys()
    alone = client.recognize(IMAGE, **asked)
    assert alone.text == OTHER
    assert all(answer == alone for answer in answers.values())


def test_an_option_that_cannot_be_honored_is_the_answer_to_every_image_of_a_stream(client):
    answers = dict(client.recognize_many([("a", IMAGE), ("b", IMAGE)], alternatives=21))
    assert {type(answer) for answer in answers.values()} == {BadOption}
    assert {answer.field for answer in answers.values()} == {"alternatives"}


def test_the_async_client_asks_as_the_blocking_one(service, client):
    asked = {"constraint": pb.Constraint(pattern=r"\d-\d+"), "alternatives": 2}

    async def ask():
        async def images():
            yield "only", IMAGE

        async with AsyncClient(service.address) as asynchronous:
            one = await asynchronous.recognize(IMAGE, **asked)
            many = {
                name: each async for name, each in asynchronous.recognize_many(images(), **asked)
            }
            return one, many

    one, many = asyncio.run(ask())
    assert one == many["only"] == client.recognize(IMAGE, **asked)
    assert one.text[1] == "-"
