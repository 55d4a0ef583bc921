import base64

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2

from service.client.client import Client
from service.errors import MalformedMessage
from service.pb import recognizer_pb2 as pb
from service.web.protojson import MAX_ANSWER_BYTES, to_json
from tests.conftest import STRIPS, in_a_loop
from tests.support.http1 import call

NAME = "postcode-ruled.png"
IMAGE = (STRIPS / NAME).read_bytes()
REQUEST = pb.RecognizeRequest(
    image=pb.Image(encoded=IMAGE),
    include_scores=True,
    constraint=pb.Constraint(length=pb.LengthRange(min=5, max=5)),
    alternatives=2,
    accepted_error_rate=0.5,
)
ENCODED = REQUEST.SerializeToString()
SERVICE = "/digitstrip.v1.RecognizerService"
PROTO, JSON = "application/proto", "application/json"


def recognize(web, body, content_type=JSON, **headers):
    return call(web.web, f"{SERVICE}/Recognize", body, Content_Type=content_type, **headers)


@pytest.fixture(scope="module")
def over_grpc(web):
    """What the server answers over gRPC."""
    with Client(web.address) as client:
        return client.recognize(
            IMAGE,
            scores=True,
            constraint=REQUEST.constraint,
            alternatives=2,
            accepted_error_rate=0.5,
        )


def test_proto_is_answered_with_the_bytes_of_grpc(web, over_grpc):
    answer = recognize(web, ENCODED, PROTO)
    assert (answer.status, answer.headers["content-type"]) == (200, PROTO)
    assert pb.RecognizeResponse.FromString(answer.body) == over_grpc


def test_json_is_answered_with_the_same_message(web, over_grpc):
    answer = recognize(web, json_format.MessageToJson(REQUEST).encode())
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert json_format.Parse(answer.body, pb.RecognizeResponse()) == over_grpc


@pytest.mark.parametrize("content_type", [JSON, PROTO])
def test_the_model_is_described(web, content_type):
    body = b"{}" if content_type == JSON else b""
    answer = call(web.web, f"{SERVICE}/GetModel", body, Content_Type=content_type)
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    with Client(web.address) as client:
        expected = client.get_model()
    if content_type == JSON:
        assert json_format.Parse(answer.body, pb.GetModelResponse()) == expected
    else:
        assert pb.GetModelResponse.FromString(answer.body) == expected


def test_an_error_has_the_codes_and_the_details_of_grpc(web):
    answer = recognize(web, {"image": {"encoded": ""}})
    assert answer.status == 400
    assert answer.json["code"] == "invalid_argument"
    assert "image" in answer.json["message"]
    info, bad = answer.json["details"]
    assert (info["type"], bad["type"]) == ("google.rpc.ErrorInfo", "google.rpc.BadRequest")
    assert info["debug"] == {"reason": "EMPTY_IMAGE", "domain": "digitstrip"}
    value = base64.b64decode(info["value"] + "==")
    assert error_details_pb2.ErrorInfo.FromString(value).reason == "EMPTY_IMAGE"


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b"{", "", "Expecting property name enclosed in double quotes: line 1 column 2"),
        (b'{"imag": {}}', "", 'no field named "imag"'),
        (b'{"alternatives": 1, "alternatives": 2}', "", "duplicate key alternatives"),
        (b'{"constraint": {"length": {"min": "x"}}}', "constraint.length.min", "'x'"),
        (b'{"constraint": {"checkDigit": "CRC"}}', "constraint.check_digit", "CRC"),
        (b'{"image": {"encoded": 5}}', "image.encoded", "int"),
        (b"[" * 50_000, "", "recursion"),
        (b"{" * 150_000, "", "more than 100,000 values"),
        (b"\xff", "", "utf-8"),
        (b"null", "", "not"),
    ],
)
def test_json_that_is_malformed_is_refused_with_what_and_where(web, body, field, message):
    answer = recognize(web, body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")
    assert message in answer.json["message"]
    debug = [each["debug"] for each in answer.json["details"]]
    assert debug[0]["reason"] == "MALFORMED_MESSAGE"
    assert debug[1]["fieldViolations"][0].get("field", "") == field


def test_proto_that_is_malformed_is_refused(web):
    answer = recognize(web, b"\xff\xff\xff", PROTO)
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")
    assert "a message of 3 bytes is not a digitstrip.v1.RecognizeRequest" in answer.json["message"]
    answer = call(web.web, f"{SERVICE}/GetModel", b"\xff", Content_Type=PROTO)
    assert "is not a digitstrip.v1.GetModelRequest" in answer.json["message"]


def test_another_content_type_is_refused(web):
    answer = recognize(web, b"", "application/connect+json")
    assert answer.status == 415
    assert "expected application/json or application/proto" in answer.json["message"]


def test_a_compressed_message_is_refused_as_the_protocol_says(web):
    answer = recognize(web, b"\x1f\x8b", Content_Encoding="gzip")
    assert (answer.status, answer.json["code"]) == (415, "invalid_argument")


@pytest.mark.parametrize("version", ["2", ""])
def test_another_version_of_the_protocol_is_refused(web, version):
    answer = recognize(web, b"{}", Connect_Protocol_Version=version)
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")
    assert f"connect-protocol-version is {version!r}; expected 1" in answer.json["message"]
    assert recognize(web, ENCODED, PROTO, Connect_Protocol_Version="1").status == 200


def test_a_deadline_that_cannot_be_met_is_refused_without_reading(web):
    answer = recognize(web, ENCODED, PROTO, Connect_Timeout_Ms="0")
    assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
    assert recognize(web, ENCODED, PROTO, Connect_Timeout_Ms="60000").status == 200
    answer = recognize(web, b"", PROTO, Connect_Timeout_Ms="1e3")
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")


@in_a_loop
async def test_an_answer_that_is_too_large_for_json_is_refused():
    response = pb.RecognizeResponse(text="1" * MAX_ANSWER_BYTES)
    with pytest.raises(MalformedMessage, match="ask for application/proto"):
        await to_json(response)


def test_a_stream_is_not_served(web):
    answer = call(web.web, f"{SERVICE}/RecognizeStream", b"{}")
    assert answer.status == 404
