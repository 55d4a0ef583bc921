import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from service.errors import DeadlineTooShort, Overloaded
from service.workers.admission_queue import LATEST, OVERHEAD, SOONEST, Item, Lane
from tests.conftest import in_a_loop

LIMIT = 10 * OVERHEAD


def item(cost=OVERHEAD, deadline=None):
    return Item(b"", cost - OVERHEAD, deadline, answer=None, since=0.0)


def lane(readers=1):
    return Lane("small", LIMIT, readers)


def admit(lane, *costs):
    items = [item(cost) for cost in costs]
    for each in items:
        lane.admit(each, now=0.0)
    return items


def test_a_lane_takes_in_what_costs_no_more_than_its_limit_together():
    full = lane()
    admit(full, 6 * OVERHEAD, 4 * OVERHEAD)
    with pytest.raises(Overloaded):
        admit(full, OVERHEAD)


def test_an_image_costs_its_pixels_and_what_every_image_costs():
    assert Item(b"", 1000, None, None, 0.0).cost == 1000 + OVERHEAD


def test_an_idle_lane_takes_any_item():
    idle = lane()
    admit(idle, 100 * LIMIT)
    with pytest.raises(Overloaded):
        admit(idle, OVERHEAD)


def test_being_read_counts_as_well_as_waiting():
    busy = lane()
    first, second = admit(busy, LIMIT // 2, LIMIT // 2)
    assert busy.next() is first
    with pytest.raises(Overloaded):
        admit(busy, OVERHEAD)
    busy.release(first)
    admit(busy, LIMIT // 2)
    assert busy.next() is second


def test_a_refusal_says_what_was_seen_what_is_allowed_and_when_to_ask_again():
    full = lane()
    admit(full, LIMIT)
    with pytest.raises(Overloaded, match=f"counts {OVERHEAD:,}; at most {LIMIT:,}") as raised:
        admit(full, OVERHEAD)
    assert raised.value.retry_after == SOONEST  # nothing is known of the pace yet


@given(st.floats(1e-9, 1e9), st.integers(1, 8))
def test_when_to_ask_again_is_bounded_whatever_the_pace(seconds, readers):
    full = lane(readers)
    (read, _) = admit(full, LIMIT // 2, LIMIT // 2)
    full.learn(read, seconds)
    with pytest.raises(Overloaded) as raised:
        admit(full, OVERHEAD)
    assert SOONEST <= raised.value.retry_after <= LATEST


def test_the_expected_seconds_follow_what_readers_took():
    learning = lane()
    assert learning.expected_seconds(LIMIT) == 0
    (read,) = admit(learning, LIMIT)
    learning.learn(read, 2.0)
    assert learning.expected_seconds(LIMIT) == pytest.approx(2)
    assert learning.expected_seconds(LIMIT // 2) == pytest.approx(1)
    for _ in range(200):
        learning.learn(read, 4.0)
    assert learning.expected_seconds(LIMIT) == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(("readers", "seconds"), [(1, 2), (4, 0.5)])
def test_the_wait_is_shared_by_the_readers(readers, seconds):
    busy = lane(readers)
    (waits,) = admit(busy, LIMIT)
    busy.learn(waits, 2.0)
    assert busy.wait == pytest.approx(seconds)


def test_without_experience_only_a_deadline_that_has_passed_is_refused():
    new = lane()
    new.admit(item(deadline=5.0), now=4.99)
    with pytest.raises(DeadlineTooShort, match=r"0\.000 s are left"):
        new.admit(item(deadline=5.0), now=5.0)


def test_a_deadline_that_waiting_alone_would_miss_is_refused():
    busy = lane()
    (waits,) = admit(busy, LIMIT // 2)
    busy.learn(waits, 2.0)
    with pytest.raises(DeadlineTooShort, match="waiting and reading would take about 2"):
        busy.admit(item(deadline=1.5), now=0.0)
    busy.admit(item(deadline=3.0), now=0.0)


def test_a_lane_is_full_once_it_has_no_room_for_what_images_usually_cost():
    shared = Lane("small", 10 * OVERHEAD, 1)
    assert not shared.full
    items = admit(shared, *[2 * OVERHEAD] * 4)
    assert not shared.full  # an image as all others fits
    items += admit(shared, OVERHEAD)
    assert shared.full
    assert isinstance(shared.overloaded(), Overloaded)
    for each in items:
        shared.release(each)
    assert not shared.full


def test_a_refused_item_costs_nothing():
    busy = lane()
    (waits,) = admit(busy, LIMIT)
    for refused in (item(OVERHEAD), item(OVERHEAD, deadline=-1.0)):
        with pytest.raises(Overloaded):
            busy.admit(refused, now=0.0)
    assert (busy.in_flight, list(busy.waiting)) == (LIMIT, [waits])


def test_who_comes_first_is_read_first_but_for_one_whose_reader_died():
    queue = lane()
    first, second, third = admit(queue, *3 * [OVERHEAD])
    assert queue.next() is first
    queue.put_back(first)
    assert [queue.next() for _ in range(3)] == [first, second, third]
    assert queue.in_flight == 3 * OVERHEAD


def test_what_is_dropped_waits_and_costs_no_longer():
    queue = lane()
    first, second = admit(queue, OVERHEAD, 2 * OVERHEAD)
    assert queue.drop(first)
    assert not queue.drop(first)
    assert (queue.in_flight, list(queue.waiting)) == (2 * OVERHEAD, [second])
    assert queue.next() is second
    assert not queue.drop(second)  # it is being read
    assert queue.in_flight == 2 * OVERHEAD


def test_the_age_is_how_long_the_first_in_the_queue_has_waited():
    queue = lane()
    assert queue.age(now=3.0) == 0
    admit(queue, OVERHEAD, OVERHEAD)
    assert queue.age(now=3.0) == 3


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


class Patient:
    """Callers who wait for room, and the order in which they came in."""

    def __init__(self, lane):
        self.lane, self.came_in = lane, []

    def ask(self, name, cost=OVERHEAD):
        return asyncio.create_task(self._come(name, cost))

    async def _come(self, name, cost):
        await self.lane.room(cost)
        self.lane.admit(item(cost), now=0.0)
        self.came_in.append(name)


@in_a_loop
async def test_the_patient_leave_half_of_a_lane_to_those_who_cannot_wait():
    shared = lane()
    patient = Patient(shared)
    for name in range(10):
        patient.ask(name)
    await settle()
    assert patient.came_in == [0, 1, 2, 3, 4]
    admit(shared, 5 * OVERHEAD)


@in_a_loop
async def test_the_patient_come_in_in_the_order_in_which_they_asked():
    shared = lane()
    patient = Patient(shared)
    for name in range(20):
        patient.ask(name, (1 + name % 4) * OVERHEAD)
    while len(patient.came_in) < 20:
        await settle()
        shared.release(shared.next())
    assert patient.came_in == list(range(20))


@in_a_loop
async def test_nobody_overtakes_a_patient_caller_who_was_told_of_room_and_has_not_run_yet():
    shared = lane()
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
    shared = lane()
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
async def test_a_large_item_of_a_patient_caller_is_not_overtaken_for_ever_by_small_ones():
    shared = lane()
    patient = Patient(shared)
    patient.ask("small")
    await settle()
    patient.ask("large", LIMIT)
    for name in range(3):
        patient.ask(name)
    await settle()
    assert patient.came_in == ["small"]
    shared.release(shared.next())
    await settle()
    assert patient.came_in == ["small", "large"]


@in_a_loop
async def test_a_patient_item_of_over_half_a_lane_needs_no_idle_one():
    shared = lane()
    admit(shared, LIMIT // 4)
    await asyncio.wait_for(shared.room(3 * LIMIT // 4), 5)


@pytest.mark.parametrize("told_already", [False, True])
def test_a_patient_caller_who_leaves_takes_nobodys_turn(told_already):
    async def leave():
        shared = lane()
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
async def test_a_patient_caller_who_is_refused_after_all_takes_nobodys_turn():
    shared = lane()
    admit(shared, LIMIT)

    async def too_late():
        await shared.room(OVERHEAD)
        with pytest.raises(DeadlineTooShort):
            shared.admit(item(deadline=0.0), now=1.0)

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
    """Whatever happens to items, a lane's books are right."""

    waiting, reading = Bundle("waiting"), Bundle("reading")

    def __init__(self):
        super().__init__()
        self.lane = lane(readers=2)
        self.inside = set()

    @rule(target=waiting, cost=st.integers(OVERHEAD, 2 * LIMIT))
    def admit(self, cost):
        new = item(cost)
        fits = not self.lane.in_flight or self.lane.in_flight + cost <= LIMIT
        if fits:
            self.lane.admit(new, now=0.0)
            self.inside.add(new)
        else:
            with pytest.raises(Overloaded) as raised:
                self.lane.admit(new, now=0.0)
            assert SOONEST <= raised.value.retry_after <= LATEST
        return new

    @rule(target=reading)
    def next(self):
        return self.lane.next() if self.lane.waiting else item()

    @rule(dropped=consumes(waiting))
    def drop(self, dropped):
        waited = dropped in self.lane.waiting
        assert self.lane.drop(dropped) == waited
        if waited:
            self.inside.discard(dropped)

    @rule(done=consumes(reading), seconds=st.floats(0, 100))
    def release(self, done, seconds):
        if done in self.inside and done not in self.lane.waiting:
            self.lane.learn(done, seconds)
            self.lane.release(done)
            self.inside.discard(done)

    @rule(died_over=consumes(reading))
    def put_back(self, died_over):
        if died_over in self.inside and died_over not in self.lane.waiting:
            self.lane.put_back(died_over)
            assert self.lane.waiting[0] is died_over

    @invariant()
    def in_flight_is_what_is_inside(self):
        assert self.lane.in_flight == sum(each.cost for each in self.inside) >= 0
        assert len(self.inside) <= 1 or self.lane.in_flight <= LIMIT
        assert set(self.lane.waiting) <= self.inside
        assert self.lane.wait >= 0

    def teardown(self):
        for each in self.inside:
            if not self.lane.drop(each):
                self.lane.release(each)
        assert (self.lane.in_flight, self.lane.wait) == (0, 0)


TestBooks = Books.TestCase
