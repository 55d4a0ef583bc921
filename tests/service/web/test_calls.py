"""What a call over HTTP holds in memory."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

from starlette.requests import Request
from starlette.responses import Response

from service.held_bytes import HeldBytes
from service.web.calls import Calls
from tests.conftest import in_a_loop


@in_a_loop
async def test_whoever_answers_a_call_alone_holds_its_body():
    @contextmanager
    def observed(method, headers):
        yield SimpleNamespace(id="1", code="OK")

    parts = [b"x" * 100_000, b"y" * 100_000]

    async def receive():
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def work(call, media_type, body):
        assert (body[:1], body[-1:], len(body)) == (b"x", b"y", 200_000)
        assert sys.getrefcount(body) <= 3  # here, where it is counted, and on the caller's stack
        return Response(b"its size is what counts now")

    backend = SimpleNamespace(observer=SimpleNamespace(call=observed), tokens=None, overload=None)
    headers = [(b"content-type", b"image/png")]
    state = {"hold": HeldBytes(10**6).hold(200_000)}
    scope = {"type": "http", "method": "POST", "headers": headers, "state": state}
    request = Request(scope, receive)
    answer = await Calls(backend).serve(request, "read", ("image/*",), work, None)
    assert answer.status_code == 200
    assert state["hold"].size == len(answer.body)
