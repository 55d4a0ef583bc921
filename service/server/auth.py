"""Authentication: the bearer token of a call, as gRPC metadata."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from service.errors import Unauthenticated
from service.server.refusal import Refused, method_name, refuse
from service.tokens import Tokens

HEALTH = "/grpc.health.v1.Health/"


class Authenticator(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Refuses calls without a valid token on their metadata alone, before a message is received.

    Args:
        tokens: the valid ones.
        health_open: whether health checks need no token.
        refused: called with the method of each call that is refused, the code and the reason.
    """

    def __init__(self, tokens: Tokens, health_open: bool, refused: Refused) -> None:
        self.tokens = tokens
        self.health_open = health_open
        self.refused = refused

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Admit a call, or refuse it."""
        if self.health_open and details.method.startswith(HEALTH):
            return await continuation(details)
        sent = dict(details.invocation_metadata or ()).get("authorization")
        error = self.tokens.refusal(sent if isinstance(sent, str) else None)
        if error is None:
            return await continuation(details)
        handler = await continuation(details)
        # A method that is not served may have any name, and each would be counted for ever.
        self.refused(method_name(details) if handler else "unknown", error.code, error.reason)
        return _refusal(error)


def _refusal(error: Unauthenticated) -> Any:  # noqa: ANN401 - grpc ships no types
    """Return a handler that refuses without reading.

    Its requests are a stream, of which gRPC receives none that the handler does not read, whatever
    the method's own shape is.
    """

    async def serve(_: object, context: grpc.aio.ServicerContext) -> None:
        refuse(context, error)

    return grpc.stream_unary_rpc_method_handler(serve)
