"""The client against servers that fail as a test tells them, over real gRPC."""

import asyncio
import contextlib
import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.client.client import AsyncClient, Client
from service.client.retry import Backoff, Tries
from service.client.streaming import THREAD
from service.errors import (
    BadOption,
    DamagedImage,
    DeadlineTooShort,
    DigitstripError,
    InputError,
    Overloaded,
    ServerError,
    ServerStopping,
    ServerUnavailable,
    TimedOut,
    WorkerDied,
)
from tests.conftest import until
from tests.support.peer import Peer

QUICK = Backoff(first=0.01, most=0.05)
STOPPING = ServerStopping("the server is stopping")


@pytest.fixture
def peers():
    """Start peers; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, **named):
            peer = Peer(*arguments, **named)
            stack.callback(peer.stop)
            return peer

        yield start


class Asynchronous:
    """The async client, driven as the blocking one is, so that one test holds for both."""

    def __init__(self, *arguments, **named):
        self.runner = asyncio.Runner()

        async def connect():
            return AsyncClient(*arguments, **named)

        self.client = self.runner.run(connect())

    def recognize(self, *arguments, **named):
        return self.runner.run(self.client.recognize(*arguments, **named))

    def get_model(self):
        return self.runner.run(self.client.get_model())

    def recognize_many(self, images, **named):
        async def as_async():
            for image in images:
                yield image

        answers = self.client.recognize_many(as_async(), **named)
        while True:
            try:
                yield self.runner.run(anext(answers))
            except StopAsyncIteration:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.runner.run(self.client.close())
        self.runner.close()


@pytest.fixture(params=[Client, Asynchronous], ids=["blocking", "async"])
def connect(request):
    """Open clients of one kind; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connect(*arguments, **named):
            return stack.enter_context(request.param(*arguments, **{"backoff": QUICK} | named))

        yield connect


def numbered(count):
    return [(f"image {number}", str(number).encode()) for number in range(count)]


def texts(answers):
    return [(name, answer.text) for name, answer in answers]


def whole(count):
    return [(f"image {number}", str(number)) for number in range(count)]


@pytest.mark.parametrize("failure", [STOPPING, ServerUnavailable("gone"), Overloaded("full", 0.05)])
def test_a_call_that_was_not_read_is_tried_again(connect, peers, failure):
    peer = peers([failure, failure])
    assert connect(peer.address).recognize(b"17").text == "17"
    assert peer.seen == [b"17"] * 3


@pytest.mark.parametrize(
    "failure", [DamagedImage("torn"), DeadlineTooShort("late"), WorkerDied("twice")]
)
def test_a_call_that_cannot_end_better_is_not_tried_again(connect, peers, failure):
    peer = peers([failure])
    with pytest.raises(type(failure), match=str(failure)):
        connect(peer.address).recognize(b"17")
    assert peer.seen == [b"17"]


def test_an_overloaded_server_is_not_called_before_the_time_it_names(connect, peers):
    peer = peers([Overloaded("full", 0.4)])
    began = time.monotonic()
    connect(peer.address).recognize(b"17")
    assert time.monotonic() - began >= 0.4


def test_all_tries_share_the_time_of_the_call(connect, peers):
    peer = peers([Overloaded("full", 0.6)] * 100)
    began = time.monotonic()
    with pytest.raises(Overloaded, match="full") as raised:
        connect(peer.address, timeout=3.0).recognize(b"17")
    assert time.monotonic() - began < 30
    assert raised.value.retry_after == pytest.approx(0.6)
    assert 2 <= len(peer.seen) <= 5


def test_a_delay_beyond_the_callers_time_is_not_waited_for(connect, peers):
    peer = peers([Overloaded("full", 3600)])
    began = time.monotonic()
    with pytest.raises(Overloaded):
        connect(peer.address).recognize(b"17", timeout=60)
    assert time.monotonic() - began < 30


def test_a_server_that_stays_unavailable_is_given_up(connect, peers):
    peer = peers([STOPPING] * 100)
    with pytest.raises(ServerStopping):
        connect(peer.address).recognize(b"17")
    assert len(peer.seen) == QUICK.tries


def test_one_try_is_no_second_one(connect, peers):
    peer = peers([Overloaded("full", 0.01)])
    with pytest.raises(Overloaded):
        connect(peer.address, backoff=Backoff(tries=1)).recognize(b"17")
    assert len(peer.seen) == 1


def test_a_call_that_outlasts_its_time_times_out(connect, peers, monkeypatch):
    peer = peers()
    monkeypatch.setattr(peer, "failure", lambda _: time.sleep(1))
    with pytest.raises(TimedOut, match="DEADLINE_EXCEEDED"):
        connect(peer.address).recognize(b"17", timeout=0.2)


