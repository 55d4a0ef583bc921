"""How a call is refused: by its status, without an exception that outlives it."""

from collections.abc import Callable

import grpc
from grpc_status import rpc_status

from service.api.status import to_status
from service.errors import DigitstripError

Refused = Callable[[str, str, str], None]  # called with the method's name, a code and a reason


def method_name(details: grpc.HandlerCallDetails) -> str:
    """Return a method's name without its service's, as metrics and logs have it."""
    name: str = details.method.rpartition("/")[2]
    return name


def refuse(
    context: grpc.aio.ServicerContext, error: DigitstripError, *metadata: tuple[str, str]
) -> None:
    """Have a call end with an error and its details as soon as its handler returns.

    `context.abort` would store the exception that it raises in the call, whose traceback holds the
    handler's frames, which hold the call: a cycle that keeps the request until garbage is
    collected.

    Args:
        context: of the call.
        error: that it ends with.
        metadata: sent after the details.
    """
    status = rpc_status.to_status(to_status(error))
    context.set_code(status.code)
    context.set_details(status.details)
    context.set_trailing_metadata((*status.trailing_metadata, *metadata))
