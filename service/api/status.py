"""The error tree as google.rpc statuses and as errors within a stream, in both directions."""

from collections.abc import Iterator

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.errors import (
    DOMAIN,
    DigitstripError,
    InputError,
    Overloaded,
    ServerError,
    ServerUnavailable,
    TimedOut,
    Unauthenticated,
    of_reason,
)
from service.pb import recognizer_pb2 as pb

BY_CODE: dict[str, type[ServerError]] = {  # where no reason of our domain says more
    "UNAVAILABLE": ServerUnavailable,
    "CANCELLED": ServerUnavailable,  # no client cancels; a server that stops sometimes sends it
    "DEADLINE_EXCEEDED": TimedOut,
    "UNAUTHENTICATED": Unauthenticated,
}

# The status that grpc.aio reports in place of the server's when a message meets a call that has
# just ended (grpc/grpc issue 36066). No server sends it.
LOST_STATUS = "Internal error from Core"
CLOSED = "Channel closed!"  # the status of a call whose channel was closed on this side


def to_status(error: DigitstripError) -> status_pb2.Status:
    """Return an error as google.rpc.Status with its details."""
    packed = []
    for detail in _details(error):
        box = any_pb2.Any()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=str(error), details=packed
    )


def to_stream_error(error: DigitstripError) -> pb.Error:
    """Return an error as the outcome of one image of a stream."""
    return pb.Error(
        code=code_pb2.Code.Value(error.code),
        reason=error.reason,
        message=str(error),
        field=error.field if isinstance(error, InputError) else "",
        retry_after=_duration(error.retry_after) if isinstance(error, Overloaded) else None,
    )


def from_rpc_error(error: grpc.RpcError) -> DigitstripError:
    """Return the error that a failed call stands for, in the class that the service raised."""
    if error.code() is grpc.StatusCode.CANCELLED and error.details() == CLOSED:
        return ServerError("the client was closed while it waited for a response")
    if error.code() is grpc.StatusCode.INTERNAL and error.details() == LOST_STATUS:
        return ServerUnavailable("the server ended the call while an image was being sent")
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):  # details that contradict the status or cannot be parsed
        status = None
    if status is None:
        status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    return from_status(status)


def from_status(status: status_pb2.Status) -> DigitstripError:
    """Return the error that a status with its details stands for."""
    reason = field = ""
    retry_after = None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        try:
            if detail.Unpack(info) and info.domain == DOMAIN:
                reason = info.reason
            elif detail.Unpack(bad) and bad.field_violations:
                field = bad.field_violations[0].field
            elif detail.Unpack(retry):
                retry_after = _seconds(retry.retry_delay)
        except DecodeError:  # the code and the message still say enough
            continue
    return _rebuild(_code_name(status.code), reason, status.message, field, retry_after)


def from_stream_error(error: pb.Error) -> DigitstripError:
    """Return the error of one image of a stream."""
    retry_after = _seconds(error.retry_after) if error.HasField("retry_after") else None
    return _rebuild(_code_name(error.code), error.reason, error.message, error.field, retry_after)


def _rebuild(
    code: str, reason: str, message: str, field: str, retry_after: float | None
) -> DigitstripError:
    """Return the error of a reason; a reason that only a newer server knows stays on the error.

    Args:
        code: the name of the gRPC status code.
        reason: one of our domain, or empty.
        message: a sentence.
        field: the invalid field, or empty.
        retry_after: seconds, if the server sent them.
    """
    error = of_reason(reason, message, field)
    if type(error) is DigitstripError:  # a reason that is unknown here or of another domain
        if field:
            error = InputError(message, field)
        elif code == "RESOURCE_EXHAUSTED" and retry_after is not None:
            error = Overloaded(message)
        else:
            error = BY_CODE.get(code, ServerError)(f"{code}: {message}")
        error.reason = reason or error.reason
    if isinstance(error, Overloaded) and retry_after is not None:
        error.retry_after = retry_after
    return error


def _details(error: DigitstripError) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if isinstance(error, InputError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=str(error)
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if isinstance(error, Overloaded):
        yield error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after))


def _code_name(code: int) -> str:
    return code_pb2.Code.Name(code) if code in code_pb2.Code.values() else "UNKNOWN"


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(1e9 * seconds))
    return duration


def _seconds(duration: Duration) -> float:
    """Return a duration in seconds; a server may send one that is not normalized."""
    return float(duration.seconds) + float(duration.nanos) / 1e9
