import asyncio
import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, STRIPS, until
from tests.support.http1 import call

IMAGE = (STRIPS / "postcode-ruled.png").read_bytes()
TOKEN = "a-token-of-some-length"


def test_health_says_that_it_lives_and_that_it_is_ready(web):
    for path in ("/healthz", "/readyz"):
        assert call(web.web, path).status == 200


def test_calls_need_a_token_where_those_over_grpc_do(start_web, tmp_path):
    (tmp_path / "tokens").write_text(TOKEN)
    server = start_web("--tokens-file", tmp_path / "tokens")
    paths = {
        "/v1/read": "image/png",
        "/digitstrip.v1.RecognizerService/Recognize": "application/proto",
        "/digitstrip.v1.RecognizerService/GetModel": "application/proto",
    }
    for path, content_type in paths.items():
        for token in (None, "Bearer another-one-of-those", f"Basic {TOKEN}", TOKEN):
            shown = {} if token is None else {"Authorization": token}
            answer = call(server.web, path, b"x", Content_Type=content_type, **shown)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "UNAUTHENTICATED" in answer.body.decode()
    shown = f"Bearer {TOKEN}"
    assert call(server.web, "/v1/read", IMAGE, Authorization=shown).status == 200
    for path in ("/", "/healthz", "/readyz"):  # nothing in them is secret
        assert call(server.web, path).status in (200, 404)
    refused = server.figures("requests_total", method="read", code="UNAUTHENTICATED")
    assert refused == 4


def test_health_needs_a_token_where_that_is_set(start_web, tmp_path):
    (tmp_path / "tokens").write_text(TOKEN)
    server = start_web("--tokens-file", tmp_path / "tokens", DIGITSTRIP_HEALTH_OPEN="false")
    for path in ("/healthz", "/readyz"):
        assert call(server.web, path).status == 401
        assert call(server.web, path, Authorization=f"Bearer {TOKEN}").status == 200


def test_hosts_and_origins_are_those_of_the_settings(start_web):
    server = start_web(
        DIGITSTRIP_WEB_HOSTS='["digits.example"]', DIGITSTRIP_WEB_ORIGINS='["https://ui.example"]'
    )
    assert call(server.web, "/healthz", Host="digits.example").status == 200
    assert call(server.web, "/healthz", Host="other.example").error["reason"] == "WRONG_HOST"
    answer = call(server.web, "/v1/read", IMAGE, Origin="https://ui.example")
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    assert call(server.web, "/v1/read", IMAGE, Origin="https://other.example").status == 403


def test_https_is_spoken_with_the_certificates_of_grpc(start_web, certificates, tmp_path):
    folder = shutil.copytree(certificates, tmp_path / "certificates")
    server = start_web(
        *("--tls-certificate", folder / "127.0.0.1.pem", "--tls-key", folder / "127.0.0.1.key")
    )
    assert server.web.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=folder / "ca.pem")
    assert call(server.web, "/v1/read", IMAGE, tls=trusting).json["text"] == "68767"
    # Another one takes its place while the server runs.
    for end in (".pem", ".key"):
        shutil.copy(folder / f"readers.example{end}", folder / f"127.0.0.1{end}")
    trusting.check_hostname = False

    def names():
        with socket_of(server.web, trusting) as connection:
            return str(connection.getpeercert()["subjectAltName"])

    until(lambda: "readers.example" in names())


def socket_of(url, context):
    import socket

    host, _, port = url.partition("://")[2].partition(":")
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=10))


def test_a_client_without_a_certificate_is_refused_where_they_are_asked_for(
    start_web, certificates
):
    server = start_web(
        *("--tls-certificate", certificates / "127.0.0.1.pem"),
        *("--tls-key", certificates / "127.0.0.1.key", "--tls-client-ca", certificates / "ca.pem"),
    )
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        call(server.web, "/healthz", tls=context)
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    assert call(server.web, "/healthz", tls=context).status == 200


