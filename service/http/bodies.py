"""Request bodies: refused by their headers where that is possible, bounded where it is not."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooSlow, Overloaded, TooManyBytes, UnsupportedMediaType, quoted
from service.http.policy import Policy

QUICK_SECONDS = 0.25  # a body that takes longer gives way to a new connection
RETRY_SECONDS = 1.0  # that a refused caller is asked to wait


class BoundedBodies:
    """Middleware: a handler that reads its body gets at most so many bytes within so many seconds.

    All bodies that are arriving are bounded together, too: past the policy's `arriving_bytes`, the
    oldest of them is refused. So whoever sends bodies that do not end holds up those that come
    after by no more than this.

    Compressed bodies are refused, as some kilobytes of one can stand for gigabytes.
    """

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app, self.policy = app, policy
        self.limit = max(policy.arriving_bytes, policy.max_body_bytes)
        self.held = 0
        self._arriving: dict[_Body, None] = {}  # in the order in which they began

    def refuse_oldest(self) -> bool:
        """Refuse the body that has been arriving for longest, if that is no quick one.

        Returns:
            Whether there was one.
        """
        oldest = next(iter(self._arriving), None)
        now = asyncio.get_running_loop().time()
        if oldest is None or now - oldest.began < QUICK_SECONDS:
            return False
        self._refuse(oldest, "connections are needed, and this body has been arriving for longest")
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        body = _Body(asyncio.get_running_loop().time(), self.policy.body_seconds)
        more = True

        async def bounded() -> Message:
            nonlocal more
            if not body.size:
                self._check_headers(Headers(scope=scope))
            if not more:  # what is waited for now is the caller's leaving
                return await receive()
            if not body.refused:
                self._arriving.setdefault(body)
            message = await body.next(receive)
            self._count(body, len(message.get("body", b"")))
            if not (more := message.get("more_body", False)):
                self._forget(body)
            return message

        try:
            await self.app(scope, bounded, send)
        finally:
            self._forget(body)

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
                f"the body has {size:,} bytes or more; at most {limit:,} are allowed", "body"
            )

    def _count(self, body: "_Body", size: int) -> None:
        body.size += size
        self._check(body.size)
        if body in self._arriving:
            self.held += size
        while self.held > self.limit:
            oldest = next(each for each in self._arriving if each.size)
            self._refuse(
                oldest,
                f"{self.held:,} bytes of bodies are arriving, and this one began first; at most "
                f"{self.limit:,} are allowed",
            )

    def _refuse(self, body: "_Body", why: str) -> None:
        self._forget(body)
        body.refuse(why)

    def _forget(self, body: "_Body") -> None:
        if body in self._arriving:
            del self._arriving[body]
            self.held -= body.size


@dataclass(eq=False)
class _Body:
    """A request's body.

    Attributes:
        began: time of the event loop's clock at which it began to arrive.
        seconds: maximum for it to arrive.
        size: bytes of it that came.
        refused: why no more of it is received; empty while it is.
    """

    began: float
    seconds: float
    size: int = 0
    refused: str = ""
    _timeout: asyncio.Timeout | None = None  # of the part that is waited for

    async def next(self, receive: Receive) -> Message:
        """Receive a part.

        Raises:
            BodyTooSlow: the body took too long.
            Overloaded: it was refused.
        """
        try:
            async with asyncio.timeout_at(self.began + self.seconds) as self._timeout:
                if not self.refused:
                    return await receive()
        except TimeoutError:
            if not self.refused:
                raise BodyTooSlow(
                    f"the body was not complete after {self.seconds:g} s; {self.size:,} bytes of "
                    "it came"
                ) from None
        finally:
            self._timeout = None
        raise Overloaded(f"{self.refused}; retry in {RETRY_SECONDS:g} s", RETRY_SECONDS)

    def refuse(self, why: str) -> None:
        """Receive no more of it."""
        self.refused = why
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())
