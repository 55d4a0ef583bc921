import logging

import pytest

from service.http.app import FAILED
from tests.conftest import in_a_loop
from tests.support.http1 import ask

PAGE = "https://page.example"


@in_a_loop
async def test_every_answer_has_security_headers(serving):
    async with serving() as server:
        for path in ("/", "/refused", "/nothing", "/fails"):
            answer = await ask(server.port, path=path)
            assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "server" not in answer.headers
        answer = await ask(server.port, Host="elsewhere.example")
        assert "content-security-policy" in answer.headers


@in_a_loop
async def test_errors_are_answered_in_one_shape(serving):
    async with serving() as server:
        answer = await ask(server.port, path="/refused")
        assert answer.status == 400
        assert answer.error == {
            "reason": "BAD_CONSTRAINT",
            "message": "the length is 0; expected 1 or more",
            "field": "constraint.length",
        }
        answer = await ask(server.port, path="/full")
        assert (answer.status, answer.headers["retry-after"]) == (429, "3")
        assert answer.error == {"reason": "OVERLOADED", "message": "no room"}
        answer = await ask(server.port, path="/nothing")
        assert answer.status == 404
        assert answer.error["message"] == "there is nothing at '/nothing'"
        answer = await ask(server.port, "PUT", "/echo")
        assert answer.status == 405
        assert answer.error["message"] == "the method is PUT; expected POST"


@in_a_loop
async def test_a_bug_is_logged_and_not_told(serving, caplog):
    async with serving() as server:
        with caplog.at_level(logging.ERROR, "service"):
            answer = await ask(server.port, path="/fails")
        assert (answer.status, answer.error["message"]) == (500, FAILED)
        assert "a secret" in caplog.text
        assert (await ask(server.port)).status == 200


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "192.168.1.5", "my.example"],
)
@in_a_loop
async def test_a_host_that_names_the_server_is_served(serving, host):
    async with serving(hosts=("my.example",)) as server:
        assert (await ask(server.port, Host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost:evil", "[::1", "::1]x", ""]
)
@in_a_loop
async def test_another_host_is_refused(serving, host):
    async with serving(hosts=("my.example",)) as server:
        answer = await ask(server.port, Host=host)
        assert (answer.status, answer.error["reason"]) == (421, "WRONG_HOST")
        assert repr(host) in answer.error["message"]
        assert answer.error["message"].endswith("expected localhost, an IP address or my.example")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9", ""])
@in_a_loop
async def test_a_page_from_elsewhere_is_refused(serving, origin):
    async with serving() as server:
        answer = await ask(server.port, "POST", "/echo", b"x", Origin=origin)
        assert (answer.status, answer.error["reason"]) == (403, "WRONG_ORIGIN")
        assert "access-control-allow-origin" not in answer.headers
        assert (
            await ask(server.port, "POST", "/echo", b"x", Origin="http://127.0.0.1")
        ).status == 200


@in_a_loop
async def test_a_listed_page_may_call_and_read_errors(serving):
    async with serving(origins=(PAGE,)) as server:
        asked = await ask(
            server.port, "OPTIONS", "/echo", Origin=PAGE, Access_Control_Request_Method="POST"
        )
        assert asked.status == 200
        assert asked.headers["access-control-allow-origin"] == PAGE
        for path in ("/", "/refused", "/nothing"):
            answer = await ask(server.port, path=path, Origin=PAGE)
            assert answer.headers["access-control-allow-origin"] == PAGE
        assert (await ask(server.port, Origin="https://other.example")).status == 403
