"""Addresses, TLS and tokens of the client, against servers with certificates made here."""

import pytest

from service import file_watcher
from service.client.channel import Route, Tls, Token
from service.client.client import AsyncClient, Client
from service.client.retry import Backoff
from service.errors import ServerUnavailable, SettingsError
from tests.conftest import STRIPS
from tests.support.peer import Peer, of_server

ONCE = Backoff(tries=1)
PNG = (STRIPS / "one-digit.png").read_bytes()


@pytest.fixture
def secure_peer(certificates):
    peer = Peer(credentials=of_server(certificates, "127.0.0.1"))
    yield peer
    peer.stop()


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.stop()


def test_a_server_under_tls_is_trusted_by_its_authority(secure_peer, certificates):
    with Client(secure_peer.address, tls=Tls(ca=certificates / "ca.pem")) as client:
        assert client.recognize(b"17").text == "17"
        assert [answer.text for _, answer in client.recognize_many([("a", b"1")])] == ["1"]


@pytest.mark.parametrize("tls", [None, "stranger.pem"])
def test_a_server_that_is_not_trusted_gets_no_image(secure_peer, certificates, tls):
    trusted = Tls(ca=certificates / tls) if tls else None
    with (
        Client(secure_peer.address, tls=trusted, backoff=ONCE) as client,
        pytest.raises(ServerUnavailable),
    ):
        client.recognize(b"17")
    assert secure_peer.seen == []


def test_a_certificate_for_another_name_is_trusted_only_by_that_name(certificates):
    peer = Peer(credentials=of_server(certificates, "readers.example"))
    ca = certificates / "ca.pem"
    with Client(peer.address, tls=Tls(ca), backoff=ONCE) as client:
        with pytest.raises(ServerUnavailable):
            client.recognize(b"17")
        assert peer.seen == []
    with Client(peer.address, tls=Tls(ca, server_name="readers.example")) as client:
        assert client.recognize(b"17").text == "17"
    peer.stop()


def test_several_servers_share_the_name_in_their_certificates(certificates):
    several = [Peer(credentials=of_server(certificates, "readers.example")) for _ in range(2)]
    tls = Tls(certificates / "ca.pem", server_name="readers.example")
    with Client([peer.address for peer in several], tls=tls) as client:
        for _ in range(40):
            client.get_model()
    for peer in several:
        assert len(peer.calls) >= 10
        peer.stop()


def test_several_servers_under_tls_must_be_given_the_name_in_their_certificate(certificates):
    with pytest.raises(SettingsError, match="--tls-server-name"):
        Client(["127.0.0.1:1", "127.0.0.1:2"], tls=Tls(certificates / "ca.pem"))


def test_send_in_the_clear_to_a_server_under_tls_hints_at_tls(secure_peer, run):
    ended = run(
        "send", STRIPS / "two-digits.png", "--address", secure_peer.address, "--timeout", "20"
    )
    assert ended.returncode == 1
    assert b"--tls-ca" in ended.stderr
    assert b"is `digitstrip serve` running" not in ended.stderr


def test_a_server_that_asks_for_a_certificate_gets_it(certificates):
    peer = Peer(credentials=of_server(certificates, "127.0.0.1", mutual=True))
    ca = certificates / "ca.pem"
    own = Tls(ca, certificates / "client.pem", certificates / "client.key")
    with (
        Client(peer.address, tls=Tls(ca), backoff=ONCE) as client,
        pytest.raises(ServerUnavailable),
    ):
        client.recognize(b"17")
    assert peer.seen == []
    with Client(peer.address, tls=own) as client:
        assert client.recognize(b"17").text == "17"
    peer.stop()


def test_send_and_health_speak_tls(secure_peer, certificates, run):
    ca = ["--address", secure_peer.address, "--tls-ca", certificates / "ca.pem"]
    ended = run("send", "-", *ca, stdin=PNG)
    assert ended.returncode == 0, ended.stderr
    ended = run("health", *ca)
    assert (ended.returncode, ended.stdout) == (0, b"SERVING\n")
    assert run("health", "--address", secure_peer.address).returncode == 1
    named = {"DIGITSTRIP_TLS_CA": str(certificates / "ca.pem")}
    assert run("health", DIGITSTRIP_ADDRESS=secure_peer.address, **named).returncode == 0