def test_the_callers_request_id_goes_with_every_try(connect, peers):
    peer = peers([STOPPING])
    connect(peer.address).recognize(b"17", request_id="order-7")
    list(connect(peer.address).recognize_many(numbered(1), request_id="order-8"))
    assert [call.get("x-request-id") for call in peer.calls] == ["order-7", "order-7", "order-8"]


@given(
    st.integers(1, 40),
    st.floats(0.001, 1),
    st.floats(1, 4),
    st.floats(0.001, 60),
    st.integers(0, 2**32),
)
def test_waits_grow_to_their_bound_and_differ(failures, first, factor, most, seed):
    backoff = Backoff(first, factor, most, tries=1000)
    tries = Tries(1e6, backoff, random.Random(seed))
    tries.failures = failures - 1
    pause = tries.pause(ServerUnavailable("gone"))
    assert backoff.wait(failures) / 2 <= pause <= backoff.wait(failures) <= most
    assert backoff.wait(failures) <= backoff.wait(failures + 1)


def test_a_stream_answers_each_image_once_though_calls_end_early(connect, peers):
    ends = [None, None, STOPPING, None, "end", STOPPING, None, ServerUnavailable("gone"), None]
    peer = peers(ends)
    answers = list(connect(peer.address).recognize_many(numbered(50)))
    assert sorted(texts(answers)) == sorted(whole(50))
    assert len(peer.calls) == 5


def test_a_stream_resends_what_an_overloaded_server_refused(connect, peers):
    peer = peers([None, Overloaded("full", 0.3), Overloaded("full", 0.3), None])
    began = time.monotonic()
    answers = list(connect(peer.address).recognize_many(numbered(5)))
    assert time.monotonic() - began >= 0.3
    assert sorted(texts(answers)) == whole(5)
    assert len(peer.seen) == 7
    assert len(peer.calls) == 1


@pytest.mark.parametrize("kind", [Client, Asynchronous])
@settings(max_examples=20, deadline=None)
@given(
    failures=st.lists(
        st.sampled_from(
            [None, None, None, STOPPING, "end", Overloaded("full", 0.01), DamagedImage("torn")]
        ),
        max_size=60,
    ),
    count=st.integers(0, 40),
    in_flight=st.sampled_from([1, 2, 32]),
)
def test_whatever_servers_do_each_image_is_answered_once(kind, failures, count, in_flight):
    peer = Peer(failures)
    patient = Backoff(first=0.001, most=0.01, tries=100)
    with kind(peer.address, backoff=patient) as client:
        answers = list(client.recognize_many(numbered(count), in_flight=in_flight))
    peer.stop()
    assert sorted(name for name, _ in answers) == sorted(name for name, _ in numbered(count))
    for name, answer in answers:
        assert isinstance(answer, DamagedImage) or f"image {answer.text}" == name


def test_an_image_that_stays_refused_has_that_as_its_answer(connect, peers):
    peer = peers([Overloaded("full", 0.6)] * 100)
    (answer,) = connect(peer.address, timeout=3.0).recognize_many(numbered(1))
    assert answer[0] == "image 0"
    assert type(answer[1]) is Overloaded


def test_images_of_one_name_are_answered_each(connect, peers):
    peer = peers([None, STOPPING])
    images = [("same", b"1"), ("same", b"2"), ("same", b"3")]
    answers = texts(connect(peer.address).recognize_many(images))
    assert sorted(answers) == [("same", "1"), ("same", "2"), ("same", "3")]


def test_a_stream_gives_up_when_no_server_takes_it(connect, peers):
    peer = peers([None, None, *[STOPPING] * 100])
    answers = connect(peer.address).recognize_many(numbered(10))
    assert texts([next(answers), next(answers)]) == whole(2)
    with pytest.raises(ServerUnavailable):  # grpc.aio sometimes loses the server's own word
        next(answers)
    assert len(peer.calls) == QUICK.tries


def test_a_stream_that_a_server_refuses_is_not_opened_again(connect, peers, monkeypatch):
    peer = peers()

    def refuse(_):
        raise AssertionError("a fault of the server's")

    monkeypatch.setattr(peer, "failure", refuse)
    with pytest.raises(DigitstripError, match="UNKNOWN"):
        list(connect(peer.address).recognize_many(numbered(3)))
    assert len(peer.calls) == 1


def test_an_async_stream_learns_why_its_server_refused_it(peers, monkeypatch):
    """grpc.aio loses the status of about every second of these: messages meet ended calls."""
    peer = peers()

    def refuse(_):
        raise AssertionError("a fault of the server's")

    monkeypatch.setattr(peer, "failure", refuse)
    images = [(f"image {number}", bytes(100_000)) for number in range(8)]

    async def images_in_time():
        for image in images:
            await asyncio.sleep(0.0005)
            yield image

    async def refused():
        async with AsyncClient(peer.address, backoff=QUICK) as client:
            for _ in range(40):
                with pytest.raises(DigitstripError, match="UNKNOWN"):
                    async for _ in client.recognize_many(images_in_time()):
                        pass

    asyncio.run(refused())
    assert len(peer.calls) == 40


