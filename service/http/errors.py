"""Errors as HTTP answers, all of one shape: `{"error": {"reason", "message", "field"}}`."""

import math

from starlette.responses import JSONResponse

from service.errors import DigitstripError, InputError, Overloaded

STATUS_OF_CODE = {  # of gRPC's codes; the Connect protocol has the same
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
STATUS_OF_REASON = {  # where HTTP has a status of its own
    "WRONG_HOST": 421,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TOO_SLOW": 408,
    "TOO_MANY_BYTES": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
}


def error_response(error: DigitstripError) -> JSONResponse:
    """Return the answer to a request that fails with an error."""
    what = {"reason": error.reason, "message": str(error)}
    if isinstance(error, InputError) and error.field:
        what["field"] = error.field
    return JSONResponse({"error": what}, status_of(error), headers_of(error))


def status_of(error: DigitstripError) -> int:
    """Return the HTTP status of an error."""
    return STATUS_OF_REASON.get(error.reason) or STATUS_OF_CODE.get(error.code, 500)


def headers_of(error: DigitstripError) -> dict[str, str]:
    """Return the headers that an error's answer has."""
    if isinstance(error, Overloaded):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    if error.code == "UNAUTHENTICATED":
        return {"WWW-Authenticate": "Bearer"}
    return {}
