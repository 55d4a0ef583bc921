import json

import pytest

from service.errors import SettingsError
from service.review.export import labels_of
from service.review.planted import read_planted
from service.review.queue import Why
from service.review.run import Job, Result
from service.review.summary import Share
from service.review.table import read_rows
from tests.service.review.conftest import sent
from tests.support.review_tables import row_of, write_table


@pytest.fixture
def table(tmp_path):
    rows = [row_of(f"{n}.png", "77", 0.5) for n in range(3)]
    rows += [row_of(f"{n}.png", "77", 0.99) for n in range(3, 12)]
    return write_table(tmp_path / "t.jsonl", rows)


@pytest.fixture
def known(tmp_path, table):
    path = tmp_path / "known.csv"
    path.write_text("source,text\n0.png,71\n5.png,17\n7.png,77\n")
    return read_planted(path, read_rows(table))


def test_planted_rows_are_mixed_in_and_are_not_of_the_audit(table, known, review):
    assert known == {"0": "71", "5": "17", "7": "77"}
    session = review(table, planted=known, sample=7)
    why = session.queue.why
    assert [why[number] for number in (0, 5, 7)] == [Why.REVIEW, Why.PLANTED, Why.PLANTED]
    assert session.queue.accepted == len(session.queue.audited) == 7
    assert len(why) == 12


def test_nothing_in_a_task_tells_a_planted_row_apart(table, known, review):
    tasks = list(review(table, planted=known).tasks("ada", 100))
    assert len(tasks) == 5
    assert len({tuple(sorted(task)) for task in tasks}) == 1
    assert "planted" not in json.dumps(tasks)
    assert not any("reasons" in task for task in tasks)


def test_people_are_measured_by_them(table, known, review):
    session = review(table, planted=known)
    session.record("ada", [sent(0, "71"), sent(5, "77")])
    session.record("ben", [sent(7, "77"), sent(1, "77")])
    both, ada, ben = session.summary().paces
    assert (both.known, ada.known, ben.known) == (Share(2, 3), Share(1, 2), Share(1, 1))
    assert "ada: 2 rows" in (said := " ".join(session.summary().sentences()))
    assert "of planted rows right: 1 of 2 (50.0%)" in said


def test_they_are_no_part_of_the_labels_and_are_named_in_the_export(table, known, review, tmp_path):
    session = review(table, planted=known, sample=2)
    for task in list(session.tasks("ada", 100)):
        session.record("ada", [sent(task["row"], "77")])
    labels = labels_of(session.queue, session.decisions)
    assert {label.why for label in labels} == {"review", "audit"}
    assert sum(label.weight for label in labels) == 10
    Result.of(Job(table, {})).export(tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["review_why"] for row in rows].count("planted") == 2


def test_a_review_goes_on_with_what_was_planted_and_refuses_other_rows(table, known, review):
    review(table, planted=known).journal.close()
    review(table).journal.close()
    with pytest.raises(SettingsError, match="--planted was 3 rows and is 1 rows"):
        review(table, planted={"5": "17"})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("source,text\nother.png,1\n", r"1 rows are not in the table, other\.png, page 1, first"),
        ("source,text\n0.png,1a\n", "line 2 has a text not of digits"),
        ("source,text,page\n0.png,1,x\n", "cannot read"),
        ("name,text\n0.png,1\n", "has the columns name, text; expected source and text"),
        ("", "has the columns none"),
        (None, "No such file"),
    ],
)
def test_what_cannot_be_planted_is_refused_with_a_sentence(table, tmp_path, content, why):
    path = tmp_path / "planted.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=why):
        read_planted(path, read_rows(table))
