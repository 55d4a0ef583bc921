import base64
import json

import pytest
from PIL import Image

from tests.conftest import STRIPS, until
from tests.support.http1 import call

NAME = "postcode-ruled.png"
IMAGE = (STRIPS / NAME).read_bytes()
EVERY_OPTION = {
    "length": "5",
    "pattern": r"\d{5}",
    "check": "luhn",
    "alternatives": "2",
    "accept-errors": "50%",
}


def form(content, field="image", name=NAME, boundary="xYz"):
    """A form as curl and browsers send one: its body, and its content type."""
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
    parts = [f"--{boundary}", head, "Content-Type: image/png", "", ""]
    body = "\r\n".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def query(options):
    return "/v1/read?" + "&".join(f"{name}={value}" for name, value in options.items()).replace(
        "%", "%25"
    ).replace("\\", "%5C").replace("{", "%7B").replace("}", "%7D")


@pytest.fixture
def printed(run, calibrated_model):
    """What `digitstrip read --json` prints of the image with some options."""

    def printed(**options):
        flags = [each for name, value in options.items() for each in (f"--{name}", value)]
        ended = run("read", "--json", "--model", calibrated_model, STRIPS / NAME, *flags)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return printed


@pytest.mark.parametrize("options", [{}, EVERY_OPTION], ids=["none", "all"])
def test_the_answer_is_what_the_command_line_prints(web, printed, options):
    body, content_type = form(IMAGE)
    answer = call(web.web, query(options), body, Content_Type=content_type)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    expected = printed(**options)
    assert answer.json == expected | {"source": NAME}
    assert expected["source"].endswith(NAME)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (IMAGE, "image/png"),
        (IMAGE, "application/octet-stream"),
        (IMAGE, "application/x-www-form-urlencoded"),  # of curl --data-binary
        (IMAGE, ""),
        ({"image": base64.b64encode(IMAGE).decode()}, "application/json; charset=utf-8"),
        form(IMAGE, boundary="a b'()+_,-./:=?c"),
    ],
)
def test_an_image_is_taken_in_every_form_it_may_have(web, truths, body, content_type):
    if "boundary" in content_type:
        content_type = content_type.replace("boundary=", 'boundary="') + '"'
    answer = call(web.web, "/v1/read", body, Content_Type=content_type)
    assert (answer.status, answer.json["text"]) == (200, truths[NAME])


def test_allowed_strings_are_given_one_by_one(web):
    answer = call(web.web, "/v1/read?allowed=68761&allowed=10000", IMAGE)
    assert answer.json["text"] == "68761"
    assert answer.json["constraint"]["outcome"] == "CHANGED"