def test_images_are_taken_in_no_faster_than_answers_are_taken(connect, peers):
    taken = 0

    def images():
        nonlocal taken
        for pair in numbered(1000):
            taken += 1
            yield pair

    answers = connect(peers().address).recognize_many(images(), in_flight=4)
    for count in range(1, 20):
        next(answers)
        time.sleep(0.02)  # whoever takes too many has the time to
        assert taken <= 4 + count - 1
    assert len(list(answers)) == 1000 - 19


def test_a_stream_waits_for_a_slow_caller_whatever_servers_do_meanwhile(connect, peers):
    first = peers()
    second = []

    def images():
        yield "image 0", b"0"
        first.stop()  # while the stream has nothing to do
        time.sleep(0.3)
        second.append(peers(port=first.port))
        time.sleep(2.0)
        yield "image 1", b"1"

    answers = connect(first.address, timeout=2.0).recognize_many(images(), in_flight=1)
    assert texts(answers) == whole(2)
    assert second[0].seen == [b"1"]


def test_an_error_of_the_callers_is_raised_when_the_rest_is_answered(connect, peers):
    def images():
        yield from numbered(3)
        raise KeyError("mine")

    answers = connect(peers().address).recognize_many(images())
    first_three = [next(answers) for _ in range(3)]
    with pytest.raises(KeyError, match="mine"):
        next(answers)
    assert sorted(texts(first_three)) == whole(3)


def test_an_option_that_makes_no_sense_is_refused_before_anything_is_sent(connect, peers):
    peer = peers()
    with pytest.raises(BadOption, match="alternatives = -1"):
        list(connect(peer.address).recognize_many(numbered(3), alternatives=-1))
    assert peer.seen == []


@pytest.mark.parametrize("kind", [list, iter, dict, aiter])
def test_the_async_client_takes_plain_iterables_too(peers, kind):
    pairs = numbered(5)

    async def asynchronous():
        for pair in pairs:
            yield pair

    async def read():
        images = asynchronous() if kind is aiter else kind(pairs)
        images = images.items() if kind is dict else images
        async with AsyncClient(peers().address) as client:
            return [answer async for answer in client.recognize_many(images)]

    assert sorted(texts(asyncio.run(read()))) == whole(5)


def test_a_stream_without_images_ends(connect, peers):
    assert list(connect(peers().address).recognize_many([])) == []


def test_a_stream_that_is_left_leaves_no_thread_behind(peers):
    with Client(peers().address) as client:
        answers = client.recognize_many(numbered(1000))
        next(answers)
        (taking_in,) = [each for each in threading.enumerate() if each.name == THREAD]
        answers.close()
    taking_in.join(5)
    assert not taking_in.is_alive()


def test_calls_go_to_each_server_in_turn(connect, peers):
    several = [peers() for _ in range(3)]
    client = connect([peer.address for peer in several])
    for _ in range(60):
        client.get_model()
    assert all(len(peer.calls) >= 10 for peer in several)


def test_no_call_goes_to_a_server_that_says_it_drains(connect, peers):
    several = [peers(), peers()]
    client = connect([peer.address for peer in several])
    for _ in range(20):
        client.get_model()
    assert several[0].calls
    several[0].health.enter_graceful_shutdown()

    def is_left_alone():
        before = len(several[0].calls)
        for _ in range(20):
            client.get_model()
        return len(several[0].calls) == before

    until(is_left_alone)  # health is watched: a call may be on its way when it changes
    assert is_left_alone()


def test_a_server_that_is_gone_fails_no_call(connect, peers):
    several = [peers(), peers()]
    client = connect([peer.address for peer in several])
    for number in range(40):
        if number == 10:
            several[0].stop()
        assert client.recognize(b"17").text == "17"


def test_a_server_that_comes_back_is_found(connect, peers):
    first = peers()
    client = connect(first.address, backoff=Backoff())
    client.recognize(b"1")
    first.stop()
    started = []
    timer = threading.Timer(0.5, lambda: started.append(peers(port=first.port)))
    timer.start()
    assert client.recognize(b"2").text == "2"
    timer.join()


def test_a_client_that_is_closed_does_not_try_again(peers, monkeypatch):
    peer = peers()
    monkeypatch.setattr(peer, "failure", lambda _: time.sleep(1))
    client = Client(peer.address)
    threading.Timer(0.3, client.close).start()
    with pytest.raises(ServerError, match="the client was closed"):
        client.recognize(b"17")


@pytest.mark.parametrize("error", [InputError, DigitstripError])
def test_errors_of_the_service_are_not_grpcs(error, peers):
    peer = peers([error("why")])
    with Client(peer.address) as client, pytest.raises(DigitstripError, match="why"):
        client.recognize(b"17")
