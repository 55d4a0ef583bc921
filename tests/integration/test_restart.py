"""Servers restarted and killed under a client's work: nothing is lost, nothing repeated."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import service.client.client as client_room
from service.client.client import OPTIONS, Client
from tests.conftest import STRIPS, free_address

NAMES = ("one-digit.png", "two-digits.png", "postcode-ruled.png")
IMAGES = [(name, (STRIPS / name).read_bytes()) for name in NAMES]
SIGNALS = pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])


def restart(servers, start_service, sign, work):
    """Restart each server in turn, on its port, once it has some work; note who failed."""
    for index, server in enumerate(list(servers)):
        assert work.wait(30)
        work.clear()
        assert server.stop(sign)[0] == (0 if sign is signal.SIGTERM else -sign)
        servers[index] = start_service("--listen", server.address)


@SIGNALS
def test_a_rolling_restart_fails_no_call(start_service, truths, sign):
    servers = [start_service("--listen", free_address()) for _ in range(2)]
    ended, work = threading.Event(), threading.Event()

    def ask(client):
        sent = 0
        while not ended.is_set():
            name, image = IMAGES[sent % len(IMAGES)]
            assert client.recognize(image).text == truths[name]
            sent += 1
            work.set()
        return sent

    addresses = [server.address for server in servers]
    with Client(addresses) as client, ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, client) for _ in range(4)]
        try:
            restart(servers, start_service, sign, work)
        finally:
            ended.set()
        assert all(each.result() > 0 for each in asking)


@SIGNALS
def test_a_rolling_restart_loses_and_repeats_nothing_of_a_stream(start_service, truths, sign):
    servers = [start_service("--listen", free_address()) for _ in range(2)]
    ended, work = threading.Event(), threading.Event()
    sent = []

    def images():
        while not ended.is_set():
            name, image = IMAGES[len(sent) % len(IMAGES)]
            sent.append(f"{len(sent)} {name}")
            yield sent[-1], image

    def restart_all():
        try:
            restart(servers, start_service, sign, work)
        finally:
            ended.set()

    answered = []
    with Client([server.address for server in servers]) as client, ThreadPoolExecutor(1) as thread:
        restarting = thread.submit(restart_all)
        for name, response in client.recognize_many(images()):
            assert response.text == truths[name.split()[1]]
            answered.append(name)
            work.set()
        restarting.result()
    assert sorted(answered) == sorted(sent)


def test_a_server_that_falls_silent_is_left_for_another(start_service, truths, monkeypatch):
    """Its host is gone, say: the connection stays, and nobody answers."""
    expected = {name: truths[name] for name in NAMES}
    quick = dict.fromkeys(
        ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"), 500
    )
    monkeypatch.setattr(client_room, "OPTIONS", [*(dict(OPTIONS) | quick).items()])
    servers = [start_service("--listen", free_address()) for _ in range(2)]
    with Client([server.address for server in servers]) as client:
        for name, image in IMAGES:
            assert client.recognize(image).text == truths[name]
        servers[0].process.send_signal(signal.SIGSTOP)
        try:  # some go there before that is noticed
            for _ in range(2):
                answers = dict(client.recognize_many(IMAGES))
                assert {name: answer.text for name, answer in answers.items()} == expected
            for name, image in IMAGES * 2:
                assert client.recognize(image).text == truths[name]
        finally:
            servers[0].process.send_signal(signal.SIGCONT)
