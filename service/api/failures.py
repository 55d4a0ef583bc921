"""What servers answer in place of a reading -> the error tree, as the service raised it."""

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
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

BY_CODE: dict[str, type[ServerError]] = {  # what no reason of ours explains
    "UNAVAILABLE": ServerUnavailable,
    "CANCELLED": ServerUnavailable,  # nobody here cancels: a server that stops sends it at times
    "DEADLINE_EXCEEDED": TimedOut,
    "UNAUTHENTICATED": Unauthenticated,
}

# What grpc.aio says in place of the server's status when a message meets a call that has just
# ended (grpc/grpc issue 36066). No server says it.
LOST_STATUS = "Internal error from Core"
CLOSED = "Channel closed!"  # what a channel says that was closed on this side


def to_error(error: grpc.RpcError) -> DigitstripError:
    """Return a failed call's error as the class that the service raised."""
    if error.code() is grpc.StatusCode.CANCELLED and error.details() == CLOSED:
        return ServerError("the client was closed while it waited for an answer")
    if error.code() is grpc.StatusCode.INTERNAL and error.details() == LOST_STATUS:
        return ServerUnavailable("the server ended the call while an image was being sent")
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):  # details that contradict the status, or are none
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
                retry_after = to_seconds(retry.retry_delay)
        except DecodeError:  # the code and the message still say enough
            continue
    code = code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else "UNKNOWN"
    return rebuilt(code, reason, status.message, field, retry_after)


def from_answer(error: pb.Error) -> DigitstripError:
    """Return the error of one image of a stream."""
    code = code_pb2.Code.Name(error.code) if error.code in code_pb2.Code.values() else "UNKNOWN"
    retry_after = to_seconds(error.retry_after) if error.HasField("retry_after") else None
    return rebuilt(code, error.reason, error.message, error.field, retry_after)


def to_seconds(duration: Duration) -> float:
    """Return a duration in seconds, whatever nonsense it holds."""
    return float(duration.seconds) + float(duration.nanos) / 1e9


def rebuilt(
    code: str, reason: str, message: str, field: str, retry_after: float | None
) -> DigitstripError:
    """Return the error of a reason; one that only a newer server knows stays on the error.

    Args:
        code: the name of the gRPC status code.
        reason: of our domain, or empty.
        message: a sentence.
        field: that is at fault, or empty.
        retry_after: seconds, if the server told them.
    """
    error = of_reason(reason, message, field or "image")
    if type(error) is DigitstripError:  # a reason that is not known here, or none of ours
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
