"""Authentication: bearer tokens from a file, several at once, so that they can be rotated.

RFC 6750, section 2.1: `authorization: Bearer TOKEN`, here as gRPC metadata.
"""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from service.errors import SettingsError, Unauthenticated
from service.file_watcher import Watched, read_regular
from service.server.refusal import Refused, method_name, refuse

HEALTH = "/grpc.health.v1.Health/"
SHORTEST = 16  # characters of a token; shorter ones can be guessed

logger = logging.getLogger(__name__)


class Tokens:
    """The valid tokens: those of a file, one a line; # begins a comment.

    The file is reloaded when it changes. If it cannot be read then, or has no tokens, the old ones
    stay valid, and the log says so.

    Raises:
        SettingsError: the file cannot be read at first, or has a token that is too short, or none.
    """

    def __init__(self, file: Path) -> None:
        self._file = Watched([file], lambda: read_tokens(file))

    def allow(self, authorization: str) -> bool:
        """Return whether a header carries a valid token, in constant time."""
        scheme, _, token = authorization.partition(" ")
        digest = hashlib.sha256(token.strip().encode()).digest()
        known = [hmac.compare_digest(digest, each) for each in self._file.value]
        return any(known) and scheme.lower() == "bearer"


def read_tokens(file: Path) -> tuple[bytes, ...]:
    """Return the SHA-256 of every token in a file.

    Raises:
        SettingsError: it cannot be read, or has a token that is too short, or none.
    """
    try:
        lines = read_regular(file).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the tokens in {file}: {error}") from error
    tokens = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not tokens:
        raise SettingsError(f"there are no tokens in {file}; expected one a line")
    if short := sum(len(token) < SHORTEST for token in tokens):
        raise SettingsError(
            f"{short} of the tokens in {file} have fewer than {SHORTEST} characters"
        )
    return tuple(hashlib.sha256(token.encode()).digest() for token in tokens)


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
        if isinstance(sent, str) and self.tokens.allow(sent):
            return await continuation(details)
        error = Unauthenticated(
            "the token is not valid"
            if sent
            else "the call carries no token; expected metadata 'authorization: Bearer TOKEN'"
        )
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
