"""Forms over gRPC and HTTP: inline or by name, the same reading as without a server."""

import json
import shutil
from pathlib import Path

import pytest
from google.protobuf import json_format

from service.api.images import to_image
from service.api.service import RecognitionService
from service.client.client import AsyncClient, Client
from service.errors import (
    BadForm,
    BadOption,
    DamagedImage,
    EmptyImage,
    MalformedMessage,
    NoSuchForm,
)
from service.forms.files import read_form
from service.forms.service import Forms, FormService
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from tests.conftest import ROOT, STRIPS, Service, in_a_loop, until
from tests.support.http1 import call

EXAMPLE = ROOT / "examples" / "forms"
TEMPLATE = EXAMPLE / "form.toml"
PAGE = EXAMPLE / "copy.jpg"
SERVICE = "/digitstrip.v1.RecognizerService"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    shutil.copy(TEMPLATE, folder / "meter.toml")
    shutil.copy(EXAMPLE / "blank.png", folder)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    listen = ("--forms", str(folder), "--web-listen", "127.0.0.1:0")
    server = Service(*listen, DIGITSTRIP_WORKERS="1", DIGITSTRIP_WATCH_MODEL="true")
    yield server
    status, said = server.stop()
    assert status == 0, said


@pytest.fixture(scope="module")
def client(server):
    with Client(server.address, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def alone():
    """What the use case answers in this process."""
    forms = FormService(RecognitionService(Recognizer.load(ModelFiles.read())), Forms())
    request = pb.RecognizeFormRequest(
        image=to_image(PAGE), form=read_form(TEMPLATE), alternatives=2, accepted_error_rate=0.01
    )
    return forms.recognize(request).response


@pytest.mark.parametrize(
    "form", ["meter", TEMPLATE, read_form(TEMPLATE)], ids=["name", "path", "message"]
)
def test_a_page_is_read_as_without_a_server(form, client, alone):
    response = client.recognize_form(PAGE, form, alternatives=2, accepted_error_rate=0.01)
    assert response == alone
    assert [each.reading.text for each in response.fields][:2] == ["26084919", "30102026"]
    assert len(response.fields[0].polygon) == 4


def test_the_process_that_takes_calls_decodes_no_reference(server, client):
    client.recognize_form(PAGE, TEMPLATE)
    assert "/cv2/" not in Path(f"/proc/{server.process.pid}/maps").read_text()


@in_a_loop
async def test_the_async_client_has_the_same_methods(server, alone):
    async with AsyncClient(server.address, timeout=120) as client:
        response = await client.recognize_form(
            PAGE, "meter", alternatives=2, accepted_error_rate=0.01
        )
        assert response == alone
        assert [each.name for each in (await client.list_forms()).forms] == ["meter"]


PAGES = [
    ("first", PAGE),
    ("torn", b"\x89PNG\r\n\x1a\n"),
    ("a strip", STRIPS / "two-digits.png"),
    ("last", PAGE),
]


def check_answers(answers, response):
    """Every page has its answer, and one that cannot be decoded ends nothing."""
    answers = dict(answers)
    assert {*answers} == {name for name, _ in PAGES}
    assert fields(answers["first"]) == fields(answers["last"]) == fields(response)
    assert isinstance(answers["torn"], DamagedImage)
    assert answers["a strip"].registration.status == pb.REGISTRATION_STATUS_MISREGISTERED


def fields(response):
    return [each.SerializeToString() for each in response.fields]


@pytest.mark.parametrize("form", ["meter", TEMPLATE], ids=["named", "sent"])
def test_pages_in_a_stream_are_read_as_alone(form, client):
    answers = client.recognize_forms(PAGES, form, alternatives=2, accepted_error_rate=0.01)
    response = client.recognize_form(PAGE, form, alternatives=2, accepted_error_rate=0.01)
    check_answers(answers, response)


@in_a_loop
async def test_pages_in_a_stream_are_read_by_the_async_client_too(server):
    async with AsyncClient(server.address) as client:
        answers = [each async for each in client.recognize_forms(PAGES, "meter")]
        check_answers(answers, await client.recognize_form(PAGE, "meter"))


def test_a_form_that_the_server_has_not_is_the_answer_of_every_page(client):
    answers = dict(client.recognize_forms(PAGES, "gas"))
    assert len(answers) == len(PAGES)
    assert all(isinstance(each, NoSuchForm) for each in answers.values())


def test_a_template_that_cannot_be_read_is_an_error_before_anything_is_sent(client, tmp_path):
    with pytest.raises(BadForm, match="cannot read"):
        client.recognize_forms(PAGES, tmp_path / "none.toml")


def test_the_forms_of_the_server_are_listed_with_their_fields(client):
    (form,) = client.list_forms().forms
    assert (form.name, form.form, form.width_mm, form.height_mm) == (
        "meter",
        "meter card",
        148,
        105,
    )
    assert [each.name for each in form.fields] == [
        *("customer", "date", "reading", "postcode", "telephone")
    ]
    customer = form.fields[0]
    assert (customer.left_mm, customer.top_mm, customer.width_mm) == (16, 27, 48)
    assert customer.constraint.length == pb.LengthRange(min=8, max=8)
    assert (customer.may_be_blank, form.fields[4].may_be_blank) == (False, True)


def test_a_page_that_is_not_the_form_is_no_error_but_says_so(client):
    response = client.recognize_form(STRIPS / "two-digits.png", "meter")
    assert response.registration.status == pb.REGISTRATION_STATUS_MISREGISTERED
    assert response.registration.why
    for each in response.fields:
        assert each.status == pb.FIELD_STATUS_MISREGISTERED
        assert (each.decision, [*each.review_reasons]) == (
            pb.DECISION_REVIEW,
            [pb.REVIEW_REASON_MISREGISTERED],
        )
        assert not each.HasField("reading")


def test_errors_name_the_field_of_the_request_and_of_the_form(client):
    with pytest.raises(
        NoSuchForm, match="there is no form 'gas'; expected one such as 'meter'"
    ) as seen:
        client.recognize_form(PAGE, "gas")
    assert seen.value.field == "form_name"
    wrong = read_form(TEMPLATE)
    wrong.template = wrong.template.replace("[16, 46, 48, 10]", "[16, 46, 48, 0]")
    with pytest.raises(BadForm, match="field 'reading': the box is 48 wide and 0 high") as seen:
        client.recognize_form(PAGE, wrong)
    assert seen.value.field == "form.template"
    without = read_form(TEMPLATE)
    without.ClearField("reference")
    with pytest.raises(BadForm, match="the template names one, and the form comes without") as seen:
        client.recognize_form(PAGE, without)
    assert seen.value.field == "form.reference"
    damaged = read_form(TEMPLATE)
    damaged.reference.encoded = damaged.reference.encoded[:500]
    with pytest.raises(BadForm, match="reference: ") as seen:
        client.recognize_form(PAGE, damaged)
    assert seen.value.field == "form.reference"
    with pytest.raises(BadForm, match="the request has no form"):
        client._call(client.stub.RecognizeForm, pb.RecognizeFormRequest(image=to_image(PAGE)))
    with pytest.raises(EmptyImage):
        client._call(client.stub.RecognizeForm, pb.RecognizeFormRequest(form_name="meter"))
    with pytest.raises(BadOption, match="21 alternatives"):
        client.recognize_form(STRIPS / "two-digits.png", "meter", alternatives=21)
    raw = client.channel.unary_unary(f"{SERVICE}/RecognizeForm")
    with pytest.raises(MalformedMessage, match=r"is not a digitstrip\.v1\.RecognizeFormRequest"):
        client._call(raw, b"\xff\xff\xff")


def test_a_form_of_more_fields_than_allowed_is_refused(client):
    wrong = read_form(TEMPLATE)
    wrong.template += "".join(
        f'\n[[field]]\nname = "f{n}"\nbox = [80, 67, 52, 8]\n' for n in range(500)
    )
    with pytest.raises(BadForm, match="at most 500"):
        client.recognize_form(PAGE, wrong)


def test_http_answers_as_grpc_does(server, client, alone):
    request = pb.RecognizeFormRequest(
        image=to_image(PAGE), form_name="meter", alternatives=2, accepted_error_rate=0.01
    )
    body = json_format.MessageToJson(request).encode()
    answer = call(server.web, f"{SERVICE}/RecognizeForm", body, Content_Type="application/json")
    assert answer.status == 200
    assert json_format.Parse(answer.body, pb.RecognizeFormResponse()) == alone
    assert "decode;dur=" in answer.headers["server-timing"]
    listed = call(server.web, f"{SERVICE}/ListForms", b"{}", Content_Type="application/json")
    assert json_format.Parse(listed.body, pb.ListFormsResponse()) == client.list_forms()
    request.form_name = "gas"
    body = json_format.MessageToJson(request).encode()
    answer = call(server.web, f"{SERVICE}/RecognizeForm", body, Content_Type="application/json")
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "not_found")


