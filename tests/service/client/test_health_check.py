"""`digitstrip health`, as a container's health check runs it."""

import signal

import pytest

from service.client.channel import listening_address


def test_health_of_a_server_that_serves_is_success(service, run):
    ended = run("health", "--address", service.address)
    assert (ended.returncode, ended.stdout) == (0, b"SERVING\n")


def test_health_asks_where_the_environment_says_that_a_server_listens(service, run):
    port = service.address.rpartition(":")[2]
    assert run("health", DIGITSTRIP_LISTEN=f"0.0.0.0:{port}").returncode == 0
    assert run("health", DIGITSTRIP_ADDRESS=service.address).returncode == 0
    assert run("health", "--address", "127.0.0.1:1", DIGITSTRIP_LISTEN=f"0:{port}").returncode == 1


def test_health_asks_no_proxy_about_this_machine(service, run):
    proxy = {"http_proxy": "http://127.0.0.1:1", "grpc_proxy": "http://127.0.0.1:1"}
    assert run("health", "--address", service.address, **proxy).returncode == 0


def test_health_of_a_server_that_is_gone_is_failure_with_a_sentence(start_service, run):
    server = start_service()
    assert server.stop(signal.SIGTERM)[0] == 0
    ended = run("health", "--address", server.address)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"SERVER_UNAVAILABLE: UNAVAILABLE" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--address", "nonsense"], b"is not host:port"),
        (["--address", "a:1", "--address", "b:1"], b"one server at a time"),
        (["--tls-ca", "/nowhere.pem"], b"cannot read the TLS file /nowhere.pem"),
        (["--tls-key", "README.md"], b"a TLS key was given without its certificate"),
        (["--tls-ca", "README.md"], b"has no CERTIFICATE in PEM form"),
        (["--token-file", "/nowhere"], b"cannot read the token file /nowhere"),
        (["--token-file", "README.md"], b"cannot read the token file"),
        (
            ["--token-file", "/dev/stdin", "--address", "10.0.0.1:1"],
            b"would travel unencrypted to 10.0.0.1:1",
        ),
    ],
)
def test_wrong_use_of_health_is_reported_in_a_sentence(run, arguments, complaint):
    ended = run("health", *arguments, stdin=b"secret-token")
    assert ended.returncode == 2
    assert complaint in ended.stderr.replace(b"\n", b" ")
    assert b"secret-token" not in ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("listen", "asked"),
    [
        (None, "127.0.0.1:50051"),
        ("0.0.0.0:8000", "127.0.0.1:8000"),
        ("[::]:8000", "[::1]:8000"),
        ("192.168.0.7:8000", "192.168.0.7:8000"),
    ],
)
def test_a_listening_address_is_reached_from_its_own_machine(listen, asked):
    assert listening_address({"DIGITSTRIP_LISTEN": listen} if listen else {}) == asked


def test_the_variable_of_platforms_outweighs_ours():
    environment = {"LISTEN": "0.0.0.0:8000", "DIGITSTRIP_LISTEN": "0.0.0.0:9000"}
    assert listening_address(environment) == "127.0.0.1:8000"
