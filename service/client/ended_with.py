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
        self.code = lambda: code
        self.details = lambda: details
        self.trailing_metadata = lambda: trailing_metadata


class EndedWith:
    """Keeps the first status of a call; construct it before anything of the call is awaited."""

    def __init__(self, call: grpc.aio.Call) -> None:
        self.status: Status | None = None
        call.add_done_callback(self._keep)

    def _keep(self, call: grpc.aio.Call) -> None:
        code, details, metadata = map(
            _result, (call.code(), call.details(), call.trailing_metadata())
        )
        if code is not None:
            self.status = Status(code, details, metadata)


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - as the coroutine's
    """Return the result of a coroutine that has nothing to wait for; None if it has."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None
