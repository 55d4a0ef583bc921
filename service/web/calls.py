"""Calls over HTTP: admitted, received, observed and ended as those over gRPC are."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.errors import (
    BadOption,
    DigitstripError,
    Overloaded,
    TimedOut,
    UnsupportedMediaType,
    quoted,
)
from service.serving.backend import Backend
from service.serving.observability.call import NOT_RECEIVED, NOT_RECEIVED_CODE, REQUEST_ID, Call
from service.serving.observability.tracing import STAGES
from service.workers.admission_queue import Answer
from service.workers.framing import Work

TIMEOUT = "connect-timeout-ms"  # the header of the Connect protocol
MAX_TIMEOUT_DIGITS = 10  # as the protocol has it

Respond = Callable[[Call, str, bytes], Awaitable[Response]]
Failed = Callable[[DigitstripError], Response]


class Calls:
    """Serves the calls of all paths.

    Args:
        backend: recognizes, and observes.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def serve(
        self,
        request: Request,
        method: str,
        media_types: Sequence[str],
        work: Respond,
        failed: Failed,
    ) -> Response:
        """Answer a call.

        Args:
            request: that it is.
            method: its name in logs and metrics.
            media_types: that its body may be of; `image/*` is all of them, an empty one is none.
            work: answers it, given the media type and the body, which it alone holds.
            failed: answers with an error.
        """
        observer = self.backend.observer
        try:
            self._admit(request.headers)
            media_type = media_type_of(request.headers, media_types)
            # Not `request.body()`, which the request would keep.
            body = [b"".join([part async for part in request.stream()])]
        except Overloaded as error:
            observer.shed(method, error)
            return failed(error.with_traceback(None))
        except ClientDisconnect:
            observer.refused(method, NOT_RECEIVED_CODE, NOT_RECEIVED)
            raise
        except DigitstripError as error:
            observer.refused(method, error.code, error.reason)
            return failed(error.with_traceback(None))
        with observer.call(method, request.headers) as call:
            try:
                response = await work(call, media_type, body.pop())
            except DigitstripError as error:
                call.code = error.code
                response = failed(error.with_traceback(None))
        request.state.hold.resize(len(response.body))
        response.headers[REQUEST_ID] = call.id
        return response

    async def recognize(
        self, request: Request, call: Call, message: bytes, work: Work = Work.RECOGNIZE
    ) -> Answer:
        """Return the answer to a serialized request, unless the caller leaves before.

        The caller holds nothing else of the body by now.

        Raises:
            DigitstripError: there is none.
        """
        seconds = timeout_of(request.headers)
        request.state.hold.resize(len(message))
        working = asyncio.create_task(self.backend.recognize(call, message, seconds, work=work))
        leaving = asyncio.create_task(_left(request))
        try:
            await asyncio.wait(
                {working, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                answer = working.result()
                if isinstance(answer, DigitstripError):
                    raise answer
                return answer
            if leaving.done():
                raise ClientDisconnect
            raise TimedOut(f"there was no answer within {seconds:g} s")
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    def _admit(self, headers: Headers) -> None:
        """Check what can be checked before a body is received.

        Raises:
            Unauthenticated, Overloaded: the call is refused.
        """
        tokens = self.backend.tokens
        if tokens is not None and (refusal := tokens.refusal(headers.get("authorization"))):
            raise refusal
        if overload := self.backend.overload:
            raise overload


def timeout_of(headers: Headers) -> float | None:
    """Return the seconds that a caller waits at most, or None.

    Raises:
        BadOption: the header is no number of milliseconds.
    """
    if (text := headers.get(TIMEOUT)) is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_TIMEOUT_DIGITS):
        raise BadOption(
            f"{TIMEOUT} is {quoted(text)}; expected milliseconds, of up to {MAX_TIMEOUT_DIGITS} "
            "digits",
            TIMEOUT,
        )
    return int(text) / 1e3


def media_type_of(headers: Headers, allowed: Sequence[str]) -> str:
    """Return the media type of a body, without parameters.

    Raises:
        UnsupportedMediaType: it is not allowed.
    """
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in allowed or f"{media_type.partition('/')[0]}/*" in allowed:
        return media_type
    raise UnsupportedMediaType(
        f"the content-type is {quoted(content_type)}; expected "
        + " or ".join(each for each in allowed if each)
    )


def server_timing(answer: Answer) -> dict[str, str]:
    """Return the header that says how long each stage took, in milliseconds (W3C Server Timing)."""
    took = [f"{stage};dur={1e3 * answer.seconds[stage]:.2f}" for stage in STAGES]
    return {"Server-Timing": ", ".join(took)}


async def _left(request: Request) -> None:
    """Return once the caller has left; the body is read to its end already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