def test_a_batch_by_a_service_gives_the_same_rows(server, run, tmp_path):
    for name, more in (("here", ["--workers", "1"]), ("there", ["--address", server.address])):
        command = ("batch", PAGE, "--form", TEMPLATE, "--output", tmp_path / f"{name}.jsonl")
        assert run(*command, *more).returncode == 0
    assert (tmp_path / "here.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()


def test_forms_are_reloaded_and_a_mistake_leaves_the_old_ones(folder, client):
    """Last of the module: it changes the server's folder."""
    text = (folder / "meter.toml").read_text()
    (folder / "meter.toml").write_text("[page]\nwidth = 5\n")
    shutil.copy(TEMPLATE, folder / "second.toml")
    (folder / "third.toml").write_text(text.replace("meter card", "third"))
    assert [each.name for each in client.list_forms().forms] == ["meter"]
    (folder / "meter.toml").write_text(text.replace("meter card", "new card"))
    until(lambda: len(client.list_forms().forms) == 3, 60)
    assert [(each.name, each.form) for each in client.list_forms().forms] == [
        ("meter", "new card"),
        ("second", "meter card"),
        ("third", "third"),
    ]
    assert client.recognize_form(PAGE, "meter").form == "new card"


def test_a_folder_with_a_mistake_is_no_start(run, tmp_path):
    (tmp_path / "gas.toml").write_text("[page]\nwidth = 5\n")
    ended = run("serve", "--listen", "127.0.0.1:0", "--forms", tmp_path, DIGITSTRIP_WORKERS="1")
    assert ended.returncode == 1
    assert f"BAD_FORM: {tmp_path}/gas.toml: ".encode() in ended.stderr
    assert b"registration is missing" in ended.stderr
