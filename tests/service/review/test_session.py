import json
from pathlib import Path

import pytest

from service.errors import BadOption, SettingsError
from service.review.decisions import Action, Task
from service.review.journal import read_journal
from service.review.queue import Why
from service.review.run import Job, opened
from tests.service.review.conftest import sent, work
from tests.support.review_tables import made_batch, row_of, write_table


@pytest.fixture
def batch(tmp_path):
    return made_batch(tmp_path, 30)


def drawn(tmp_path, *rows, name="t.jsonl"):
    return write_table(tmp_path / name, list(rows))


def test_a_review_ends_when_every_row_is_decided(batch, review):
    table, truths = batch
    session = review(table)
    before = session.progress("ada")
    assert before["done"] == 0
    assert work(session, truths) == before["left"] == len(session.entries)
    assert session.progress("ada") == {"done": before["left"], "left": 0}
    assert session.progress("ben") == {"done": 0, "left": 0}


def test_a_review_goes_on_where_it_was(batch):
    table, truths = batch
    with opened(Job(table, {"sample": 5})) as session:
        work(session, truths, limit=4)
        seen = session.decisions
    with opened(Job(table, {})) as session:  # with the settings that it was begun with
        assert session.settings.sample == 5
        assert session.decisions == seen
        assert session.progress("ada")["done"] == 4


def test_other_options_than_it_was_begun_with_are_refused(batch):
    table, _ = batch
    with opened(Job(table, {"sample": 5})):
        pass
    with (
        pytest.raises(SettingsError, match="--sample was 5 and is 2"),
        opened(Job(table, {"sample": 2})),
    ):
        pass


def test_two_people_get_different_rows(batch, review):
    session = review(batch[0])
    ada = {task["row"] for task in session.tasks("ada", 6)}
    ben = {task["row"] for task in session.tasks("ben", 6)}
    assert len(ada) == len(ben) == 6
    assert not ada & ben
    assert {task["row"] for task in session.tasks("ada", 6)} == ada  # after a reload


def test_a_row_that_somebody_left_is_given_to_another(batch, review, monkeypatch):
    session = review(batch[0])
    first = next(session.tasks("ada", 1))["row"]
    assert next(session.tasks("ben", 1))["row"] != first
    monkeypatch.setattr("service.review.session.LEASE_SECONDS", 0.0)
    session._leases.clear()
    assert next(session.tasks("ada", 1))["row"] == first
    assert next(session.tasks("ben", 1))["row"] == first


def test_rows_that_the_page_has_are_not_sent_again(batch, review):
    session = review(batch[0])
    rows = [task["row"] for task in session.tasks("ada", 4)]
    more = [task["row"] for task in session.tasks("ada", 4, rows)]
    assert len(more) == 4
    assert not set(rows) & set(more)


def test_nothing_in_a_task_tells_a_row_of_the_audit_apart(batch, review):
    session = review(batch[0], sample=5, seed=2)
    audited = session.queue.audited
    assert len(audited) == 5
    tasks = list(session.tasks("ada", 100))
    kinds = {}
    for task in tasks:
        kinds.setdefault(task["row"] in audited, set()).add(
            tuple((name, type(value)) for name, value in sorted(task.items()))
        )
    assert kinds[True] == kinds[False]
    shown = json.dumps(tasks)
    for word in ("ACCEPT", "REVIEW", "audit", "confidence", "decision", "reasons", "why"):
        assert word not in shown


def test_the_doubtful_digit_is_under_the_cursor_and_others_are_a_key_each(tmp_path, review):
    table = drawn(tmp_path, row_of("a.png", "123", 0.5, alternatives=[{"text": "153"}]))
    (task,) = review(table).tasks("ada", 1)
    assert task["task"] == Task.KEY
    assert (task["text"], task["cursor"]) == ("123", 1)
    assert [choice["text"] for choice in task["choices"]] == ["153", "133"]


def test_choices_that_the_constraint_allows_go_first(tmp_path, review):
    row = row_of("a.png", "79927398710", 0.5, alternatives=[{"text": "79927398713"}])
    session = review(drawn(tmp_path, row), constraint="check_digit: CHECK_DIGIT_LUHN")
    (task,) = session.tasks("ada", 1)
    assert task["constrained"]
    assert not task["allowed"]
    assert task["choices"][0] == {"text": "79927398713", "allowed": True}
    assert session.check(0, "79927398710") == {"allowed": False, "written": "79927398710"}


def test_a_row_without_digits_has_no_extents_and_the_cursor_at_its_start(tmp_path, review):
    (tmp_path / "t.csv").write_text("source,page,text,confidence,decision\na.png,1,12,0.5,REVIEW\n")
    (task,) = review(tmp_path / "t.csv").tasks("ada", 1)
    assert (task["cursor"], task["digits"], task["choices"]) == (0, [], [])


def test_a_blind_task_shows_nothing_of_the_reading(batch, review):
    (task,) = review(batch[0], blind=True).tasks("ada", 1)
    assert task["task"] == Task.BLIND
    assert not any(task[name] for name in ("text", "digits", "choices", "cursor"))
    assert "reasons" not in task


