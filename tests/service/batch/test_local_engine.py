"""What becomes of items that kill or hang a worker, and of what is torn or unsorted."""

import os
import signal
import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.batch.engines.local import LocalEngine
from service.batch.inputs.expand import Inputs
from service.batch.inputs.items import Item
from service.batch.inputs.listing import sorted_on_disk
from service.batch.job import Job, plan_of, settings_of
from service.batch.pages import PageResult, PageStatus
from service.batch.plan import Place
from service.batch.state.journal import Journal
from service.errors import SettingsError
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


ITEMS = [Item(f"{number}.png", identity="1") for number in range(4)]
PAGES = [(0, 0, True), (1, 0, False), (1, 1, True), (2, 0, True), (3, 0, True)]


def journal_of(path, pages=PAGES):
    with Journal(path, {"format": 1}) as journal:
        for number, page, last in pages:
            result = PageResult(page, PageStatus.READ, 0.5, b'{"source": "x"}', b"scores")
            journal.append(Place(number, 0, ITEMS[number]), result, last)
    return path.read_bytes()


@pytest.mark.parametrize("torn", ["cut", "flipped"])
def test_a_journal_torn_anywhere_goes_on_at_the_first_page_that_is_not_whole(tmp_path, torn):
    whole = journal_of(tmp_path / "whole")
    with Journal(tmp_path / "whole", {"format": 1}) as journal:
        records = list(journal.records())
    path = tmp_path / "torn"
    for at in range(records[0].start, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(whole[:at] if torn == "cut" else damaged)
        kept = sum(record.end <= at for record in records)
        with Journal(path, {"format": 1}) as journal:
            left = list(journal.remaining(ITEMS))
            assert [record.end for record in journal.records()] == [
                record.end for record in records[:kept]
            ]
        first = {0: (0, 0), 1: (1, 0), 2: (1, 1), 3: (2, 0), 4: (3, 0)}[kept]
        assert (left[0].number, left[0].page) == first
        assert [place.number for place in left] == list(range(first[0], 4))


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        (
            [ITEMS[0], Item("1.png", identity="2"), *ITEMS[2:]],
            "1.png has changed since it was read",
        ),
        (ITEMS[:2], "x was read, but is no input any more"),
        ([ITEMS[1], ITEMS[0]], "1.png has changed since it was read"),
    ],
)
def test_a_changed_input_is_noticed_and_only_refreshing_goes_on(tmp_path, items, complaint):
    journal_of(tmp_path / "j")
    with Journal(tmp_path / "j", {"format": 1}) as journal, pytest.raises(SettingsError) as raised:
        list(journal.remaining(items))
    assert complaint in str(raised.value)
    with Journal(tmp_path / "j", {"format": 1}, refresh=True) as journal:
        left = [place.number for place in journal.remaining(items)]
        kept = [record.number for record in journal.records()]
    assert sorted({*left, *kept}) == list(range(len(items)))


def test_changed_settings_are_named(tmp_path):
    journal_of(tmp_path / "j")
    with pytest.raises(SettingsError, match=r"dpi was null and is 3.*format was 1 and is 2"):
        Journal(tmp_path / "j", {"dpi": 3, "format": 2})
    with Journal(tmp_path / "j", {"format": 2}, refresh=True) as journal:
        assert not list(journal.records())


def test_two_runs_at_one_output_are_refused(tmp_path):
    with Journal(tmp_path / "j", {"format": 1}), pytest.raises(SettingsError, match="another run"):
        Journal(tmp_path / "j", {"format": 1})


def test_what_rows_depend_on_is_in_the_settings():
    settings = settings_of(JOB, plan_of(JOB))
    assert {"model", "version", "request", "dpi"} < settings.keys()
