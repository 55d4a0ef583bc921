import json

import pytest
from google.protobuf import text_format

from service.pb import recognizer_pb2 as pb
from service.review.constraints import Constraints, run_of
from service.review.queue import Why, queue_of
from service.review.settings import Settings
from service.review.table import read_rows
from tests.support.review_tables import row_of, write_table

FREE = Constraints(pb.Constraint(), pb.Constraint())


def of_length(digits):
    return pb.Constraint(length=pb.LengthRange(min=digits, max=digits))


@pytest.fixture
def rows(tmp_path):
    """Ten to review, one in a hundred of them sure of least; thirty accepted."""
    made = [row_of(f"{n}.png", "123", round(0.5 + (n * 7 % 10) / 25, 3)) for n in range(10)]
    made += [row_of(f"{n}.png", "123", 0.99) for n in range(10, 40)]
    return list(read_rows(write_table(tmp_path / "t.jsonl", made)))


def numbers(queue, why):
    return [entry.row.number for entry in queue.entries if entry.why is why]


def test_rows_to_review_come_least_sure_first(rows):
    queue = queue_of(rows, FREE, Settings())
    confidences = [entry.row.confidence for entry in queue.entries]
    assert len(confidences) == 10
    assert confidences == sorted(confidences)
    assert (queue.rows, queue.accepted) == (40, 30)


def test_a_sample_of_accepted_rows_is_the_seed_s_and_a_larger_one_has_the_smaller(rows):
    few, many = (queue_of(rows, FREE, Settings(sample=n, seed=3)) for n in (5, 12))
    assert numbers(few, Why.AUDIT) != sorted(numbers(few, Why.AUDIT))
    assert set(numbers(few, Why.AUDIT)) < set(numbers(many, Why.AUDIT))
    assert len(many.audited) == 12
    assert all(number >= 10 for number in many.audited)
    again = queue_of(rows, FREE, Settings(sample=5, seed=3))
    assert [e.row.number for e in again.entries] == [e.row.number for e in few.entries]
    other = queue_of(rows, FREE, Settings(sample=5, seed=4))
    assert other.audited != few.audited


def test_the_sample_is_drawn_evenly(rows):
    drawn = [0] * 40
    for seed in range(400):
        for number in queue_of(rows, FREE, Settings(sample=10, seed=seed)).audited:
            drawn[number] += 1
    assert sum(drawn[:10]) == 0
    assert all(90 < count < 180 for count in drawn[10:])  # 133 expected


def test_audit_rows_stand_anywhere_among_the_others(rows):
    places = set()
    for seed in range(60):
        queue = queue_of(rows, FREE, Settings(sample=3, seed=seed))
        places |= {n for n, entry in enumerate(queue.entries) if entry.why is Why.AUDIT}
        assert numbers(queue, Why.REVIEW) == numbers(queue_of(rows, FREE, Settings()), Why.REVIEW)
    assert places == set(range(13))


def test_a_sample_larger_than_what_was_accepted_is_all_of_it(rows):
    assert len(queue_of(rows, FREE, Settings(sample=1000)).audited) == 30


def test_an_accepted_row_against_the_given_constraint_is_to_review(rows):
    queue = queue_of(rows, Constraints(of_length(4), pb.Constraint()), Settings(sample=5))
    assert len(numbers(queue, Why.REVIEW)) == 40
    assert queue.accepted == 0
    assert not queue.audited


def test_without_decisions_every_row_is_to_review(tmp_path):
    table = write_table(tmp_path / "t.jsonl", [row_of("a.png", "1", 0.99, decision=None)])
    assert len(queue_of(read_rows(table), FREE, Settings()).entries) == 1


def test_carpets_have_the_smallest_margins_first_and_are_bounded(rows, monkeypatch):
    queue = queue_of(rows, FREE, Settings())
    assert set(queue.carpets) == {"1", "2", "3"}
    assert len(queue.carpets["2"]) == 40
    margins = [digit.margin for label in queue.carpets for digit in queue.carpets[label]]
    assert margins[:40] == sorted(margins[:40])
    monkeypatch.setattr("service.review.queue.CARPET", 7)
    few = queue_of(rows, FREE, Settings()).carpets
    assert few["2"] == queue.carpets["2"][:7]


def batch_table(tmp_path, rows, constraint):
    """A table with what a batch leaves beside it."""
    table = write_table(tmp_path / "t.jsonl", rows)
    request = pb.RecognizeRequest(constraint=constraint)
    settings = {"request": text_format.MessageToString(request, as_one_line=True), "dpi": 200}
    (tmp_path / "t.jsonl.run.json").write_text(json.dumps({"settings": settings}))
    return table


def test_the_batch_s_own_constraint_is_known(tmp_path):
    rows = [
        row_of("a.png", "123", constraint={"outcome": "FREE", "allowed_probability": 1.0}),
        # of a manifest, whose constraint no table names
        row_of("b.png", "1234", constraint={"outcome": "FREE", "allowed_probability": 1.0}),
        row_of("c.png", "12", constraint={"outcome": "IMPOSSIBLE", "allowed_probability": 0.0}),
    ]
    table = batch_table(tmp_path, rows, of_length(3))
    assert run_of(table).dpi == 200
    constraints = Constraints(pb.Constraint(), run_of(table).constraint)
    own, other, broken = read_rows(table)
    assert not constraints.check(own, "12").allowed
    assert constraints.of(other) is None
    assert constraints.check(other, "1").allowed
    assert constraints.check(broken, "123").allowed
    assert not constraints.check(broken, "12").allowed


def test_a_row_s_columns_go_before_options_and_these_before_the_batch_s(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("source,page,text,confidence,decision,length\na,1,12,0.5,,2\nb,1,12,0.5,,\n")
    own, plain = read_rows(table)
    constraints = Constraints(of_length(5), of_length(3))
    assert constraints.check(own, "12").allowed
    assert not constraints.check(plain, "12").allowed
    assert constraints.check(plain, "12345").allowed


def test_what_a_pattern_inserts_is_written(tmp_path):
    table = write_table(tmp_path / "t.jsonl", [row_of("a.png", "68767") | {"text": "68-767"}])
    (row,) = read_rows(table)
    constraints = Constraints(pb.Constraint(pattern=r"\d{2}-\d{3}"), pb.Constraint())
    assert constraints.check(row, "12345").written == "12-345"
    assert constraints.check(row, "1234").written == "1234"


def test_a_table_without_its_run_has_no_constraint(tmp_path):
    assert run_of(tmp_path / "none.csv").constraint == pb.Constraint()
