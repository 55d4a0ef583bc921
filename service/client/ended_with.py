"""The status that a server ended a call of grpc.aio with.

A message that meets a call which has just ended makes grpc.aio replace the call's status by an
internal error, and raise that (grpc issue 36066). The call's done-callback runs before, while the
server's own status stands.
"""

from collections.abc import Coroutine
from typing import Any

import grpc


class Status(grpc.RpcError):  # type: ignore[misc]  # gRPC has no types
    """A call's status, in the form in which gRPC raises one."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing_metadata: Any) -> None:  # noqa: ANN401 - gRPC has no types
        super().__init__(f"{code.name}: {details}")
        self._code, self._details, self._trailing_metadata = code, details, trailing_metadata

    def code(self) -> grpc.StatusCode:
        """Return the status code."""
        return self._code

    def details(self) -> str:
        """Return the message."""
        return self._details

    def trailing_metadata(self) -> Any:  # noqa: ANN401 - gRPC has no types
        """Return what came with the status."""
        return self._trailing_metadata


class EndedWith:
    """Keeps the first status of a call; construct it before anything of the call is awaited."""

    def __init__(self, call: grpc.aio.Call) -> None:
        self._status: Status | None = None
        call.add_done_callback(self._keep)

    def failure(self, raised: grpc.RpcError) -> grpc.RpcError | None:
        """Return the failure behind what the call raised; None if the server ended it well."""
        if self._status is None:
            return raised
        return None if self._status.code() is grpc.StatusCode.OK else self._status

    def _keep(self, call: grpc.aio.Call) -> None:
        code, details, metadata = map(
            _result, (call.code(), call.details(), call.trailing_metadata())
        )
        if code is not None:
            self._status = Status(code, details, metadata)


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - as the coroutine's
    """Return the result of a coroutine that has nothing to wait for; None if it has."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None
