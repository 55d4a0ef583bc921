"""`/openapi.json`: what is served over HTTP (OpenAPI 3.1); messages are derived from the schema."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.options import CHECK_DIGITS
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb

Schema = JsonObject

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
EDGES: Schema = {"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4}
PARAMETERS: dict[str, tuple[str, Schema]] = {
    "length": ("The number of digits: 5, 3-7 or 3-.", TEXT),
    "pattern": ("A regular expression for the whole string, such as \\d{5}(-\\d{4})?.", TEXT),
    "allowed": ("The allowed strings, one a parameter.", {"type": "array", "items": TEXT}),
    "check": ("The check digit that the string must have.", {"enum": [*CHECK_DIGITS]}),
    "alternatives": ("The number of alternative strings.", COUNT),
    "accept-errors": (
        "Decide ACCEPT or REVIEW, with at most this share of the accepted wrong: 0.01 or 1%.",
        TEXT,
    ),
    "page": ("The page of a TIFF, from 1.", {"type": "integer", "minimum": 1}),
}
KINDS: dict[int, Schema] = {  # by ProtoJSON
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": ["number", "string"]},  # infinities are strings
    FieldDescriptor.TYPE_FLOAT: {"type": ["number", "string"]},
    FieldDescriptor.TYPE_INT32: {"type": "integer"},
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_UINT32: COUNT,
}


def openapi_route() -> Route:
    """Return the route of the document."""
    content = json.dumps(document()).encode()

    async def serve(_: Request) -> Response:
        return Response(content, media_type="application/json")

    return Route("/openapi.json", serve)


def document() -> Schema:
    """Return the document."""
    service = pb.DESCRIPTOR.services_by_name["RecognizerService"]
    unary = [each for each in service.methods if not each.client_streaming]
    messages = [each for method in unary for each in (method.input_type, method.output_type)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Digitstrip",
            "version": version("digitstrip"),
            "description": "Reads handwritten digit strings.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"bearer": []}],
        "paths": {
            "/v1/read": {"post": _read()},
            **{
                f"/{service.full_name}/{method.name}": {"post": _method(method)} for method in unary
            },
            "/healthz": {"get": _health("Whether the process answers.")},
            "/readyz": {"get": _health("Whether it would read an image now.")},
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Reading": _reading(),
                "Error": _object(
                    {"error": _object({"reason": TEXT, "message": TEXT}, {"field": TEXT})}
                ),
                "ConnectError": _object(
                    {"code": TEXT, "message": TEXT},
                    {"details": {"type": "array", "items": {"type": "object"}}},
                ),
                **dict(sorted(_messages(messages))),
            },
        },
    }


def _read() -> Schema:
    image = {"type": "string", "contentEncoding": "base64"}
    return {
        "operationId": "read",
        "summary": "Read an image.",
        "parameters": [
            {"name": name, "in": "query", "description": description, "schema": schema}
            for name, (description, schema) in PARAMETERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": _object({"image": {"contentMediaType": "application/octet-stream"}})
                },
                "image/*": {},
                "application/octet-stream": {},
                "application/json": {"schema": _object({"image": image})},
            },
        },
        "responses": _responses("Reading", "Error"),
    }


def _method(method: Any) -> Schema:  # noqa: ANN401 - protobuf has no name for a method's type
    schema = _reference(method.input_type.name)
    return {
        "operationId": method.name,
        "summary": f"{method.name} of the schema, over the Connect protocol.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}, "application/proto": {}},
        },
        "responses": _responses(method.output_type.name, "ConnectError"),
    }


def _health(summary: str) -> Schema:
    return {
        "summary": summary,
        "responses": {
            "200": _answer("It does.", _object({"status": TEXT})),
            "default": _answer("It does not.", _reference("Error")),
        },
    }


def _responses(good: str, bad: str) -> Schema:
    return {
        "200": _answer("The answer.", _reference(good)),
        "default": _answer("Why there is none.", _reference(bad)),
    }


def _answer(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": [*required],
        "additionalProperties": False,
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _names(enum: str, prefix: str) -> list[str]:
    """Return the constants of an enum as records have them."""
    values = pb.DESCRIPTOR.enum_types_by_name[enum].values
    return [each.name.removeprefix(prefix) for each in values]


def _reading() -> Schema:
    """Return the schema of `service.api.json_records.to_record`."""
    string = _object({"text": TEXT, "confidence": SHARE})
    ink = dict.fromkeys(("digits", "unexplained", "outside", "removed"), SHARE)
    boxes = {"type": "array", "items": EDGES}
    pair = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
    digit = {
        "label": TEXT,
        "confidence": SHARE,
        "extent": EDGES,
        "runners_up": {"type": "object", "additionalProperties": SHARE},
    }
    normalization = {
        "polarity": {"enum": _names("Polarity", "POLARITY_")},
        "scale": pair,
        "channel": {"enum": _names("Channel", "CHANNEL_")},
        "text_band": pair,
        "slant": NUMBER,
        "skew": NUMBER,
        "view": _object({"upright": NUMBER, "scale": NUMBER}),
        "ink": _object(
            {"seen": {"type": "boolean"}, "lines": COUNT, **ink, "unexplained_boxes": boxes}
        ),
    }
    outcome = {"enum": _names("ConstraintOutcome", "CONSTRAINT_OUTCOME_")}
    constraint = _object({"outcome": outcome, "allowed_probability": SHARE})
    reasons = {"enum": _names("ReviewReason", "REVIEW_REASON_")}
    return _object(
        {
            "source": TEXT,
            "page": {"type": "integer", "minimum": 1},
            "text": TEXT,
            "confidence": SHARE,
            "decision": {"enum": ["ACCEPT", "REVIEW", None]},
            "reasons": {"type": "array", "items": reasons},
            "exact": {"type": "boolean"},
            "readers": {
                "type": "array",
                "items": _object({"reader": TEXT, "text": TEXT, "confidence": SHARE}),
            },
            "alternatives": {"type": "array", "items": string},
            "constraint": {"oneOf": [constraint, {"type": "null"}]},
            "digits": {"type": "array", "items": _object(digit)},
            "normalization": _object(normalization),
        }
    )


def _messages(roots: list[Descriptor]) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas of messages, and of those that they have in them."""
    waiting, seen = list(roots), set()
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        yield message.name, _object({}, {each.json_name: _field(each) for each in message.fields})
        waiting += [each.message_type for each in message.fields if each.message_type is not None]


def _field(field: FieldDescriptor) -> Schema:
    if field.message_type is not None:
        schema = _reference(field.message_type.name)
    elif field.enum_type is not None:
        schema = {"enum": [each.name for each in field.enum_type.values]}
    else:
        schema = KINDS[field.type]
    return {"type": "array", "items": schema} if field.is_repeated else schema
