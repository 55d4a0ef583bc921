"""The service under TLS with client certificates and tokens, as clients and commands reach it."""

import pytest

from service.client.channel import Tls
from service.client.client import Client
from service.client.retry import Backoff
from service.errors import ServerUnavailable, Unauthenticated
from tests.conftest import STRIPS, Service

NAME = "postcode-ruled.png"
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def files(certificates):
    (certificates / "tokens").write_text(f"# the old one\nanother-token-of-before\n{TOKEN}\n")
    (certificates / "token").write_text(TOKEN + "\n")
    return certificates


@pytest.fixture(scope="module")
def environment(files):
    """What the server is started with."""
    return {
        "DIGITSTRIP_TLS_CERTIFICATE": str(files / "readers.example.pem"),
        "DIGITSTRIP_TLS_KEY": str(files / "readers.example.key"),
        "DIGITSTRIP_TLS_CLIENT_CA": str(files / "ca.pem"),
        "DIGITSTRIP_TOKENS_FILE": str(files / "tokens"),
    }


@pytest.fixture(scope="module")
def secured(environment):
    server = Service(**environment)
    yield server
    status, said = server.stop()
    assert status == 0, said


@pytest.fixture
def tls(files):
    return Tls(files / "ca.pem", files / "client.pem", files / "client.key", "readers.example")


@pytest.fixture
def options(secured, files):
    """The same for a command."""
    return [
        *("--address", secured.address),
        *("--tls-ca", files / "ca.pem"),
        *("--tls-certificate", files / "client.pem"),
        *("--tls-key", files / "client.key"),
        *("--tls-server-name", "readers.example"),
        *("--token-file", files / "token"),
    ]


def test_whoever_is_known_is_served(secured, tls, files, truths):
    image = (STRIPS / NAME).read_bytes()
    with Client(secured.address, tls=tls, token_file=files / "token") as client:
        assert client.recognize(image).text == truths[NAME]
        ((_, answer),) = client.recognize_many([("only", image)])
        assert answer.text == truths[NAME]


@pytest.mark.parametrize("token", [None, "correct-horse-battery-stable"])
def test_a_token_that_is_not_known_is_not_served(secured, tls, token):
    with Client(secured.address, tls=tls, token=token) as client:
        with pytest.raises(Unauthenticated, match="token"):
            client.get_model()
        with pytest.raises(Unauthenticated, match="token"):
            list(client.recognize_many([("only", b"image")]))


def test_without_a_certificate_of_its_own_a_client_is_not_heard(secured, files):
    tls = Tls(files / "ca.pem", server_name="readers.example")
    with (
        Client(secured.address, tls=tls, token=TOKEN, backoff=Backoff(tries=1)) as client,
        pytest.raises(ServerUnavailable),
    ):
        client.get_model()


def test_commands_reach_it(run, options, truths):
    ended = run("send", STRIPS / NAME, *options)
    assert (ended.returncode, ended.stdout.decode()) == (0, f"{truths[NAME]}\n"), ended.stderr
    ended = run("health", *options)
    assert (ended.returncode, ended.stdout) == (0, b"SERVING\n")


def test_a_command_that_is_not_known_says_so(run, options):
    ended = run("send", STRIPS / NAME, *options[:-2])
    assert ended.returncode == 1
    assert b"UNAUTHENTICATED: the call carries no token" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_health_in_the_servers_own_environment_needs_no_options(secured, environment, run):
    port = secured.address.rpartition(":")[2]
    ended = run("health", **environment, DIGITSTRIP_LISTEN=f"0.0.0.0:{port}")
    assert (ended.returncode, ended.stdout) == (0, b"SERVING\n"), ended.stderr


def test_health_trusts_no_other_certificate_than_the_servers_own(secured, environment, files, run):
    port = secured.address.rpartition(":")[2]
    others = environment | {"DIGITSTRIP_TLS_CERTIFICATE": str(files / "stranger.pem")}
    ended = run("health", **others, DIGITSTRIP_LISTEN=f"0.0.0.0:{port}")
    assert ended.returncode == 1
    assert b"stranger.pem" in ended.stderr
    missing = environment | {"DIGITSTRIP_TLS_CERTIFICATE": "/nowhere.pem"}
    assert run("health", **missing, DIGITSTRIP_LISTEN=f"0.0.0.0:{port}").returncode == 2


def test_health_that_is_closed_hinders_neither_send_nor_those_who_do_not_watch(
    start_service, files, run, truths
):
    guarded = {"DIGITSTRIP_TOKENS_FILE": str(files / "tokens"), "DIGITSTRIP_HEALTH_OPEN": "false"}
    server = start_service(**guarded)
    shown = ["--address", server.address, "--token-file", files / "token"]
    assert run("send", STRIPS / NAME, *shown).stdout.decode() == f"{truths[NAME]}\n"
    assert run("health", *shown).stdout == b"SERVING\n"
    assert b"UNAUTHENTICATED" in run("health", *shown[:2]).stderr
    with Client(server.address, token=TOKEN, watch_health=False) as client:
        assert client.recognize((STRIPS / NAME).read_bytes()).text == truths[NAME]


def test_node_reaches_it(node, options, truths):
    ended = node("read.js", "--stream", *options, STRIPS / NAME)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\t")[1] == truths[NAME]