def test_a_page_is_counted_from_one(web, truths, tmp_path):
    pages = [Image.open(STRIPS / name).convert("L") for name in (NAME, "one-digit.png")]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    content = (tmp_path / "two.tif").read_bytes()
    for page, name in ((1, NAME), (2, "one-digit.png")):
        answer = call(web.web, f"/v1/read?page={page}", content)
        assert (answer.json["page"], answer.json["text"]) == (page, truths[name])
    assert call(web.web, "/v1/read?page=3", content).error == {
        "reason": "NO_SUCH_PAGE",
        "message": "there is no page 2, counted from 0; the image has 2 pages",
        "field": "page",
    }


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"lenght": "5"}, "lenght", "'lenght' is no parameter; expected accept-errors, allowed, "),
        (
            {"length": "x"},
            "length",
            "'x' is no number of digits; expected one such as 5, 3-7",
        ),
        ({"length": ""}, "length", "length is empty"),
        ({"length": "5&length=6"}, "length", "length is given more than once"),
        ({"pattern": "["}, "pattern", ""),
        ({"check": "crc"}, "check", "'crc' is no check digit scheme; expected luhn, "),
        ({"alternatives": "21"}, "alternatives", "at most 20 are allowed"),
        ({"alternatives": "-1"}, "alternatives", "alternatives is '-1'; expected a number"),
        ({"accept-errors": "much"}, "accept-errors", "'much' is no share; expected one such as"),
        ({"accept-errors": "2"}, "accept-errors", "expected one above 0 and below 1"),
        ({"page": "0"}, "page", "there is no page 0; pages are numbered from 1"),
    ],
)
def test_an_option_that_is_wrong_is_named_by_its_parameter(web, options, field, message):
    answer = call(web.web, query(options), IMAGE)
    assert answer.status == 400
    assert answer.error["field"] == field
    assert message in answer.error["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is no JSON: Expecting value: line 1 column 1"),
        (b'{"image": "aGk="', "line 1 column 17"),
        (b"[]", "the body is no object"),
        (b"{}", "the body has no fields"),
        (b'{"image": "", "length": 5}', "'image, length'; expected"),
        (b'{"image": 5}', "image is no base64"),
        (b'{"image": "a%%b"}', "image is no base64"),
        (b"[" * 5_000, "the body is no JSON"),
        (b"[" * 200_000, "more than 100,000 values"),
        (b'{"image": "\xff"}', "the body is no JSON: 'utf-8' codec can't decode"),
        (b"9" * 10_000, "the body is no JSON"),
    ],
)
def test_json_that_is_malformed_is_refused_with_what_and_where(web, body, message):
    answer = call(web.web, "/v1/read", body, Content_Type="application/json")
    assert (answer.status, answer.error["reason"]) == (400, "MALFORMED_MESSAGE")
    assert message in answer.error["message"]
    assert len(answer.error["message"]) < 500


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "multipart/form-data", "no boundary"),
        (b"", "multipart/form-data; boundary=x", "the form has no part"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "the form has no part"),
        (b"--x\r\n\r\nabc", "multipart/form-data; boundary=x", "the form has no part"),
        (b"--x\r\n\r\nabc\r\n--x", "multipart/form-data; boundary=x", "has no end"),
        (form(IMAGE)[0].replace(b"--xYz--", b"") * 2, form(b"")[1], "or more than one part"),
        (*form(IMAGE, field="file"), "the form has a field named 'file'; expected 'image'"),
        (*form(IMAGE, name="x" * 5_000), "too long"),
    ],
)
def test_a_form_that_is_malformed_is_refused(web, body, content_type, message):
    answer = call(web.web, "/v1/read", body, Content_Type=content_type)
    assert answer.status == 400
    assert message in answer.error["message"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "EMPTY_IMAGE"), (b"hello", "UNKNOWN_FORMAT"), (IMAGE[:300], "DAMAGED_IMAGE")],
)
def test_an_image_that_is_wrong_is_refused_as_over_grpc(web, content, reason):
    answer = call(web.web, "/v1/read", content)
    assert (answer.status, answer.error["reason"]) == (400, reason)
    assert answer.error["message"]


def test_another_content_type_is_refused_by_name(web):
    answer = call(web.web, "/v1/read", b"<p>", Content_Type="text/html")
    assert (answer.status, answer.error["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.error["message"].startswith("the content-type is 'text/html'; expected image/*")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.png", "Zählerstand №5.png", "a;b.png"])
def test_a_files_name_is_returned_as_data(web, name):
    answer = call(web.web, "/v1/read", form(IMAGE, name=name)[0], Content_Type=form(b"")[1])
    assert answer.json["source"] == name
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_stages_are_timed_and_the_call_is_logged_and_counted(web):
    before = web.figures("requests_total", method="read", code="OK")
    answer = call(web.web, "/v1/read", IMAGE, X_Request_Id="one-of-mine")
    assert answer.headers["x-request-id"] == "one-of-mine"
    stages = [each.split(";dur=")[0] for each in answer.headers["server-timing"].split(", ")]
    assert stages == ["queue", "decode", "normalize", "score", "search"]
    assert web.figures("requests_total", method="read", code="OK") == before + 1
    (line,) = until(lambda: [each for each in web.logged("image") if each["id"] == "one-of-mine"])
    assert (line["method"], line["code"], line["image"]) == ("read", "OK", 1)
