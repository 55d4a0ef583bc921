"""`POST /v1/read`: an image to the object that `digitstrip read --json` prints."""

import base64
import binascii
from collections.abc import Sequence

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api.json_records import to_record
from service.api.options import OPTIONS, RecognizeOptions, to_error_rate, to_request
from service.errors import (
    BadOption,
    DigitstripError,
    InputError,
    MalformedMessage,
    NoSuchPage,
    quoted,
)
from service.http.errors import error_response
from service.json_object import parse_json
from service.pb import recognizer_pb2 as pb
from service.serving.observability.call import Call
from service.web.calls import Calls, server_timing
from service.web.multipart import FIELD, Upload, uploaded
from service.web.protojson import beside, check_values
from service.workers.admission_queue import Answer

PATH = "/v1/read"
UNNAMED = "-"  # the source of an image without a name, as of one on standard input
FORM, JSON = "multipart/form-data", "application/json"
# What curl calls the bytes of --data-binary is a form; what an image is, its bytes say.
MEDIA_TYPES = ("image/*", "application/octet-stream", FORM, JSON)
UNDECLARED = ("", "application/x-www-form-urlencoded")
MAX_DIGITS = 9  # of a number


def read_route(calls: Calls) -> Route:
    """Return the route."""

    async def read(request: Request) -> Response:
        async def work(call: Call, media_type: str, body: bytes) -> Response:
            page, options = options_of(request.query_params)
            content_type = request.headers.get("content-type", "")
            upload = await beside(len(body), upload_of, media_type, content_type, body)
            del body
            name = upload.name or UNNAMED
            message = to_request(upload.content, page, **options).SerializeToString()
            del upload
            answer = await calls.recognize(request, call, message)
            return await beside(len(answer.response), _answered, name, page, answer)

        return await calls.serve(request, "read", (*MEDIA_TYPES, *UNDECLARED), work, _failed)

    return Route(PATH, read, methods=["POST"])


def options_of(query: QueryParams) -> tuple[int, RecognizeOptions]:
    """Return the page, from 0, and the options that query parameters set.

    Raises:
        InputError: names the parameter, what was seen and what is allowed.
    """
    known = set(OPTIONS.values())
    for name in query:
        if name not in known:
            raise BadOption(
                f"{quoted(name)} is no parameter; expected {', '.join(sorted(known))}", name
            )
        if name != "allowed" and len(query.getlist(name)) > 1:
            raise BadOption(f"{name} is given more than once", name)
        if query[name] == "":  # of an empty variable, say; in a message it would be none
            raise BadOption(f"{name} is empty", name)
    page = _number(query, "page", 1)
    if page < 1:
        raise NoSuchPage(f"there is no page {page}; pages are numbered from 1", "image.page")
    rate = query.get("accept-errors")
    return page - 1, RecognizeOptions(
        length=query.get("length"),
        pattern=query.get("pattern"),
        allowed=query.getlist("allowed"),
        check_digit=query.get("check"),
        alternatives=_number(query, "alternatives", 0),
        accepted_error_rate=None if rate is None else to_error_rate(rate),
    )


def upload_of(media_type: str, content_type: str, body: bytes) -> Upload:
    """Return the image in a body.

    Raises:
        InputError: the body is malformed.
    """
    if media_type == FORM:
        return uploaded(content_type, body)
    if media_type == JSON:
        return Upload("", _of_json(body))
    return Upload("", body)


def _answered(source: str, page: int, answer: Answer) -> Response:
    response = pb.RecognizeResponse.FromString(answer.response)
    return JSONResponse(to_record(source, page, response), headers=server_timing(answer))


def _of_json(body: bytes) -> bytes:
    expected = f'expected {{"{FIELD}": "…"}} with the image in base64'
    check_values(body)
    try:
        fields = parse_json(body)
    except ValueError as error:
        raise MalformedMessage(f"the body is no JSON: {error}; {expected}") from None
    if not isinstance(fields, dict) or list(fields) != [FIELD]:
        seen = f"has {_listed(list(fields))}" if isinstance(fields, dict) else "is no object"
        raise MalformedMessage(f"the body {seen}; {expected}; options are query parameters", FIELD)
    try:
        return base64.b64decode(fields[FIELD], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise MalformedMessage(f"{FIELD} is no base64: {error}; {expected}", FIELD) from None


def _listed(names: Sequence[str]) -> str:
    return f"the fields {quoted(', '.join(names))}" if names else "no fields"


def _number(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise BadOption(f"{name} is {quoted(text)}; expected a number", name)
    return int(text)


def _failed(error: DigitstripError) -> Response:
    """Return an error's answer, which names the parameter where the schema names a field."""
    if isinstance(error, InputError):
        error.field = OPTIONS.get(error.field, error.field)
    return error_response(error)
