"""The schema's unary methods over the Connect protocol: https://connectrpc.com/docs/protocol."""

import base64
from collections.abc import Awaitable, Callable

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api.status import to_status
from service.api.wire import malformed
from service.errors import BadOption, DigitstripError, quoted
from service.http.errors import headers_of, status_of
from service.pb import recognizer_pb2 as pb
from service.serving.observability.call import Call
from service.web.calls import Calls, server_timing
from service.web.protojson import from_json, to_json
from service.workers.framing import Work

SERVICE = pb.DESCRIPTOR.services_by_name["RecognizerService"].full_name
JSON, PROTO = "application/json", "application/proto"
Endpoint = Callable[[Request], Awaitable[Response]]

VERSION_HEADER, VERSION = "connect-protocol-version", "1"


def connect_routes(calls: Calls) -> list[Route]:
    """Return the routes of the methods that are no streams."""

    def recognizing(
        name: str, work: Work, asked: type[Message], answered: type[Message]
    ) -> Endpoint:
        async def recognize(request: Request) -> Response:
            async def do(call: Call, media_type: str, body: bytes) -> Response:
                check_version(request)
                if media_type == JSON:
                    body = (await from_json(body, asked)).SerializeToString()
                answer = await calls.recognize(request, call, body, work)
                headers = server_timing(answer)
                if media_type == PROTO:
                    return Response(answer.response, headers=headers, media_type=PROTO)
                response = answered.FromString(answer.response)
                return Response(await to_json(response), headers=headers, media_type=JSON)

            return await calls.serve(request, name, (JSON, PROTO), do, connect_error)

        return recognize

    def describing(name: str, asked: type[Message], described: Callable[[], Message]) -> Endpoint:
        async def describe(request: Request) -> Response:
            async def do(_: Call, media_type: str, body: bytes) -> Response:
                check_version(request)
                await _parsed(body, media_type, asked)
                if media_type == PROTO:
                    return Response(described().SerializeToString(), media_type=PROTO)
                return Response(await to_json(described()), media_type=JSON)

            return await calls.serve(request, name, (JSON, PROTO), do, connect_error)

        return describe

    backend = calls.backend
    methods = {
        "Recognize": recognizing(
            "Recognize", Work.RECOGNIZE, pb.RecognizeRequest, pb.RecognizeResponse
        ),
        "RecognizeForm": recognizing(
            "RecognizeForm",
            Work.RECOGNIZE_FORM,
            pb.RecognizeFormRequest,
            pb.RecognizeFormResponse,
        ),
        "ListForms": describing("ListForms", pb.ListFormsRequest, lambda: backend.forms.listed),
        "GetModel": describing("GetModel", pb.GetModelRequest, lambda: backend.pool.described),
    }
    return [Route(f"/{SERVICE}/{name}", serve, methods=["POST"]) for name, serve in methods.items()]


def connect_error(error: DigitstripError) -> Response:
    """Return an error as the protocol has it: code, message, and google.rpc details."""
    status = to_status(error)
    what = {
        "code": code_of(error),
        "message": status.message,
        "details": [_detail(each) for each in status.details],
    }
    return JSONResponse(what, status_of(error), headers_of(error))


def code_of(error: DigitstripError) -> str:
    """Return the protocol's word for an error's code."""
    return "canceled" if error.code == "CANCELLED" else error.code.lower()


def check_version(request: Request) -> None:
    """Refuse another version of the protocol.

    Raises:
        BadOption: it is another.
    """
    if (version := request.headers.get(VERSION_HEADER, VERSION)) != VERSION:
        raise BadOption(
            f"{VERSION_HEADER} is {quoted(version)}; expected {VERSION}", VERSION_HEADER
        )


async def _parsed(body: bytes, media_type: str, kind: type[Message]) -> Message:
    if media_type == JSON:
        return await from_json(body, kind)
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise malformed(kind.DESCRIPTOR.name, len(body)) from error


def _detail(packed: AnyMessage) -> dict[str, object]:
    """Return a detail: its type, its bytes, and for people its fields."""
    fields = json_format.MessageToDict(packed)
    fields.pop("@type")
    return {
        "type": packed.TypeName(),
        "value": base64.b64encode(packed.value).decode().rstrip("="),
        "debug": fields,
    }
