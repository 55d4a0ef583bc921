"""Request bodies: refused by their headers where that is possible, bounded where it is not."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooSlow, Overloaded, TooManyBytes, UnsupportedMediaType, quoted
from service.held_bytes import LARGE_BYTES, RETRY_SECONDS, HeldBytes, Hold
from service.http.policy import Policy

QUICK_SECONDS = 0.25  # a body that takes longer gives way to a new connection
ARRIVING_SHARE = 0.25  # of the bytes held, for bodies that are arriving


class BoundedBodies:
    """Middleware: a handler that reads its body gets at most so many bytes within so many seconds.

    Bodies count toward the bytes held from their first byte until they are answered. A large one
    is refused by its Content-Length if there is no room for it. Where they come nevertheless, past
    the bound, or a share of it that leaves room for other messages, the oldest that is arriving is
    refused. So whoever sends bodies that do not end holds up those that come after by no more than
    this.

    Compressed bodies are refused, as some kilobytes of one can stand for gigabytes.

    Args:
        app: whose handlers find the body's `Hold` in `request.state.hold`.
        policy: how large and slow a body may be.
        held: counts the bytes of bodies, and of all else that its owner lets count.
    """

    def __init__(self, app: ASGIApp, policy: Policy, held: HeldBytes) -> None:
        self.app, self.policy, self.held = app, policy, held
        self.limit = max(int(ARRIVING_SHARE * held.limit), policy.max_body_bytes)
        self.arriving = 0  # bytes that came of bodies that are not whole
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
        self._refuse(
            oldest,
            "connections are needed, and this body has been arriving for longest; retry in "
            f"{RETRY_SECONDS:g} s",
        )
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        now = asyncio.get_running_loop().time()
        body = _Body(now, self.policy.body_seconds, self.held.hold(0))
        scope.setdefault("state", {})["hold"] = body.hold
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
                self._end(body)
                if message["type"] == "http.request":
                    self._hold_whole(body)
            return message

        try:
            await self.app(scope, bounded, send)
        finally:
            self._end(body)
            body.hold.release()

    def _check_headers(self, headers: Headers) -> None:
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise UnsupportedMediaType(
                f"the content-encoding is {quoted(encoding)}; expected none: send images as they "
                "are, most formats are compressed already"
            )
        length = int(headers.get("content-length", 0))  # uvicorn refuses what is no number
        self._check(length)
        self._check_room(length, self.arriving)

    def _check(self, size: int) -> None:
        limit = self.policy.max_body_bytes
        if size > limit:
            raise TooManyBytes(
                f"the body has {size:,} bytes or more; at most {limit:,} are allowed", "body"
            )

    def _check_room(self, size: int, less: int) -> None:
        """Refuse a large body that has no room even once other bodies that arrive have given way.

        Args:
            size: of the body.
            less: bytes of it that came, and of those other bodies.
        """
        if size > LARGE_BYTES and not self.held.fits(self.policy.body_copies * size, less):
            raise self.held.overloaded()

    def _count(self, body: "_Body", size: int) -> None:
        """Count a part that came; refuse the oldest bodies that arrive while it is too much."""
        if body not in self._arriving:
            return
        body.size += size
        self.arriving += size
        body.hold.resize(body.size)
        self._check(body.size)
        while self.arriving > self.limit:
            self._refuse(
                next(each for each in self._arriving if each.size),
                f"{self.arriving:,} bytes of bodies are arriving, and this one began first; at "
                f"most {self.limit:,} are allowed; retry in {RETRY_SECONDS:g} s",
            )
        if self.held.past_large:
            large = [each for each in self._arriving if each.size > LARGE_BYTES]
            while large and not self.held.fits(large[-1].size, large[-1].size):
                self._refuse(large.pop(0), self.held.why)

    def _hold_whole(self, body: "_Body") -> None:
        """Count all copies of a body that has come; those that arrive give way if need be."""
        self._check_room(body.size, body.size + self.arriving)
        body.hold.resize(self.policy.body_copies * body.size)
        for oldest in [each for each in self._arriving if each.size]:
            if self.held.total <= self.held.limit:
                break
            self._refuse(oldest, self.held.why)

    def _refuse(self, body: "_Body", why: str) -> None:
        """Receive no more of a body; what came of it goes with its request."""
        self._end(body)
        body.hold.release()
        body.refuse(why)

    def _end(self, body: "_Body") -> None:
        """Count a body among those that arrive no longer."""
        if body in self._arriving:
            del self._arriving[body]
            self.arriving -= body.size


@dataclass(eq=False)
class _Body:
    """A request's body.

    Attributes:
        began: time of the event loop's clock at which it began to arrive.
        seconds: maximum for it to arrive.
        hold: counts it.
        size: bytes of it that came.
        refused: why no more of it is received; empty while it is.
    """

    began: float
    seconds: float
    hold: Hold
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
        raise Overloaded(self.refused, RETRY_SECONDS)

    def refuse(self, why: str) -> None:
        """Receive no more of it."""
        self.refused = why
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())
