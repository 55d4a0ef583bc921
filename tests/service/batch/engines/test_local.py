"""What becomes of items that kill or hang a worker, and of what is torn or unsorted."""

import hashlib
import os
import signal
import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.batch.engines import worker as module
from service.batch.engines.local import LocalEngine
from service.batch.engines.worker import Loaded
from service.batch.job import Job, plan_of, settings_of
from service.batch.pages import PageStatus
from service.batch.plan import Place
from service.errors import TooManyBytes
from service.imaging.files import expand
from service.imaging.limits import Limits
from service.inputs.expand import Inputs
from service.inputs.items import Item
from service.inputs.listing import sorted_on_disk
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
    assert answers[1].pages[0].status is PageStatus.READ


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


def test_what_a_worker_holds_is_bounded_by_the_sum_of_bytes(monkeypatch):
    held, most = [0], [0]

    def load(item, limits):
        held[0] += item.size
        most[0] = max(most[0], held[0])
        return Loaded("0", b"x" * 10)

    def result(self, place, loading):
        loading.result()
        held[0] -= place.item.size
        return place.number

    monkeypatch.setattr(module, "load", load)
    monkeypatch.setattr(module.Worker, "_result", result)
    monkeypatch.setattr(module, "BYTES_IN_HAND", 100)
    worker = module.Worker(plan_of(JOB))
    sizes = [30, 30, 30, 30, 90, 30, 500, 1, 1, 1]
    items = [Item(str(n), offset=0, size=size) for n, size in enumerate(sizes)]
    places = [Place(number, 0, item) for number, item in enumerate(items)]
    assert worker.read(places) == list(range(len(sizes)))
    assert most[0] <= 500  # the one that is larger than the bound is held alone
    most[0] = 0
    assert worker.read(places[:6]) == list(range(6))
    assert most[0] <= 100


def test_a_document_whose_name_alone_says_pdf_is_bounded_as_an_image_is(tmp_path):
    with (tmp_path / "a.pdf").open("wb") as file:
        file.truncate(2**30)
    item = Item(str(tmp_path / "a.pdf"), str(tmp_path / "a.pdf"))
    with pytest.raises(TooManyBytes):
        module.load(item, Limits(max_bytes=2**20))


def test_a_large_pdf_waits_in_a_file(tmp_path):
    content = b"%PDF-1.4\n" + bytes(3 * 2**20)
    (tmp_path / "a.pdf").write_bytes(content)
    item = Item(str(tmp_path / "a.pdf"), str(tmp_path / "a.pdf"))
    loaded = module.load(item, Limits(max_bytes=2**20))
    with loaded.content as file:
        file.seek(0)
        assert file.read() == content
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
