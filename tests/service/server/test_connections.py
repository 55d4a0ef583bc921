"""What the kernel says of connections, against real sockets."""

import socket
import sys

import pytest

from service.server.connections import OVERHEAD_BYTES, Connections, peer_name
from tests.conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count is Linux's")


@pytest.fixture(params=["127.0.0.1", "::1"])
def connection(request):
    """A connection's two ends, and gRPC's name of the peer."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        listening = socket.create_server((request.param, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening, socket.create_connection(listening.getsockname()[:2]) as theirs:
        ours, (host, port, *_) = listening.accept()
        with ours:
            yield theirs, ours, peer_name(host, port)


def test_what_came_in_part_is_what_came_less_what_is_whole(connection):
    theirs, _, peer = connection
    connections = Connections()
    theirs.sendall(bytes(1000))
    connections.wait(peer)
    assert connections.in_part(peer) == 0  # all of that came before
    theirs.sendall(bytes(5000))
    until(lambda: connections.in_part(peer) == 5000)
    connections.received(peer, 4000)
    assert 0 <= connections.in_part(peer) <= 1000 - OVERHEAD_BYTES
    connections.waited(peer)
    assert connections.in_part(peer) is None


def test_what_messages_are_overestimated_by_hides_nothing_that_comes_later(connection):
    theirs, _, peer = connection
    connections = Connections()
    connections.wait(peer)
    for _ in range(100):
        connections.received(peer, 1000)  # more than came
        assert connections.in_part(peer) == 0
    theirs.sendall(bytes(5000))
    until(lambda: connections.in_part(peer) == 5000)


def test_a_peer_that_is_none_is_not_known():
    connections = Connections()
    for peer in ("ipv4:192.0.2.1:1", "unix:/nowhere", "", "ipv6:%5B::1%5D:1"):
        connections.wait(peer)
        connections.received(peer, 1)
        assert connections.in_part(peer) is None
        connections.waited(peer)


def test_a_peer_whose_connection_has_ended_is_not_known(connection):
    _, ours, peer = connection
    connections = Connections()
    connections.wait(peer)
    ours.close()
    assert connections.in_part(peer) is None


def test_names_of_peers_are_grpcs():
    assert peer_name("127.0.0.1", 5) == "ipv4:127.0.0.1:5"
    assert peer_name("::1", 5) == "ipv6:[::1]:5"
    assert peer_name("::ffff:10.0.0.1", 5) == "ipv4:10.0.0.1:5"
