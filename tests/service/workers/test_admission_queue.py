import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from service.errors import DeadlineTooShort, Overloaded
from service.workers.admission_queue import (
    MAX_RETRY_S,
    MIN_RETRY_S,
    OVERHEAD,
    AdmissionQueue,
    Job,
)
from tests.conftest import in_a_loop

LIMIT = 10 * OVERHEAD


def job(cost=OVERHEAD, deadline=None):
    return Job(b"", cost - OVERHEAD, deadline, answer=None, since=0.0)


def queue(workers=1):
    return AdmissionQueue("regular", LIMIT, workers)


def admit(queue, *costs):
    jobs = [job(cost) for cost in costs]
    for each in jobs:
        queue.admit(each, now=0.0)
    return jobs


def test_a_queue_takes_in_what_costs_no_more_than_its_limit_together():
    full = queue()
    admit(full, 6 * OVERHEAD, 4 * OVERHEAD)
    with pytest.raises(Overloaded):
        admit(full, OVERHEAD)


def test_an_image_costs_its_pixels_and_what_every_image_costs():
    assert Job(b"", 1000, None, None, 0.0).cost == 1000 + OVERHEAD


def test_an_idle_queue_takes_any_job():
    idle = queue()
    admit(idle, 100 * LIMIT)
    with pytest.raises(Overloaded):
        admit(idle, OVERHEAD)


