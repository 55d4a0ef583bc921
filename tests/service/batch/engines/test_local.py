"""What becomes of items that kill or hang a worker, and of what is torn or unsorted."""

import os
import signal
import time
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from service.batch.engines.local import LocalEngine
from service.batch.inputs.expand import Inputs
from service.batch.inputs.items import Item
from service.batch.inputs.listing import sorted_on_disk
from service.batch.job import Job, plan_of, settings_of
from service.batch.pages import Status
from service.batch.plan import Place
from service.imaging.files import expand
from service.pb import recognizer_pb2 as pb
from tests.conftest import STRIPS

JOB = Job(STRIPS / "none.jsonl", pb.RecognizeRequest())
NAME = str(STRIPS / "one-digit.png")


@dataclass(frozen=True, slots=True)
class Poison(Item):
    """An item that crashes whoever reads it."""

    def pieces(self, max_bytes):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Endless(Item):
    """An item that is never read to its end."""

    def pieces(self, max_bytes):
        time.sleep(600)


def read(items, **more):
    places = (Place(number, 0, item) for number, item in enumerate(items))
    plan = replace(plan_of(JOB), **more)
    with LocalEngine(plan, 2) as engine:
        return list(engine.read(places))


def test_an_item_that_kills_its_worker_is_set_aside_and_no_other_is_lost():
    sound = Item(NAME, NAME)
    items = [*[sound] * 5, Poison("poison.png"), *[sound] * 40]
    answers = read(items)
    assert [answer.place.number for answer in answers] == list(range(46))
    failed = [answer for answer in answers if answer.pages[0].status.is_failure]
    assert [answer.place.item.source for answer in failed] == ["poison.png"]
    assert b'"reason": "READER_DIED"' in failed[0].pages[0].row
    assert len({answer.pages[0].row for answer in answers}) == 2


def test_an_item_that_takes_too_long_is_set_aside():
    answers = read([Endless("endless.png"), Item(NAME, NAME)], seconds=8.0)
    assert b'"reason": "READING_TOO_LONG"' in answers[0].pages[0].row
    assert answers[1].pages[0].status is Status.READ


def test_a_folder_is_read_in_the_order_of_read(tmp_path):
    for name in ("b/2.png", "b/10.png", "b.png", "a/x/1.PNG", "a/y.jpg", "c.txt", "ä.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [item.source for item in Inputs([str(tmp_path)])] == [
        source.name for source in expand([str(tmp_path)])
    ]


@given(st.lists(st.tuples(st.text(), st.booleans())))
def test_entries_are_sorted_in_runs_as_they_are_at_once(entries):
    assert list(sorted_on_disk(entries, run=3)) == sorted(entries)


def test_what_rows_depend_on_is_in_the_settings():
    settings = settings_of(JOB, plan_of(JOB))
    assert {"model", "version", "request", "dpi"} < settings.keys()