def test_the_second_key_is_blind_and_a_third_person_sees_both_values_without_names(
    tmp_path, review
):
    session = review(drawn(tmp_path, row_of("a.png", "17", 0.5)), keys=2)
    session.record("ada", [sent(0, "12")])
    assert not list(session.tasks("ada", 1))
    (task,) = session.tasks("ben", 1)
    assert (task["task"], task["text"]) == (Task.BLIND, "")
    session.record("ben", [sent(0, "19", task="blind")])
    (task,) = session.tasks("eve", 1)
    assert task["task"] == Task.DECIDE
    assert [choice["text"] for choice in task["choices"]] == ["12", "19"]
    assert "ada" not in json.dumps(task)
    session.record("eve", [sent(0, "19", task="decide")])
    assert session.decisions.verdict(0).who == "eve"


def test_a_scan_that_is_gone_is_a_sentence_and_the_row_can_still_be_keyed(tmp_path, review):
    session = review(drawn(tmp_path, row_of(tmp_path / "gone.png", "12", 0.5)))
    (task,) = session.tasks("ada", 1)
    assert task["crop"] is None
    assert "there is no such file" in task["trouble"]
    session.record("ada", [sent(0, what=Action.WRONG_CROP)])


def test_what_is_recorded_is_in_the_journal_with_who_when_and_what_was_read(tmp_path, review):
    session = review(drawn(tmp_path, row_of("a.png", "17", 0.5)), constraint="length { min: 3 }")
    event = sent(0, "12", ms=2345, strokes=3)
    assert session.record("ada", [event]) == [event["id"]]
    _, (kept,) = read_journal(tmp_path / "t.jsonl.review")
    assert (kept.who, kept.row, kept.was, kept.text) == ("ada", 0, "17", "12")
    assert (kept.ms, kept.strokes, kept.why) == (2345, 3, Why.REVIEW)
    assert kept.override
    assert kept.model == "c0ffee" * 10
    assert kept.at.startswith("20")
    assert session.record("ada", [event]) == [event["id"]]  # sent again: an answer was lost
    assert len(read_journal(tmp_path / "t.jsonl.review")[1]) == 1


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"id": "a", "what": "text"},
        sent(0, "1a"),
        sent(0, "\uff11"),
        sent(0, "1" * 256),
        sent(99, "1"),
        sent("x", "1"),
        sent(0, None),
        sent(0, "1") | {"id": ""},
        sent(0, "1") | {"id": "x" * 65},
        sent(0, "1") | {"id": 7},
        sent(0, "1") | {"what": "nonsense"},
        sent(0, "1") | {"ms": "soon"},
        {"id": "a", "what": "undo", "undoes": None},
        {"id": "a", "what": "carpet", "digits": [[0, 99]], "odd": []},
        {"id": "a", "what": "carpet", "digits": [[0]], "odd": []},
        {"id": "a", "what": "carpet", "digits": 3, "odd": []},
    ],
    ids=str,
)
def test_a_malformed_event_is_refused_and_nothing_of_its_request_is_written(
    tmp_path, review, event
):
    session = review(drawn(tmp_path, row_of("a.png", "17", 0.5)))
    with pytest.raises(BadOption):
        session.record("ada", [sent(0, "12"), event])
    assert read_journal(tmp_path / "t.jsonl.review")[1] == []


def test_times_and_strokes_beyond_belief_are_bounded(tmp_path, review):
    session = review(drawn(tmp_path, row_of("a.png", "17", 0.5)))
    session.record("ada", [sent(0, "12", ms=10**15, strokes=-4)])
    assert session.decisions.verdict(0).ms == 86_400_000
    assert session.decisions.verdict(0).strokes == 0


def test_a_carpet_shows_the_smallest_margins_and_what_is_odd_is_reviewed_first(tmp_path, review):
    rows = [row_of(f"{n}.png", "171", 0.99) for n in range(5)] + [row_of("r.png", "272", 0.5)]
    session = review(drawn(tmp_path, *rows))
    assert session.labels() == {"1": 10, "2": 2, "7": 6}
    digits = session.carpet("7", 100)
    assert [(each.number, each.position) for each in digits] == [(n, 1) for n in range(6)]
    looked = [[each.number, each.position] for each in digits]
    carpet = {"id": "c", "what": "carpet", "digits": looked, "odd": [[3, 1]]}
    session.record("ada", [carpet])
    assert session.carpet("7", 100) == []
    tasks = list(session.tasks("ada", 9))
    assert [task["row"] for task in tasks] == [3, 5]
    assert tasks[0]["cursor"] == 1
    session.record("ada", [{"id": "u", "what": "undo", "undoes": "c"}])
    assert len(session.carpet("7", 100)) == 6
    assert [task["row"] for task in session.tasks("ada", 9)] == [5]


@pytest.mark.parametrize("settings", [{"blind": True}, {"keys": 2}])
def test_a_carpet_does_not_tell_what_was_read_of_rows_to_be_keyed_blind(tmp_path, review, settings):
    rows = [row_of("a.png", "171", 0.5), row_of("b.png", "171", 0.99)]
    session = review(drawn(tmp_path, *rows), **settings)
    assert [(each.number, each.position) for each in session.carpet("7", 9)] == [(1, 1)]


def test_scripts_in_ids_sources_and_texts_are_data(tmp_path, review):
    nasty = "<img src=x onerror=alert(1)>"
    session = review(drawn(tmp_path, row_of(f"{nasty}.png", "12", 0.5, id=nasty)))
    (task,) = session.tasks("ada", 1)
    assert task["name"] == nasty


def test_a_table_without_readings_is_refused(tmp_path):
    Path(tmp_path / "t.jsonl").write_text("")
    with (
        pytest.raises(SettingsError, match="has no row with a reading"),
        opened(Job(tmp_path / "t.jsonl", {})),
    ):
        pass
