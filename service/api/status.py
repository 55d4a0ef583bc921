"""Errors -> google.rpc statuses, and answers of a stream."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from service.errors import DOMAIN, DigitstripError, InputError, Overloaded
from service.pb import recognizer_pb2 as pb


def to_status(error: DigitstripError) -> status_pb2.Status:
    """Return an error as google.rpc.Status, with the details that belong to it."""
    packed = []
    for detail in _details(error):
        box = any_pb2.Any()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=str(error), details=packed
    )


def to_answer(error: DigitstripError) -> pb.Error:
    """Return an error as the answer to one image of a stream."""
    return pb.Error(
        code=code_pb2.Code.Value(error.code),
        reason=error.reason,
        message=str(error),
        field=error.field if isinstance(error, InputError) else "",
        retry_after=_delay(error) if isinstance(error, Overloaded) else None,
    )


def _delay(error: Overloaded) -> duration_pb2.Duration:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(1e9 * error.retry_after))
    return delay


def _details(error: DigitstripError) -> Iterator[Any]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if isinstance(error, InputError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=str(error)
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if isinstance(error, Overloaded):
        yield error_details_pb2.RetryInfo(retry_delay=_delay(error))
