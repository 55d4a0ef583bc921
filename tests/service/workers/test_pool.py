import asyncio
import io
import os
import signal
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from service.api.options import to_image
from service.api.responses import to_response
from service.api.wire import request_pixels
from service.errors import (
    BadConstraint,
    DeadlineTooShort,
    DigitstripError,
    ModelError,
    Overloaded,
    ReadingTooLong,
    ServerStopping,
    SettingsError,
    UnknownFormat,
    WorkerDied,
)
from service.imaging.decode import decode
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from service.workers.constraint_costs import NEW_PER_WORKER, key_of
from service.workers.pool import PoolSize, WorkerPool
from service.workers.worker_config import WorkerConfig
from tests.conftest import STRIPS, in_a_loop

NAME = "postcode-ruled.png"
SIZE = PoolSize(workers=1, large_pixels=150_000)
LARGE = np.full((40, 5000), 255, np.uint8)


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


class Killer:
    """Ends workers with SIGKILL, as Linux does when it is short of memory."""

    def __init__(self):
        self.pool = None
        self.left = 0  # workers to end as soon as they are ready and were given what waits

    def changed(self, ready):
        if self.left and ready:
            self.left -= 1
            send(self.pool, signal.SIGKILL)


def new_pool(sizes=SIZE, files=None, config=None, killer=None):
    pool = WorkerPool(
        config or WorkerConfig(),
        ModelFiles.read() if files is None else files,
        sizes,
        *([killer.changed] if killer else []),
    )
    if killer:
        killer.pool = pool
    return pool


def request(image=NAME, page=0):
    image = (STRIPS / image).read_bytes() if isinstance(image, str) else image
    return pb.RecognizeRequest(image=to_image(image, page))


async def read(pool, image=NAME, page=0, **how):
    message = request(image, page)
    serialized = message.SerializeToString()
    answer = await pool.recognize(serialized, request_pixels(serialized), **how)
    if isinstance(answer, DigitstripError):
        raise answer
    return pb.RecognizeResponse.FromString(answer.response)


def soon(pool, *arguments, **how):
    return asyncio.create_task(read(pool, *arguments, **how))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


async def at_work(group, images=1):
    """Return once a worker of a group has one of so many images, and the others wait."""
    queue = group.queue
    await until(lambda: queue.in_flight and group.workers and len(queue.waiting) <= images - 1)


def send(pool, sign):
    for pid in pool.pids:
        os.kill(pid, sign)


