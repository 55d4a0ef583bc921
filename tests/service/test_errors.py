import grpc
import pytest
from google.rpc import code_pb2

from service.client import input_error
from service.errors import DigitstripError, InputError
from service.statuses import to_status


def tree(kind):
    return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]


ERRORS = [kind for kind in tree(DigitstripError) if kind.__module__ == "service.errors"]


def test_every_reason_is_one_word_of_its_own():
    reasons = [kind.reason for kind in ERRORS]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.replace("_", "").isalpha() and reason.isupper() for reason in reasons)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_a_grpc_code(kind):
    assert kind.code in grpc.StatusCode.__members__
    assert to_status(kind("why")).code == code_pb2.Code.Value(kind.code)


@pytest.mark.parametrize("kind", tree(InputError))
def test_every_input_error_survives_the_way_to_the_client(kind):
    error = input_error(kind.reason, "why", "image.encoded")
    assert type(error) is kind
    assert (str(error), error.field) == ("why", "image.encoded")
