from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.review.corrections import edits, in_words
from service.review.decisions import Action, Decisions, Task
from service.review.journal import Event
from service.review.settings import Settings

ids = count()


def key(who, text="12", what=Action.TEXT, **more):
    return Event(f"e{next(ids)}", who, what, row=0, text=text, was="17", **more)


def after(*events, **settings):
    decisions = Decisions(Settings(**settings), {0: "17"})
    decisions.add(events)
    return decisions


def task_of(decisions, who):
    return decisions.task(0, who)


def test_one_key_decides_a_row():
    fresh = after()
    assert task_of(fresh, "ada") is Task.KEY
    decisions = after(key("ada", "12"))
    assert decisions.verdict(0).text == "12"
    assert task_of(decisions, "ada") is task_of(decisions, "ben") is None


@pytest.mark.parametrize("what", [Action.ILLEGIBLE, Action.WRONG_CROP])
def test_a_row_without_digits_is_decided_too(what):
    assert after(key("ada", "", what)).verdict(0).what == what


def test_who_is_unsure_leaves_the_row_to_others():
    decisions = after(key("ada", what=Action.UNSURE))
    assert decisions.verdict(0) is None
    assert task_of(decisions, "ada") is None
    assert task_of(decisions, "ben") is Task.KEY


def test_the_second_key_is_another_person_s_and_blind():
    decisions = after(key("ada"), keys=2)
    assert decisions.verdict(0) is None
    assert task_of(decisions, "ada") is None
    assert task_of(decisions, "ben") is Task.BLIND


def test_two_people_who_agree_decide():
    decisions = after(key("ada"), key("ben", blind=True), keys=2)
    assert decisions.verdict(0).text == "12"
    assert task_of(decisions, "eve") is None


def test_where_two_people_differ_a_third_decides_between_both_values():
    decisions = after(key("ada", "12"), key("ben", "19"), keys=2)
    assert decisions.verdict(0) is None
    assert task_of(decisions, "ada") is task_of(decisions, "ben") is None
    assert task_of(decisions, "eve") is Task.DECIDE
    assert decisions.state(0).values(decisions.settings, "17") == ["12", "19"]
    decisions.add([key("eve", "19")])
    assert decisions.verdict(0).who == "eve"
    assert task_of(decisions, "dan") is None


def test_a_value_and_no_value_differ():
    decisions = after(key("ada", ""), key("ben", "", Action.ILLEGIBLE), keys=2)
    assert task_of(decisions, "eve") is Task.DECIDE


def test_a_blind_key_that_equals_the_reading_decides():
    assert task_of(after(blind=True), "ada") is Task.BLIND
    assert after(key("ada", "17", blind=True), blind=True).verdict(0).text == "17"


def test_a_blind_key_that_differs_from_the_reading_is_looked_at_again():
    decisions = after(key("ada", "12", blind=True), blind=True)
    assert decisions.verdict(0) is None
    assert task_of(decisions, "ada") is Task.DECIDE
    assert decisions.state(0).values(decisions.settings, "17") == ["12", "17"]
    decisions.add([key("ada", "12")])
    assert decisions.verdict(0).text == "12"


def test_blind_and_two_keys_needs_a_second_person_where_the_first_differs():
    settings = {"blind": True, "keys": 2}
    decisions = after(key("ada", "12", blind=True), **settings)
    assert task_of(decisions, "ben") is Task.BLIND
    decisions.add([key("ben", "12", blind=True)])
    assert decisions.verdict(0).text == "12"
    assert after(key("ada", "17", blind=True), **settings).verdict(0).text == "17"


def undo(of, who=None):
    return Event(f"e{next(ids)}", who or of.who, Action.UNDO, undoes=of.id)


def test_an_undone_key_never_was():
    first = key("ada")
    decisions = after(first, undo(first))
    assert decisions.verdict(0) is None
    assert task_of(decisions, "ada") is Task.KEY
    assert decisions.events == []


def test_an_undone_first_key_leaves_the_second():
    first, second = key("ada", "12"), key("ben", "19")
    decisions = after(first, second, undo(first), keys=2)
    assert task_of(decisions, "ada") is Task.BLIND
    assert task_of(decisions, "ben") is None


def test_nobody_undoes_another_s_key_or_one_twice():
    first = key("ada")
    decisions = after(first, undo(first, "ben"))
    assert decisions.verdict(0).text == "12"
    decisions.add([undo(first), undo(first), Event("x", "ada", Action.UNDO, undoes="never was")])
    assert decisions.verdict(0) is None


def test_a_carpet_decides_no_row_but_says_what_was_looked_at():
    carpet = Event("c", "ada", Action.CARPET, digits=((0, 0), (0, 1)), odd=((0, 1),))
    decisions = after(carpet)
    assert decisions.verdict(0) is None
    assert decisions.looked_at == {(0, 0), (0, 1)}
    assert decisions.odd == {(0, 1)}
    decisions.add([undo(carpet)])
    assert decisions.looked_at == decisions.odd == set()


@given(st.data())
def test_the_state_depends_on_the_events_alone_however_they_come(data):
    events = []
    for number in range(data.draw(st.integers(1, 12))):
        who = data.draw(st.sampled_from(["ada", "ben", "eve"]))
        kinds = [Action.TEXT, Action.UNSURE, Action.ILLEGIBLE, *([Action.UNDO] if events else [])]
        what = data.draw(st.sampled_from(kinds))
        more = (
            {"undoes": data.draw(st.sampled_from(events)).id}
            if what == Action.UNDO
            else {"row": number % 3, "text": data.draw(st.sampled_from(["1", "17"]))}
        )
        events.append(Event(f"n{number}", who, what, **more))
    for settings in (Settings(), Settings(keys=2), Settings(blind=True)):
        at_once, singly = (Decisions(settings, {0: "17"}) for _ in range(2))
        at_once.add(events)
        for event in events:
            singly.add([event])
        assert at_once == singly


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("12", "12", []),
        ("172", "112", ["7 → 1"]),
        ("12", "123", ["missed 3"]),
        ("1123", "123", ["no 1"]),
        ("", "5", ["missed 5"]),
        ("1234", "9238", ["4 → 8", "1 → 9"]),
        ("77", "11", ["7 → 1", "7 → 1"]),
    ],
)
def test_corrections_are_the_fewest_edits(was, now, words):
    assert [in_words(edit) for edit in edits(was, now)] == words


@given(st.text("0123456789", max_size=8), st.text("0123456789", max_size=8))
def test_there_are_as_many_edits_as_levenshtein_counts(was, now):
    distance = pytest.importorskip("rapidfuzz.distance").Levenshtein.distance
    assert len(list(edits(was, now))) == distance(was, now)
