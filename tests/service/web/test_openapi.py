import json
import subprocess

import jsonschema
import pytest
from google.protobuf import json_format

from service.api.options import OPTIONS
from service.pb import recognizer_pb2 as pb
from service.web.openapi import PARAMETERS, document
from tests.conftest import STRIPS
from tests.support.http1 import call

IMAGE = (STRIPS / "postcode-ruled.png").read_bytes()
SERVICE = "/digitstrip.v1.RecognizerService"


def check(instance, name):
    """Check an answer against a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    jsonschema.validate(instance, schema, jsonschema.Draft202012Validator)


def test_the_document_is_served_and_valid(web, packages):
    answer = call(web.web, "/openapi.json")
    assert answer.json == document()
    (packages / "openapi.json").write_bytes(answer.body)
    ended = subprocess.run(
        ["node", "openapi.js", "openapi.json"],
        cwd=packages,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_every_parameter_is_described():
    assert set(PARAMETERS) == set(OPTIONS.values())


@pytest.mark.parametrize(
    "query", ["", "length=5&check=luhn&alternatives=3&accept-errors=1%25", "pattern=%5Cd%7B4%7D"]
)
def test_readings_are_as_the_document_says(web, query):
    answer = call(web.web, f"/v1/read?{query}", IMAGE)
    assert answer.status == 200
    check(answer.json, "Reading")


def test_errors_are_as_the_document_says(web):
    check(call(web.web, "/v1/read?length=x", IMAGE).json, "Error")
    check(call(web.web, "/v1/read", b"nothing").json, "Error")
    check(call(web.web, "/nothing").json, "Error")
    check(call(web.web, f"{SERVICE}/Recognize", {}).json, "ConnectError")


def test_messages_are_as_the_document_says(web):
    request = pb.RecognizeRequest(
        image=pb.Image(encoded=IMAGE),
        include_scores=True,
        constraint=pb.Constraint(length=pb.LengthRange(min=5)),
        accepted_error_rate=0.01,
    )
    sent = json_format.MessageToDict(request)
    check(sent, "RecognizeRequest")
    check(call(web.web, f"{SERVICE}/Recognize", sent).json, "RecognizeResponse")
    check(call(web.web, f"{SERVICE}/GetModel", {}).json, "GetModelResponse")
    with pytest.raises(jsonschema.ValidationError):
        check(json.loads('{"imag": {}}'), "RecognizeRequest")