def test_a_signal_drains_what_was_asked_over_http(start_web):
    server = start_web()
    server.signal_workers(signal.SIGSTOP)

    async def ask():
        asked = asyncio.create_task(asyncio.to_thread(call, server.web, "/v1/read", IMAGE))
        await asyncio.to_thread(until, lambda: server.figures("queue_pixels", group="regular"))
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert server.process.poll() is None
        server.signal_workers(signal.SIGCONT)
        return await asked

    assert asyncio.run(ask()).json["text"] == "68767"
    assert server.process.wait(30) == 0


def test_a_caller_who_leaves_frees_the_worker(start_web):
    server = start_web()
    server.signal_workers(signal.SIGSTOP)

    async def leave():
        _, writer = await asyncio.open_connection(*server.web.partition("://")[2].split(":"))
        head = f"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
        writer.write(head.encode() + IMAGE)
        await writer.drain()
        await asyncio.to_thread(until, lambda: server.figures("queue_pixels", group="regular"))
        writer.close()
        await writer.wait_closed()

    asyncio.run(leave())
    until(lambda: server.figures("images_total", code="CANCELLED", reason=""))
    assert call(server.web, "/v1/read", IMAGE).status == 200  # by another: that one was killed


def test_a_deadline_ends_a_call_that_takes_longer(start_web):
    server = start_web()
    server.signal_workers(signal.SIGSTOP)
    began = time.monotonic()
    answer = call(server.web, "/v1/read", IMAGE, Connect_Timeout_Ms="500")
    assert (answer.status, answer.error["reason"]) == (504, "TIMED_OUT")
    assert 0.4 < time.monotonic() - began < 5


def test_a_full_queue_refuses_with_the_time_after_which_to_retry(start_web):
    server = start_web(DIGITSTRIP_QUEUE_PIXELS="1000")
    server.signal_workers(signal.SIGSTOP)

    async def crowd():
        asked = [
            asyncio.create_task(asyncio.to_thread(call, server.web, "/v1/read", IMAGE))
            for _ in range(3)
        ]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        server.signal_workers(signal.SIGCONT)
        await asyncio.gather(*asked)
        return done.pop().result()

    answer = asyncio.run(crowd())
    assert (answer.status, answer.error["reason"]) == (429, "OVERLOADED")
    assert int(answer.headers["retry-after"]) >= 1
    assert server.figures("refused_total", reason="OVERLOADED") == 2


def test_bodies_too_large_or_compressed_count_as_refused(start_web):
    server = start_web()
    for headers, status, reason in (
        ({"Content_Length": str(2**40)}, 413, "TOO_MANY_BYTES"),
        ({"Content_Encoding": "gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    ):
        assert call(server.web, "/v1/read", IMAGE, **headers).status == status
        assert server.figures("refused_total", reason=reason) == 1


def test_the_process_that_speaks_http_has_no_library_that_decodes_images(web):
    maps = Path(f"/proc/{web.process.pid}/maps").read_text()
    assert "grpc" in maps
    assert not re.search("cv2|PIL|onnxruntime", maps)


def test_without_web_listen_no_library_of_http_is_loaded():
    code = (
        "import sys; from service.server.app import serve; from service.cli.main import app; "
        "print(sorted({'starlette', 'uvicorn', 'h11', 'anyio'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == []


def test_a_missing_library_is_named(run):
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = "
        "['digitstrip', 'serve', '--listen', '127.0.0.1:0', '--web-listen', '127.0.0.1:0']; "
        "from service.cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert (
        "MISSING_EXTRA: --web-listen needs Starlette and uvicorn (the extra `web`)" in ended.stderr
    )


def test_a_port_that_is_taken_ends_the_server_with_a_sentence(web, run):
    taken = web.web.partition("://")[2]
    ended = run("serve", "--listen", "127.0.0.1:0", "--web-listen", taken)
    assert ended.returncode == 2
    assert f"cannot listen on {taken} for HTTP: the port is taken".encode() in ended.stderr
