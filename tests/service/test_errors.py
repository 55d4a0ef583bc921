from dataclasses import dataclass

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from service.api.status import (
    from_rpc_error,
    from_status,
    from_stream_error,
    to_status,
    to_stream_error,
)
from service.errors import (
    DigitstripError,
    InputError,
    Overloaded,
    ServerError,
    ServerUnavailable,
    TimedOut,
    Unauthenticated,
)

CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def tree(kind):
    return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]


ERRORS = [kind for kind in tree(DigitstripError) if kind.__module__ == "service.errors"]


@dataclass
class FailedCall(grpc.RpcError):
    """What a stub raises, as `from_rpc_error` looks at it."""

    status: grpc.StatusCode
    message: str | None
    metadata: tuple = ()

    def code(self):
        return self.status

    def details(self):
        return self.message

    def trailing_metadata(self):
        return self.metadata


def failed(status):
    call = rpc_status.to_status(status)
    return FailedCall(call.code, call.details, call.trailing_metadata)


def boxed(*details):
    boxes = []
    for detail in details:
        box = any_pb2.Any()
        box.Pack(detail)
        boxes.append(box)
    return boxes


def test_every_reason_is_one_word_of_its_own():
    reasons = [kind.reason for kind in ERRORS]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.replace("_", "").isalpha() and reason.isupper() for reason in reasons)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_a_grpc_code(kind):
    assert kind.code in grpc.StatusCode.__members__
    assert to_status(kind("why")).code == code_pb2.Code.Value(kind.code)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_survives_the_way_to_the_client(kind):
    error = from_rpc_error(failed(to_status(kind("why"))))
    if kind is DigitstripError:  # of no reason: to a client, the server failed
        assert (type(error), error.reason) == (ServerError, "INTERNAL")
        assert str(error) == "INTERNAL: why"
    else:
        assert (type(error), error.reason, str(error)) == (kind, kind.reason, "why")


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_survives_the_way_through_a_stream(kind):
    sent = kind("why")
    error = from_stream_error(to_stream_error(sent))
    assert type(error) is (ServerError if kind is DigitstripError else kind)
    for fact in ("field", "retry_after"):
        assert getattr(error, fact, None) == getattr(sent, fact, None)


def test_an_input_error_names_its_field():
    error = from_rpc_error(failed(to_status(InputError("why", "image.page"))))
    assert (str(error), error.field) == ("why", "image.page")


def test_an_overloaded_server_says_when_to_ask_again():
    full, code = Overloaded("full", 2.5), code_pb2.RESOURCE_EXHAUSTED
    for error in (
        from_rpc_error(failed(to_status(full))),
        from_stream_error(to_stream_error(full)),
    ):
        assert (type(error), error.retry_after) == (Overloaded, 2.5)
    _, retry = to_status(full).details
    of_a_proxy = status_pb2.Status(code=code, message="full", details=[retry])
    assert type(from_status(of_a_proxy)) is Overloaded
    error = from_status(status_pb2.Status(code=code, message="too large"))
    assert type(error) is ServerError  # a message too large, say: asking again is of no use


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_code_without_details_still_gives_an_error_of_ours(code):
    error = from_rpc_error(FailedCall(code, "why"))
    kinds = {
        "UNAVAILABLE": ServerUnavailable,
        "CANCELLED": ServerUnavailable,
        "DEADLINE_EXCEEDED": TimedOut,
        "UNAUTHENTICATED": Unauthenticated,
    }
    assert type(error) is kinds.get(code.name, ServerError)
    assert str(error) == f"{code.name}: why"


def test_details_that_contradict_the_status_do_not_hide_it():
    status = to_status(InputError("why"))
    metadata = rpc_status.to_status(status).trailing_metadata
    error = from_rpc_error(FailedCall(grpc.StatusCode.UNAVAILABLE, "a proxy's word", metadata))
    assert type(error) is ServerUnavailable
    assert str(error) == "UNAVAILABLE: a proxy's word"


@given(st.binary(max_size=200))
def test_details_that_are_none_do_not_hide_the_status(noise):
    metadata = (("grpc-status-details-bin", noise),)
    error = from_rpc_error(FailedCall(grpc.StatusCode.UNAVAILABLE, "why", metadata))
    assert isinstance(error, DigitstripError)


def test_a_detail_that_is_damaged_does_not_hide_the_others():
    good = error_details_pb2.ErrorInfo(reason="SERVER_STOPPING", domain="digitstrip")
    (bad,) = boxed(error_details_pb2.ErrorInfo(reason="ODD", domain="digitstrip"))
    bad.value = b"\xff"
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, details=[bad, *boxed(good)])
    assert from_status(status).reason == "SERVER_STOPPING"


def test_a_reason_of_another_domain_is_not_ours():
    info = error_details_pb2.ErrorInfo(reason="OVERLOADED", domain="example.org")
    error = from_status(status_pb2.Status(code=code_pb2.UNAVAILABLE, details=boxed(info)))
    assert (type(error), error.reason) == (ServerUnavailable, "SERVER_UNAVAILABLE")


def test_a_reason_that_only_a_newer_server_knows_stays_on_the_error():
    info = error_details_pb2.ErrorInfo(reason="NEW_REASON", domain="digitstrip")
    violation = error_details_pb2.BadRequest.FieldViolation(field="image", description="why")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    code = code_pb2.INVALID_ARGUMENT
    error = from_status(status_pb2.Status(code=code, message="why", details=boxed(info, bad)))
    assert (type(error), error.reason) == (InputError, "NEW_REASON")
    error = from_status(status_pb2.Status(code=code, message="why", details=boxed(info)))
    assert (type(error), error.reason) == (ServerError, "NEW_REASON")
