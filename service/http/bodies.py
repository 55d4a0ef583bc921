"""Request bodies: refused by their headers where that is possible, bounded where it is not."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooSlow, TooManyBytes, UnsupportedMediaType, quoted
from service.http.policy import Policy


class BoundedBodies:
    """Middleware: a handler that reads its body gets at most so many bytes within so many seconds.

    Compressed bodies are refused, as some kilobytes of one can stand for gigabytes.
    """

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app, self.policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        received = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.policy.body_seconds
        more = True

        async def bounded() -> Message:
            nonlocal received, more
            if not received:
                self._check_headers(Headers(scope=scope))
            if not more:  # what is waited for now is the caller's leaving
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise BodyTooSlow(
                    f"the body was not complete after {self.policy.body_seconds:g} s; "
                    f"{received:,} bytes of it came"
                ) from None
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            self._check(received)
            return message

        await self.app(scope, bounded, send)

    def _check_headers(self, headers: Headers) -> None:
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise UnsupportedMediaType(
                f"the content-encoding is {quoted(encoding)}; expected none: send images as they "
                "are, most formats are compressed already"
            )
        self._check(int(headers.get("content-length", 0)))  # uvicorn refuses what is no number

    def _check(self, size: int) -> None:
        limit = self.policy.max_body_bytes
        if size > limit:
            raise TooManyBytes(
                f"the body has {size:,} bytes or more; at most {limit:,} are allowed"
            )