def exists(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def alone(recognizer, image=NAME):
    gray = image if isinstance(image, np.ndarray) else decode((STRIPS / image).read_bytes()).gray
    return to_response(recognizer.recognize(gray), recognizer)


@in_a_loop
async def test_a_pool_answers_as_the_recognizer_does_here(recognizer, truths):
    async with new_pool(PoolSize(workers=2)) as pool:
        answers = await asyncio.gather(*(read(pool, name) for name in truths))
        assert answers == [alone(recognizer, name) for name in truths]
        assert pool.described.digest == recognizer.scorer.digest
        with pytest.raises(UnknownFormat):
            await read(pool, b"hello, world")
        assert len(pool.regular.workers) == 2
        answer = await pool.recognize(request().SerializeToString(), 1)
        assert answer.seconds.keys() == {"queue", "decode", "normalize", "score", "search"}
        assert all(seconds >= 0 for seconds in answer.seconds.values())
        assert [group.queue.in_flight for group in pool.groups] == [0, 0]


@in_a_loop
async def test_callers_notice_no_worker_that_dies_idle_or_while_it_reads(recognizer):
    async with new_pool() as pool:
        send(pool, signal.SIGKILL)
        assert await read(pool) == alone(recognizer)
        assert pool.deaths == 1
        send(pool, signal.SIGSTOP)  # it is at work until it dies
        reading = [soon(pool) for _ in range(3)]
        await at_work(pool.regular, 3)
        send(pool, signal.SIGKILL)
        assert await asyncio.gather(*reading) == 3 * [alone(recognizer)]
        assert pool.deaths == 2
        await until(lambda: len(pool.regular.workers) == 1)
        assert (len(pool.pids), pool.regular.queue.in_flight) == (1, 0)


@in_a_loop
async def test_an_image_over_which_two_workers_die_is_refused_and_the_next_is_read(recognizer):
    killer = Killer()
    async with new_pool(killer=killer) as pool:
        send(pool, signal.SIGSTOP)
        deadly, harmless = soon(pool, "serial.tif"), soon(pool)
        await at_work(pool.regular, 2)
        killer.left = 1
        send(pool, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="2 worker processes died"):
            await deadly
        assert await harmless == alone(recognizer)
        assert (pool.deaths, pool.regular.queue.in_flight) == (2, 0)


@in_a_loop
async def test_a_worker_that_hangs_is_ended_and_replaced():
    async with new_pool(PoolSize(workers=1, image_seconds=0.3)) as pool:
        (hung,) = pool.pids
        send(pool, signal.SIGSTOP)
        with pytest.raises(ReadingTooLong, match=r"more than 0\.3 s, the maximum that is allowed"):
            await read(pool)
        await until(lambda: pool.pids not in ([], [hung]))
        assert (exists(hung), pool.regular.queue.in_flight) == (False, 0)


@in_a_loop
async def test_callers_who_leave_give_back_their_room_and_end_what_is_read_for_them(
    monkeypatch, recognizer
):
    monkeypatch.setattr("service.workers.group.ABANDONED_SECONDS", 0.1)
    async with new_pool() as pool:
        send(pool, signal.SIGSTOP)
        (hung,) = pool.pids
        read_now, waits = soon(pool), soon(pool)
        await at_work(pool.regular, 2)
        both = pool.regular.queue.in_flight
        waits.cancel()
        await until(lambda: pool.regular.queue.in_flight == both / 2)
        read_now.cancel()
        await until(lambda: pool.regular.queue.in_flight == 0)
        assert await read(pool) == alone(recognizer)
        assert hung not in pool.pids
        assert not exists(hung)


@in_a_loop
async def test_a_large_page_whose_caller_left_is_ended(monkeypatch):
    monkeypatch.setattr("service.workers.group.ABANDONED_SECONDS", 0.1)
    async with new_pool() as pool:
        large = soon(pool, LARGE)
        await until(lambda: len(pool.large.workers))
        send(pool, signal.SIGSTOP)
        large.cancel()
        await until(lambda: pool.large.queue.in_flight == 0)
        await until(lambda: len(pool.large.workers) == 0)


@in_a_loop
async def test_large_pages_do_not_delay_small_ones(recognizer):
    async with new_pool() as pool:
        (regular_worker,) = pool.pids
        assert len(pool.large.workers) == 0
        large = [soon(pool, LARGE), soon(pool, LARGE)]
        await until(lambda: len(pool.large.workers))
        (large_worker,) = set(pool.pids) - {regular_worker}
        os.kill(large_worker, signal.SIGSTOP)
        assert await read(pool) == alone(recognizer)
        assert os.getpriority(os.PRIO_PROCESS, large_worker) > os.getpriority(
            os.PRIO_PROCESS, regular_worker
        )
        os.kill(large_worker, signal.SIGCONT)
        assert await asyncio.gather(*large) == 2 * [alone(recognizer, LARGE)]


@in_a_loop
async def test_the_worker_for_large_pages_ends_when_it_is_idle_and_another_starts_for_the_next(
    monkeypatch,
):
    monkeypatch.setattr("service.workers.group.IDLE_SECONDS", 0.1)
    async with new_pool() as pool:
        first = await read(pool, LARGE)
        await until(lambda: len(pool.pids) == 1)
        assert len(pool.large.workers) == 0
        assert await read(pool, LARGE) == first
        assert pool.deaths == 0


@in_a_loop
async def test_a_page_larger_than_declared_is_recognized_by_the_worker_for_large_ones(recognizer):
    pipe = io.BytesIO()
    large = Image.fromarray(LARGE)
    Image.new("L", (30, 20)).save(pipe, "TIFF", save_all=True, append_images=[large])
    async with new_pool() as pool:
        declared = request(pipe.getvalue(), 1).SerializeToString()
        assert request_pixels(declared) == 600
        assert await read(pool, pipe.getvalue(), page=1) == alone(recognizer, LARGE)
        assert len(pool.large.workers) == 1
        assert [group.queue.in_flight for group in pool.groups] == [0, 0]


def costly(number):
    """A small request whose constraint takes a worker long; no two are alike."""
    message = request("one-digit.png")
    message.constraint.pattern = rf"\d*{number % 10}\d{{8}}"
    message.constraint.check_digit = pb.CHECK_DIGIT_MOD97
    message.constraint.length.max = 200 + number // 10
    return message.SerializeToString()


@in_a_loop
async def test_constraints_that_take_long_are_admitted_by_what_they_take():
    async with new_pool() as pool:
        first = await asyncio.gather(*(pool.recognize(costly(at), 17_000) for at in range(20)))
        refused = [answer for answer in first if isinstance(answer, Overloaded)]
        assert 20 - NEW_PER_WORKER <= len(refused) < 20  # though nothing was known of them
        later = await asyncio.gather(*(pool.recognize(costly(at), 17_000) for at in range(20, 40)))
        admitted = [answer for answer in later if not isinstance(answer, Overloaded)]
        assert 1 <= len(admitted) <= NEW_PER_WORKER
        assert pool.regular.queue.in_flight == 0


@in_a_loop
async def test_what_failing_constraints_take_is_learned_and_leaves_the_pace_as_it_was():
    async with new_pool() as pool:
        for _ in range(5):
            await read(pool)
        pace = pool.regular.queue.expected_seconds(100_000)
        for at in range(5):
            assert isinstance(await pool.recognize(costly(at), 17_000), BadConstraint)
        assert pool.regular.queue.expected_seconds(100_000) == pace
        expected = pool._constraints.expected(key_of(b"another"))
        assert expected > 0.01
        late = await pool.recognize(costly(6), 17_000, seconds_left=expected / 4)
        assert isinstance(late, DeadlineTooShort)
        again = await pool.recognize(costly(1), 17_000, seconds_left=0.01)
        assert isinstance(again, DeadlineTooShort)


@in_a_loop
async def test_a_full_pool_refuses_at_once_but_has_the_patient_wait(recognizer):
    async with new_pool(PoolSize(workers=1, queue_pixels=1)) as pool:
        send(pool, signal.SIGSTOP)
        first = soon(pool)
        await at_work(pool.regular)
        with pytest.raises(Overloaded):
            await read(pool)
        patient = [soon(pool, patient=True) for _ in range(3)]
        await asyncio.sleep(0)
        send(pool, signal.SIGCONT)
        assert await asyncio.gather(first, *patient) == 4 * [alone(recognizer)]


@in_a_loop
async def test_an_image_whose_deadline_passed_while_it_waited_is_not_read():
    async with new_pool() as pool:
        send(pool, signal.SIGSTOP)
        first, late = soon(pool), soon(pool, seconds_left=0.05)
        await at_work(pool.regular, 2)
        await asyncio.sleep(0.1)
        send(pool, signal.SIGCONT)
        with pytest.raises(DeadlineTooShort):
            await late
        await first
        assert pool.regular.queue.in_flight == 0


@in_a_loop
async def test_a_reload_reads_with_the_new_model_and_finishes_work_in_progress_with_the_old(
    recognizer, calibrated_model
):
    async with new_pool() as pool:
        old, (old_worker,) = recognizer.scorer.digest, pool.pids
        send(pool, signal.SIGSTOP)
        in_hand, waits = soon(pool), soon(pool)
        await at_work(pool.regular, 2)
        described = await pool.reload(ModelFiles.read(calibrated_model))
        assert described.digest == pool.described.digest != old
        assert (await waits).model_digest == described.digest
        os.kill(old_worker, signal.SIGCONT)
        assert (await in_hand).model_digest == old
        await until(lambda: old_worker not in pool.pids)
        assert (pool.deaths, len(pool.pids), exists(old_worker)) == (0, 1, False)


@in_a_loop
async def test_a_bad_model_changes_nothing(recognizer):
    async with new_pool() as pool:
        workers = pool.pids
        with pytest.raises(ModelError):
            await pool.reload(ModelFiles(b"no model at all"))
        assert await read(pool) == alone(recognizer)
        assert pool.described.digest == recognizer.scorer.digest
        await until(lambda: pool.pids == workers)
        assert pool.deaths == 0


@in_a_loop
async def test_large_pages_that_wait_during_a_reload_are_read_with_the_new_model(
    recognizer, calibrated_model
):
    async with new_pool() as pool:
        first, second = soon(pool, LARGE), soon(pool, LARGE)
        await until(lambda: len(pool.large.workers))
        workers = pool.pids
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        described = await pool.reload(ModelFiles.read(calibrated_model))
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert (await first).model_digest == recognizer.scorer.digest
        assert (await second).model_digest == described.digest


@in_a_loop
async def test_a_worker_that_dies_during_a_reload_leaves_as_many_as_there_should_be(
    calibrated_model,
):
    async with new_pool() as pool:
        send(pool, signal.SIGKILL)
        described = await pool.reload(ModelFiles.read(calibrated_model))
        assert (await read(pool)).model_digest == described.digest
        await until(lambda: not pool.regular._starting)
        await until(lambda: len(pool.pids) == 1)
        assert len(pool.regular.workers) == 1


@in_a_loop
async def test_closing_refuses_what_is_left_and_leaves_no_process_behind():
    pool = new_pool()
    await pool.start()
    large = soon(pool, LARGE)
    await until(lambda: len(pool.large.workers))
    workers = pool.pids
    send(pool, signal.SIGSTOP)
    left = [large, soon(pool), soon(pool)]
    await at_work(pool.regular, 2)
    await pool.close()
    assert [type(each) for each in await asyncio.gather(*left, return_exceptions=True)] == (
        3 * [ServerStopping]
    )
    assert len(workers) == 2
    assert not any(map(exists, workers))
    with pytest.raises(ServerStopping):
        await read(pool)


@in_a_loop
async def test_closing_during_a_reload_leaves_no_process_behind(calibrated_model):
    pool = new_pool()
    others = children()
    await pool.start()
    before = children()
    reloading = asyncio.create_task(pool.reload(ModelFiles.read(calibrated_model)))
    await until(lambda: children() > before)
    await pool.close()
    with pytest.raises(ServerStopping):
        await reloading
    assert children() == others
    assert pool.pids == []


def children():
    """The process ids of this process's children."""
    own = f"/proc/self/task/{os.getpid()}/children"
    with open(own) as file:  # noqa: PTH123 - the kernel's file
        return set(map(int, file.read().split()))


@pytest.mark.parametrize(
    ("files", "config", "kind"),
    [
        (ModelFiles(b"no model at all"), WorkerConfig(), ModelError),
        (None, WorkerConfig(providers=("Abacus",)), SettingsError),
    ],
    ids=["model", "provider"],
)
@in_a_loop
async def test_a_pool_whose_workers_cannot_start_says_why(files, config, kind):
    pool = new_pool(PoolSize(workers=2), files, config)
    with pytest.raises(kind):
        await pool.start()
    await pool.close()
    assert pool.pids == []
