import shutil
import ssl

import grpc
import pytest
import trustme

from service.errors import SettingsError
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.server.tls import server_credentials
from service.serving.settings import load_settings
from tests.conftest import until
from tests.support.observed import Observed

HOST = "127.0.0.1"


def environment(folder, mutual=False):
    """The settings of a server: its certificate, and whose clients it hears."""
    settings = {
        "DIGITSTRIP_TLS_CERTIFICATE": str(folder / f"{HOST}.pem"),
        "DIGITSTRIP_TLS_KEY": str(folder / f"{HOST}.key"),
    }
    return settings | ({"DIGITSTRIP_TLS_CLIENT_CA": str(folder / "ca.pem")} if mutual else {})


@pytest.fixture
def folder(certificates, tmp_path):
    """A copy of the certificates that a test may exchange."""
    return shutil.copytree(certificates, tmp_path / "certificates")


@pytest.fixture
def start(tmp_path):
    """Start servers that log to a file."""
    started = []

    def start(**environment):
        started.append(Observed(tmp_path / f"log-{len(started)}", **environment))
        return started[-1]

    yield start
    for server in started:
        assert server.stop()[0] == 0


def credentials(folder, authority="ca.pem", client=None):
    certificate, key = (
        ((folder / f"{client}{end}").read_bytes() for end in (".pem", ".key"))
        if client
        else (None, None)
    )
    return grpc.ssl_channel_credentials((folder / authority).read_bytes(), key, certificate)


def ask(address, credentials):
    """GetModel over a connection of its own; its labels, or the code of its failure."""
    # Without a pool of its own, a second channel would share the first one's connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = (
        grpc.secure_channel(address, credentials, options)
        if credentials
        else grpc.insecure_channel(address, options)
    )
    with channel:
        try:
            stub = RecognizerServiceStub(channel)
            return len(stub.GetModel(pb.GetModelRequest(), timeout=30).labels)
        except grpc.RpcError as error:
            return error.code()


def shown(address):
    """The certificate that the server shows now."""
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


def test_under_tls_those_who_trust_its_authority_are_served_and_nobody_is_in_plain(start, folder):
    server = start(**environment(folder))
    assert ask(server.address, credentials(folder)) == 11
    assert ask(server.address, credentials(folder, "stranger.pem")) is grpc.StatusCode.UNAVAILABLE
    assert ask(server.address, None) is grpc.StatusCode.UNAVAILABLE


def test_under_mutual_tls_those_with_a_certificate_of_its_authority_are_served(start, folder):
    stranger = trustme.CA().issue_cert("client")
    stranger.private_key_pem.write_to_path(str(folder / "stranger-client.key"))
    stranger.cert_chain_pems[0].write_to_path(str(folder / "stranger-client.pem"))
    server = start(**environment(folder, mutual=True))
    assert ask(server.address, credentials(folder, client="client")) == 11
    for client in (None, "stranger-client"):
        refused = ask(server.address, credentials(folder, client=client))
        assert refused is grpc.StatusCode.UNAVAILABLE
    assert ask(server.address, None) is grpc.StatusCode.UNAVAILABLE


def test_certificates_exchanged_on_disk_are_shown_and_broken_ones_are_not(start, folder):
    server = start(**environment(folder))
    certificate, key = folder / f"{HOST}.pem", folder / f"{HOST}.key"
    with grpc.secure_channel(server.address, credentials(folder)) as open_before:
        stub = RecognizerServiceStub(open_before)
        stub.GetModel(pb.GetModelRequest())
        old = shown(server.address)

        other = trustme.CA()
        other.cert_pem.write_to_path(str(folder / "other.pem"))
        issued = other.issue_cert(HOST)
        issued.private_key_pem.write_to_path(str(key))
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        until(lambda: shown(server.address) != old)
        new = shown(server.address)
        assert new.strip() == issued.cert_chain_pems[0].bytes().decode().strip()
        assert ask(server.address, credentials(folder, "other.pem")) == 11
        assert ask(server.address, credentials(folder)) is grpc.StatusCode.UNAVAILABLE
        assert stub.GetModel(pb.GetModelRequest()).labels  # who was in stays in

    certificate.write_text("no certificate at all")
    until(lambda: shown(server.address) and server.logged("reload failed; the old value stays"))
    assert shown(server.address) == new
    assert ask(server.address, credentials(folder, "other.pem")) == 11


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"tls_key": "key.pem"}, "tls_certificate and tls_key belong together; one is missing"),
        ({"tls_certificate": "c.pem"}, "tls_certificate and tls_key belong together"),
        ({"tls_client_ca": "ca.pem"}, "tls_client_ca needs tls_certificate and tls_key"),
    ],
)
def test_half_of_what_tls_needs_is_a_sentence(flags, complaint):
    with pytest.raises(SettingsError, match=complaint):
        load_settings(**flags)


@pytest.mark.parametrize("broken", ["missing", "no key", "of another", "no roots"])
def test_files_that_cannot_be_used_are_refused_with_a_sentence(folder, broken):
    settings = load_settings(
        tls_certificate=folder / f"{HOST}.pem",
        tls_key=folder / f"{HOST}.key",
        tls_client_ca=folder / "ca.pem",
    )
    assert server_credentials(settings)
    match broken:
        case "missing":
            settings.tls_key.unlink()
        case "no key":
            settings.tls_key.write_text("no key at all")
        case "of another":
            shutil.copy(folder / "client.key", settings.tls_key)
        case "no roots":
            settings.tls_client_ca.write_text("no roots at all")
    with pytest.raises(SettingsError, match="cannot use the certificate") as raised:
        server_credentials(settings)
    assert all(str(file) in str(raised.value) for file in (settings.tls_key, folder / "ca.pem"))


def test_files_that_cannot_be_used_end_the_start(run, folder):
    (folder / f"{HOST}.key").unlink()
    ended = run("serve", "--listen", f"{HOST}:0", **environment(folder))
    assert ended.returncode == 2
    assert b"cannot use the certificate" in ended.stderr
    assert b"Traceback" not in ended.stderr