def test_a_token_goes_with_every_call(peer):
    with Client(peer.address, token="s3cret") as client:  # to this machine, in the clear
        client.recognize(b"17")
        client.get_model()
        list(client.recognize_many([("a", b"1")]))
    assert [call["authorization"] for call in peer.calls] == ["Bearer s3cret"] * 3


def test_a_token_file_is_reloaded_when_it_changes(peer, tmp_path, monkeypatch):
    monkeypatch.setattr(file_watcher, "SECONDS", 0)
    file = tmp_path / "token"
    file.write_text("first\n")
    with Client(peer.address, token_file=file) as client:
        client.get_model()
        client.get_model()
        file.write_text("second")
        client.get_model()
        file.write_text("half a")  # two words: no token
        client.get_model()
        new = tmp_path / "new"  # as Kubernetes does: the name comes to stand for another file
        new.write_text("third")
        new.replace(file)
        client.get_model()
    sent = [call["authorization"].removeprefix("Bearer ") for call in peer.calls]
    assert sent == ["first", "first", "second", "second", "third"]


@pytest.mark.parametrize("content", ["", "two words", "kn\u00f6del", "new\nline"])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path, content):
    file = tmp_path / "token"
    file.write_text(content)
    for given in ({"token": content}, {"token_file": file}):
        with pytest.raises(SettingsError, match="token") as raised:
            Client("127.0.0.1:1", **given)
        assert not content or content not in str(raised.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "address", ["10.1.2.3:50051", "dns:///readers:50051", "127.evil.example:1"]
)
def test_a_token_does_not_leave_the_machine_in_the_clear(kind, address):
    with pytest.raises(SettingsError, match="would travel unencrypted") as raised:
        kind(address, token="s3cret")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "allowed",
    [
        {"addresses": ("10.1.2.3:50051",), "plaintext_token": True},
        {"addresses": ("10.1.2.3:50051",), "tls": Tls()},
        {"addresses": ("localhost:50051",)},
        {"addresses": ("[::1]:50051",)},
        {"addresses": ("unix:/run/digitstrip.sock",)},
    ],
)
def test_a_token_may_be_sent_where_it_cannot_be_overheard_or_where_it_was_allowed(allowed):
    assert Route(token=Token("s3cret"), **allowed).metadata() == (
        ("authorization", "Bearer s3cret"),
    )


@pytest.mark.parametrize(
    "addresses",
    [(), ("nonsense",), ("host:",), ("host:0",), ("host:65536",), (":50051",), ("host:٣",)],
)
def test_an_address_that_is_none_is_refused(addresses):
    with pytest.raises(SettingsError, match="host:port"):
        Route(addresses)


@pytest.mark.parametrize(
    ("addresses", "target"),
    [
        (("readers:50051",), "readers:50051"),
        (("dns:///readers:50051",), "dns:///readers:50051"),
        (("10.0.0.1:1", "10.0.0.2:2"), "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (("[::1]:1", "[::1]:2"), "ipv6:[::1]:1,[::1]:2"),
        (("localhost:1", "127.0.0.1:2"), "ipv4:127.0.0.1:1,127.0.0.1:2"),
    ],
)
def test_servers_are_named_as_grpc_names_them(addresses, target):
    assert Route(addresses).target == target


@pytest.mark.parametrize("addresses", [("a:1", "b:1"), ("127.0.0.1:1", "[::1]:1")])
def test_several_servers_are_named_by_addresses_of_one_family(addresses):
    with pytest.raises(SettingsError, match="all IPv4 or all IPv6"):
        Client(addresses)


def test_a_file_that_is_no_certificate_is_reported_by_its_name(certificates):
    key = certificates / "client.key"
    with pytest.raises(SettingsError, match=r"client\.key has no CERTIFICATE in PEM form"):
        Client("127.0.0.1:1", tls=Tls(ca=key))
    with pytest.raises(SettingsError, match="a TLS certificate was given without its key"):
        Tls(certificate=certificates / "client.pem")