def test_being_read_counts_as_well_as_waiting():
    busy = queue()
    first, second = admit(busy, LIMIT // 2, LIMIT // 2)
    assert busy.next() is first
    with pytest.raises(Overloaded):
        admit(busy, OVERHEAD)
    busy.release(first)
    admit(busy, LIMIT // 2)
    assert busy.next() is second


def test_a_refusal_says_what_was_seen_what_is_allowed_and_when_to_retry():
    full = queue()
    admit(full, LIMIT)
    with pytest.raises(Overloaded, match=f"counts {OVERHEAD:,}; at most {LIMIT:,}") as raised:
        admit(full, OVERHEAD)
    assert raised.value.retry_after == MIN_RETRY_S  # nothing is known of the pace yet


@given(st.floats(1e-9, 1e9), st.integers(1, 8))
def test_when_to_retry_is_bounded_whatever_the_pace(seconds, workers):
    full = queue(workers)
    (read, _) = admit(full, LIMIT // 2, LIMIT // 2)
    full.learn(read, seconds)
    with pytest.raises(Overloaded) as raised:
        admit(full, OVERHEAD)
    assert MIN_RETRY_S <= raised.value.retry_after <= MAX_RETRY_S


def test_the_expected_seconds_follow_what_workers_took():
    learning = queue()
    assert learning.expected_seconds(LIMIT) == 0
    (read,) = admit(learning, LIMIT)
    learning.learn(read, 2.0)
    assert learning.expected_seconds(LIMIT) == pytest.approx(2)
    assert learning.expected_seconds(LIMIT // 2) == pytest.approx(1)
    for _ in range(200):
        learning.learn(read, 4.0)
    assert learning.expected_seconds(LIMIT) == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 2), (4, 0.5)])
def test_the_wait_is_shared_by_the_workers(workers, seconds):
    busy = queue(workers)
    (waits,) = admit(busy, LIMIT)
    busy.learn(waits, 2.0)
    assert busy.wait == pytest.approx(seconds)


def test_without_experience_only_a_deadline_that_has_passed_is_refused():
    new = queue()
    new.admit(job(deadline=5.0), now=4.99)
    with pytest.raises(DeadlineTooShort, match=r"0\.000 s are left"):
        new.admit(job(deadline=5.0), now=5.0)


def test_a_deadline_that_waiting_alone_would_miss_is_refused():
    busy = queue()
    (waits,) = admit(busy, LIMIT // 2)
    busy.learn(waits, 2.0)
    with pytest.raises(DeadlineTooShort, match="waiting and recognizing would take about 2"):
        busy.admit(job(deadline=1.5), now=0.0)
    busy.admit(job(deadline=3.0), now=0.0)


def test_a_queue_is_full_once_it_has_no_room_for_what_images_usually_cost():
    shared = AdmissionQueue("regular", 10 * OVERHEAD, 1)
    assert not shared.full
    jobs = admit(shared, *[2 * OVERHEAD] * 4)
    assert not shared.full  # an image as all others fits
    jobs += admit(shared, OVERHEAD)
    assert shared.full
    assert isinstance(shared.overloaded(), Overloaded)
    for each in jobs:
        shared.release(each)
    assert not shared.full


def test_a_refused_job_costs_nothing():
    busy = queue()
    (waits,) = admit(busy, LIMIT)
    for refused in (job(OVERHEAD), job(OVERHEAD, deadline=-1.0)):
        with pytest.raises(Overloaded):
            busy.admit(refused, now=0.0)
    assert (busy.in_flight, list(busy.waiting)) == (LIMIT, [waits])


def test_who_comes_first_is_read_first_but_for_one_whose_reader_died():
    waiting = queue()
    first, second, third = admit(waiting, *3 * [OVERHEAD])
    assert waiting.next() is first
    waiting.put_back(first)
    assert [waiting.next() for _ in range(3)] == [first, second, third]
    assert waiting.in_flight == 3 * OVERHEAD


def test_what_is_dropped_waits_and_costs_no_longer():
    waiting = queue()
    first, second = admit(waiting, OVERHEAD, 2 * OVERHEAD)
    assert waiting.drop(first)
    assert not waiting.drop(first)
    assert (waiting.in_flight, list(waiting.waiting)) == (2 * OVERHEAD, [second])
    assert waiting.next() is second
    assert not waiting.drop(second)  # it is being read
    assert waiting.in_flight == 2 * OVERHEAD


def test_the_age_is_how_long_the_first_in_the_queue_has_waited():
    waiting = queue()
    assert waiting.age(now=3.0) == 0
    admit(waiting, OVERHEAD, OVERHEAD)
    assert waiting.age(now=3.0) == 3


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


class Patient:
    """Callers who wait for room, and the order in which they came in."""

    def __init__(self, queue):
        self.queue, self.came_in = queue, []

    def ask(self, name, cost=OVERHEAD):
        return asyncio.create_task(self._come(name, cost))

    async def _come(self, name, cost):
        await self.queue.room(cost)
        self.queue.admit(job(cost), now=0.0)
        self.came_in.append(name)


@in_a_loop
async def test_the_patient_leave_half_of_a_queue_to_those_who_cannot_wait():
    shared = queue()
    patient = Patient(shared)
    for name in range(10):
        patient.ask(name)
    await settle()
    assert patient.came_in == [0, 1, 2, 3, 4]
    admit(shared, 5 * OVERHEAD)


@in_a_loop
async def test_the_patient_come_in_in_the_order_in_which_they_asked():
    shared = queue()
    patient = Patient(shared)
    for name in range(20):
        patient.ask(name, (1 + name % 4) * OVERHEAD)
    while len(patient.came_in) < 20:
        await settle()
        shared.release(shared.next())
    assert patient.came_in == list(range(20))


@in_a_loop
async def test_no_caller_overtakes_a_patient_one_that_was_notified_of_room_and_has_not_run_yet():
    shared = queue()
    admit(shared, 5 * OVERHEAD)
    patient = Patient(shared)
    patient.ask("first")
    await settle()
    shared.release(shared.next())
    patient.ask("second")
    await settle()
    assert patient.came_in == ["first", "second"]


@in_a_loop
async def test_those_told_of_room_that_others_took_keep_their_order():
    shared = queue()
    admit(shared, 5 * OVERHEAD)
    patient = Patient(shared)
    for name in "abc":
        patient.ask(name)
    await settle()
    shared.release(shared.next())
    shared.release(*admit(shared, OVERHEAD))  # looks for whom to tell once more
    admit(shared, 5 * OVERHEAD)
    await settle()
    assert patient.came_in == []
    while shared.waiting:
        shared.drop(shared.waiting[0])
    await settle()
    assert patient.came_in == ["a", "b", "c"]


@in_a_loop
async def test_a_large_job_of_a_patient_caller_is_not_overtaken_for_ever_by_small_ones():
    shared = queue()
    patient = Patient(shared)
    patient.ask("regular")
    await settle()
    patient.ask("large", LIMIT)
    for name in range(3):
        patient.ask(name)
    await settle()
    assert patient.came_in == ["regular"]
    shared.release(shared.next())
    await settle()
    assert patient.came_in == ["regular", "large"]


@in_a_loop
async def test_a_patient_job_of_over_half_a_queue_needs_no_idle_one():
    shared = queue()
    admit(shared, LIMIT // 4)
    await asyncio.wait_for(shared.room(3 * LIMIT // 4), 5)


@pytest.mark.parametrize("told_already", [False, True])
def test_a_patient_caller_who_leaves_takes_no_other_turn(told_already):
    async def leave():
        shared = queue()
        admit(shared, LIMIT)
        patient = Patient(shared)
        leaving = patient.ask("leaving")
        patient.ask("staying")
        await settle()
        if told_already:
            shared.release(shared.next())
        leaving.cancel()
        await settle()
        if not told_already:
            shared.release(shared.next())
            await settle()
        assert patient.came_in == ["staying"]

    asyncio.run(leave())


@in_a_loop
async def test_a_patient_caller_who_is_refused_after_all_takes_no_other_turn():
    shared = queue()
    admit(shared, LIMIT)

    async def too_late():
        await shared.room(OVERHEAD)
        with pytest.raises(DeadlineTooShort):
            shared.admit(job(deadline=0.0), now=1.0)

    refused = asyncio.create_task(too_late())
    await settle()
    patient = Patient(shared)
    patient.ask("next")
    await settle()
    shared.release(shared.next())
    await refused
    await settle()
    assert patient.came_in == ["next"]


class Books(RuleBasedStateMachine):
    """Whatever happens to jobs, a queue's books are right."""

    waiting, reading = Bundle("waiting"), Bundle("reading")

    def __init__(self):
        super().__init__()
        self.queue = queue(workers=2)
        self.inside = set()

    @rule(target=waiting, cost=st.integers(OVERHEAD, 2 * LIMIT))
    def admit(self, cost):
        new = job(cost)
        fits = not self.queue.in_flight or self.queue.in_flight + cost <= LIMIT
        if fits:
            self.queue.admit(new, now=0.0)
            self.inside.add(new)
        else:
            with pytest.raises(Overloaded) as raised:
                self.queue.admit(new, now=0.0)
            assert MIN_RETRY_S <= raised.value.retry_after <= MAX_RETRY_S
        return new

    @rule(target=reading)
    def next(self):
        return self.queue.next() if self.queue.waiting else job()

    @rule(dropped=consumes(waiting))
    def drop(self, dropped):
        waited = dropped in self.queue.waiting
        assert self.queue.drop(dropped) == waited
        if waited:
            self.inside.discard(dropped)

    @rule(done=consumes(reading), seconds=st.floats(0, 100))
    def release(self, done, seconds):
        if done in self.inside and done not in self.queue.waiting:
            self.queue.learn(done, seconds)
            self.queue.release(done)
            self.inside.discard(done)

    @rule(died_over=consumes(reading))
    def put_back(self, died_over):
        if died_over in self.inside and died_over not in self.queue.waiting:
            self.queue.put_back(died_over)
            assert self.queue.waiting[0] is died_over

    @invariant()
    def in_flight_is_what_is_inside(self):
        assert self.queue.in_flight == sum(each.cost for each in self.inside) >= 0
        assert len(self.inside) <= 1 or self.queue.in_flight <= LIMIT
        assert set(self.queue.waiting) <= self.inside
        assert self.queue.wait >= 0

    def teardown(self):
        for each in self.inside:
            if not self.queue.drop(each):
                self.queue.release(each)
        assert (self.queue.in_flight, self.queue.wait) == (0, 0)


TestBooks = Books.TestCase
