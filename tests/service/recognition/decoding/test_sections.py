import numpy as np
import pytest

from service.recognition.decoding import decoder, sections
from service.recognition.decoding.constraints import length
from service.recognition.decoding.decoder import decode
from service.recognition.decoding.reading import Alternative, Outcome
from service.recognition.decoding.sections import SEARCHED, joined
from tests.support.score_maps import CONTRACT, scores_of


def listed(reading):
    return [(reading.text, reading.confidence), *reading.alternatives]


@pytest.mark.parametrize("positions", [SEARCHED, SEARCHED + 1, 20_000])
@pytest.mark.parametrize("kind", ["clear", "noise", "blank"])
def test_long_maps_are_read_to_their_end(positions, kind):
    if kind == "noise":
        chances = np.random.default_rng(0).dirichlet(np.full(11, 0.3), size=positions)
        scores = np.log(np.maximum(chances, 1e-30)).astype(np.float32)
    else:
        path = "...7...12" if kind == "clear" else "........."
        scores = scores_of((path * positions)[:positions], sure=0.9999)
    reading = decode(scores, CONTRACT, touching=1.0)
    if kind == "clear":
        assert reading.text == ("712" * positions)[: len(reading.text)]
        assert len(reading.text) >= positions // 3 - 2
    if kind == "blank":
        assert reading.text == ""
    assert reading.exact <= (positions <= SEARCHED)
    assert reading.text == "".join(digit.label for digit in reading.digits)
    firsts = [digit.first for digit in reading.digits]
    assert firsts == sorted(set(firsts))
    assert all(digit.last < positions for digit in reading.digits)


def test_pieces_of_a_long_map_read_as_the_whole_would(monkeypatch):
    path = "..1..2.2..34...5.6......7..8..9.." * 12
    scores = scores_of(path, sure=0.99)
    whole = decode(scores, CONTRACT)
    monkeypatch.setattr(decoder, "SEARCHED", 100)
    monkeypatch.setattr(sections, "SECTION", 50)
    pieces = decode(scores, CONTRACT)
    assert pieces.text == whole.text
    assert not pieces.exact
    assert [digit.first for digit in pieces.digits] == [digit.first for digit in whole.digits]
    assert len({text for text, _ in listed(pieces)}) == len(listed(pieces))


def test_texts_of_two_pieces_are_joined_once_each_the_most_probable_first():
    left = [Alternative("1", 0.6), Alternative("11", 0.4)]
    right = [
        Alternative("12", 0.5),
        Alternative("2", 0.3),
        Alternative("", 0.2),
    ]
    found = joined(left, right)
    assert [text for text, _ in found] == ["112", "1112", "12", "1", "11"]
    assert [p for _, p in found] == pytest.approx([0.3, 0.2, 0.18, 0.12, 0.08])


def test_a_constraint_is_only_checked_on_a_long_map():
    scores = scores_of("..1.." * (SEARCHED // 5 + 1), sure=0.999)
    digits = SEARCHED // 5 + 1
    held = decode(scores, CONTRACT, length(digits, digits))
    assert (held.outcome, held.text) == (Outcome.FREE, "1" * digits)
    assert decode(scores, CONTRACT, length(3, 3)).outcome is Outcome.UNSEARCHED
