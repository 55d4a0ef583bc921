import pytest

from service.workers.constraint_costs import (
    REMEMBERED,
    ConstraintCosts,
    key_of,
)

COSTLY = 0.7  # seconds


def keys(count, of=b"constraint"):
    return [key_of(of + str(number).encode()) for number in range(count)]


def test_no_constraint_costs_nothing_and_teaches_nothing():
    costs = ConstraintCosts()
    costs.learn(key_of(b""), COSTLY)
    assert costs.expected(key_of(b"")) == 0
    assert costs.expected(key_of(b"new")) == 0


def test_a_constraint_costs_what_it_took_and_less_once_a_worker_keeps_it():
    costs, key = ConstraintCosts(), key_of(b"pattern")
    costs.learn(key, COSTLY)
    assert costs.expected(key) == COSTLY
    for _ in range(10):
        costs.learn(key, 0.0)
    assert costs.expected(key) < 0.01


def test_what_was_not_seen_before_costs_what_such_took_of_late():
    costs = ConstraintCosts()
    for key in keys(100):
        costs.learn(key, COSTLY)
    assert costs.expected(key_of(b"new")) == pytest.approx(COSTLY, rel=0.01)


def test_what_took_less_than_expected_costs_nothing():
    costs = ConstraintCosts()
    for key in keys(1000):
        costs.learn(key, -0.01)
    assert costs.expected(key_of(b"new")) == costs.expected(keys(1)[0]) == 0


def test_what_is_remembered_is_bounded():
    costs = ConstraintCosts()
    for key in keys(REMEMBERED + 1):
        costs.learn(key, COSTLY)
    assert costs.known(keys(1)[0]) is None
    assert costs.known(keys(2)[1]) == COSTLY
