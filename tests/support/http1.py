"""HTTP/1.1 as bytes: what a library would not send, and what it would hide."""

import asyncio
import http.client
import json
import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        """What the body is in JSON."""
        return json.loads(self.body)

    @property
    def error(self):
        """The error that the body is."""
        return self.json["error"]


def request(method="GET", path="/", body=b"", **headers):
    """A request; a header's name has _ for -, and None leaves one out."""
    sent = {"Host": "127.0.0.1", "Content_Length": len(body) if body else None} | headers
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [
        f"{key.replace('_', '-')}: {value}" for key, value in sent.items() if value is not None
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def reply(reader, method="GET"):
    """Read one answer; None if the connection ended before one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    size = 0 if method == "HEAD" else int(headers.get("content-length", 0))
    return Reply(int(line.split()[1]), headers, await reader.readexactly(size))


async def ask(port, method="GET", path="/", body=b"", **headers):
    """Send one request over a connection of its own, and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(method, path, body, **headers))
        return await reply(reader, method)
    finally:
        writer.close()


async def ended(reader, seconds=10):
    """Whether the other side ends a connection within some seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read() == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def call(base, path, body=None, method=None, tls=None, **headers):
    """Send one request to a server by its URL, outside a loop, and return the answer.

    Args:
        base: such as http://127.0.0.1:8080.
        path: with its query.
        body: bytes, or what is sent as JSON; None makes it a GET.
        method: another one.
        tls: the context to speak TLS with.
        headers: by their names with _ for -.
    """
    scheme, _, address = base.partition("://")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        named.setdefault("Content-Type", "application/json")
    if scheme == "https":
        connection = http.client.HTTPSConnection(
            address, timeout=60, context=tls or ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        answer = connection.getresponse()
        sent = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, sent, answer.read())
    finally:
        connection.close()
