"""Damaged inputs of every kind; `python -m tests.fuzz` tries very many more."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from tests.fuzz.damage import damage
from tests.fuzz.examine import examine
from tests.fuzz.seeds import seeds

SEEDS = seeds()
every_kind = pytest.mark.parametrize("kind", SEEDS)
pytestmark = pytest.mark.filterwarnings("ignore")  # as the service runs


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(ModelFiles.read())


@every_kind
def test_valid_inputs_are_taken(kind, recognizer):
    for data in SEEDS[kind]:
        examine(kind, data, recognizer)


@every_kind
@given(choice=st.integers(0), seed=st.integers(0, 2**64), times=st.integers(1, 4))
@settings(deadline=None, max_examples=120, derandomize=True)
def test_damaged_inputs_are_read_or_refused_in_our_own_words(kind, recognizer, choice, seed, times):
    data = SEEDS[kind][choice % len(SEEDS[kind])]
    rng = random.Random(seed)
    for _ in range(times):
        data = damage(kind, data, rng)
    examine(kind, data, recognizer)


@every_kind
@given(data=st.binary(max_size=300))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_nonsense_is_refused_in_our_own_words(kind, recognizer, data):
    examine(kind, SEEDS[kind][0][:16] + data, recognizer)
