"""Two readers: when the second is consulted, how they vote, and what is said of both."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ModelError
from service.imaging.decode import decode
from service.recognition import model, readers
from service.recognition.calibration import Calibration, Threshold
from service.recognition.decoding.ctc_search import likeliest
from service.recognition.decoding.sections import SEARCHED
from service.recognition.model import (
    NO_SECOND_READER,
    SHIPPED_MODEL,
    SHIPPED_SECOND_READER,
    ModelFiles,
    Scorer,
    second_reader_file,
)
from service.recognition.model_metadata import Pairing
from service.recognition.normalize import normalize
from service.recognition.readers import FIRST, PAIRED, Look, look
from service.recognition.recognizer import Decision, Options, Recognizer
from tests.conftest import STRIPS
from tests.support.score_maps import scores_of

EVERYTHING = Calibration(thresholds=(Threshold(0.5, 0.0),), source="no strips at all")


@pytest.fixture(scope="module")
def page():
    return decode((STRIPS / "postcode-ruled.png").read_bytes())


@pytest.fixture(scope="module")
def shipped():
    return Recognizer.load(ModelFiles.read())


@pytest.fixture(scope="module")
def other(second_reader):
    return Scorer(second_reader)


@pytest.fixture
def pair(paired, other):
    """Recognize with the shipped model and `second_reader`, paired in a given way."""

    def pair(**how):
        return Recognizer(Scorer(paired(**how)), other)

    return pair


def test_the_second_reader_is_not_consulted_where_the_first_is_sure(pair, page):
    found = pair(sure=0.0).recognize(page)
    assert [each.reader for each in found.readers] == ["first"]
    assert found.evidence.second is None
    assert found.reading.text == found.readers[0].text


def test_where_the_first_is_not_sure_both_say_what_they_read(pair, page):
    found = pair(sure=1.0).recognize(page)
    assert [each.reader for each in found.readers] == ["first", "second"]
    assert found.evidence.agreed == (
        found.readers[0].text == found.readers[1].text == found.reading.text
    )


def test_each_reader_says_its_own_text_first_and_what_it_thinks_of_the_others(pair):
    recognizer = pair(sure=1.0, weight=0.4)
    strip = normalize(np.full((40, 40), 255, np.uint8)).strip()
    looks = [
        Look(recognizer.scorer, strip, scores_of(".1.2.", sure=0.8)[None]),
        Look(recognizer.second, strip, scores_of(".1.7.", sure=0.6)[None]),
    ]
    lattice = recognizer.readers.lattice(looks)
    poll = recognizer.readers.poll(lattice, looks, None, likeliest(lattice))
    first, second = ({each.text: each.probability for each in r.texts} for r in poll.readers)
    assert [each.text for each in poll.readers] == ["12", "17"]
    assert first.keys() == second.keys() == {"12", "17"}
    assert poll.evidence.probability == pytest.approx(0.6 * first["12"] + 0.4 * second["12"])
    assert poll.evidence.first == pytest.approx(first["12"])
    assert poll.evidence.second == pytest.approx(second["12"])
    assert not poll.evidence.agreed


@pytest.mark.parametrize(("weight", "reader"), [(0.0, 0), (1.0, 1)])
def test_a_reader_with_all_the_weight_decides(pair, weight, reader):
    recognizer = pair(sure=1.0, weight=weight)
    noise = np.random.default_rng(4).integers(0, 256, (40, 160), np.uint8)
    found = recognizer.recognize(noise)
    assert found.reading.text == found.readers[reader].text
    assert found.evidence.probability == pytest.approx(found.readers[reader].confidence)


def test_the_vote_is_the_weighted_mean_of_both_readers(pair, page):
    found = pair(sure=1.0, weight=0.25).recognize(page)
    expected = 0.75 * found.evidence.first + 0.25 * found.evidence.second
    assert found.evidence.probability == pytest.approx(expected, abs=1e-3)


def test_the_second_reader_sees_every_view_in_a_pass_of_its_own(pair, monkeypatch):
    recognizer = pair(sure=1.0)
    noise = np.random.default_rng(5).integers(0, 256, (40, 120), np.uint8)
    passes = []
    run = recognizer.second.run
    monkeypatch.setattr(
        recognizer.second, "run", lambda pixels, _: passes.append(len(pixels)) or run(pixels)
    )
    recognizer.recognize(noise)
    assert passes == [1] * (1 + sum(map(len, PAIRED)))


@pytest.mark.parametrize(
    ("enough", "rounds"), [(0.0, 0), (1.1, len(PAIRED))], ids=["enough at once", "never enough"]
)
@pytest.mark.parametrize("sure", [0.999, 1.0])
def test_more_views_are_looked_at_until_the_text_is_sure_enough(
    pair, monkeypatch, sure, enough, rounds
):
    noise = np.random.default_rng(5).integers(0, 256, (40, 120), np.uint8)
    recognizer, passes = pair(sure=sure), {}
    monkeypatch.setattr(readers, "ENOUGH", enough)
    for scorer in (recognizer.scorer, recognizer.second):

        def run(pixels, _, scorer=scorer, run=scorer.run):
            passes.setdefault(scorer, []).append(pixels.shape[2])
            return run(pixels)

        monkeypatch.setattr(scorer, "run", run)
    recognizer.recognize(noise)
    first, second = passes[recognizer.scorer], passes[recognizer.second]
    assert first == second
    assert len(first) == 1 + sum(map(len, PAIRED[:rounds]))


def test_the_score_map_and_the_digits_are_the_first_reader_s(pair, page):
    recognizer = pair(sure=1.0, weight=1.0)
    found = recognizer.recognize(page)
    expected = recognizer.scorer.score(found.strip.pixels)
    np.testing.assert_allclose(found.scores, expected, atol=1e-4)
    assert len(found.boxes) == len(found.reading.digits) == len(found.reading.text)


def test_a_line_too_wide_to_search_whole_stays_with_the_first_reader(pair, page):
    wide = np.tile(page.gray, (1, 21))
    recognizer = pair(sure=1.0)
    strip = normalize(wide).strip(FIRST)
    assert recognizer.metadata.positions(strip.pixels.shape[1]) > SEARCHED // 2
    found = recognizer.recognize(wide)
    assert [each.reader for each in found.readers] == ["first"]


def test_alternatives_change_nothing_else_and_share_what_is_left(pair):
    recognizer = pair(sure=1.0)
    noise = np.random.default_rng(5).integers(0, 256, (40, 120), np.uint8)
    few, many = (recognizer.recognize(noise, Options(alternatives=n)) for n in (0, 8))
    assert few.reading.alternatives == ()
    assert (few.reading.text, few.reading.confidence) == (
        many.reading.text,
        many.reading.confidence,
    )
    others = [each.probability for each in many.reading.alternatives]
    assert len(others) == 8
    assert others == sorted(others, reverse=True)
    assert max(others) <= many.reading.confidence
    assert many.reading.confidence + sum(others) <= 1 + 1e-9
    assert many.reading.text not in [each.text for each in many.reading.alternatives]


def test_a_pair_that_was_not_calibrated_together_accepts_nothing(other, calibrated_model, page):
    alone = Recognizer(Scorer(calibrated_model))
    beside = Recognizer(Scorer(calibrated_model), other)
    assert alone.recognize(page, Options(error_rate=0.5)).decision is Decision.ACCEPT
    assert beside.recognize(page, Options(error_rate=0.5)).decision is Decision.REVIEW


def test_a_pair_decides_by_the_pair_s_thresholds(pair, page):
    found = pair(calibration=EVERYTHING).recognize(page, Options(error_rate=0.5))
    assert found.decision is Decision.ACCEPT


def test_another_second_reader_than_the_model_was_calibrated_beside_is_refused(paired):
    with pytest.raises(ModelError, match=r"calibrated beside the second reader .*, not "):
        Recognizer(Scorer(paired()), Scorer(SHIPPED_MODEL))


def test_without_its_second_reader_a_paired_model_reads_as_it_did(paired, page):
    alone, before = Recognizer(Scorer(paired(weight=1.0))), Recognizer(Scorer())
    assert alone.recognize(page).reading == before.recognize(page).reading


@pytest.mark.parametrize("how", [{"sure": 1.5}, {"weight": -0.1}])
def test_a_pairing_out_of_range_is_refused(paired, how):
    with pytest.raises(ModelError, match="expected sure and weight from 0 to 1"):
        Scorer(paired(**how))


@given(
    st.lists(st.lists(st.integers(0, 120), min_size=1, max_size=4), min_size=1, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_what_is_seen_in_a_view_does_not_depend_on_the_views_beside_it(shipped, strokes):
    strips = []
    for columns in strokes:
        page = np.full((32, max(columns) + 6), 255, np.uint8)
        for column in columns:
            page[4:28, column : column + 3] = 0
        line = normalize(page)
        strips.append(line.strip())
    for scorer in (shipped.scorer, shipped.second):
        together = look([scorer], strips, line)
        for each, strip in zip(together, strips, strict=True):
            assert np.array_equal(each.scores, scorer.score(strip.pixels))


def test_tiles_hide_no_neighbor_from_the_second_reader(shipped):
    tiled = Recognizer.load(ModelFiles.read(), tile_positions=8)
    strip = np.random.default_rng(0).integers(0, 256, (32, 600), dtype=np.uint8)
    np.testing.assert_array_equal(tiled.second.score(strip), shipped.second.score(strip))


def test_a_shipped_model_without_its_second_reader_is_an_error_that_says_what_to_do(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(model, "SHIPPED_SECOND_READER", tmp_path / "second_reader.onnx")
    missing = r"second_reader\.onnx is missing .*--second-reader none"
    for first in (None, SHIPPED_MODEL):
        with pytest.raises(ModelError, match=missing):
            ModelFiles.read(first)
    assert ModelFiles.read(None, NO_SECOND_READER).second is None


def test_the_shipped_model_is_itself_by_any_path_to_it(monkeypatch):
    monkeypatch.chdir(SHIPPED_MODEL.parent)
    assert second_reader_file(Path("model.onnx"), None) == SHIPPED_SECOND_READER


def test_the_shipped_second_reader_goes_with_the_shipped_model_alone(tmp_path):
    shipped = SHIPPED_SECOND_READER
    mine = tmp_path / "mine.onnx"
    assert second_reader_file(None, None) == second_reader_file(SHIPPED_MODEL, None) == shipped
    assert second_reader_file(mine, None) is None
    assert second_reader_file(None, NO_SECOND_READER) is None
    assert second_reader_file(mine, str(mine)) == mine


def test_both_files_are_read_and_told_apart(second_reader):
    files = ModelFiles.read(SHIPPED_MODEL, str(second_reader))
    assert files.digests == (Scorer().digest, Scorer(second_reader).digest)
    assert ModelFiles.read(SHIPPED_MODEL, NO_SECOND_READER).digests[1] == ""
    with pytest.raises(ModelError, match="cannot read the model"):
        ModelFiles.read(SHIPPED_MODEL, "/nowhere/second.onnx")


def test_a_damaged_second_reader_is_named(second_reader):
    with pytest.raises(ModelError, match="the second reader is damaged"):
        Recognizer.load(ModelFiles(SHIPPED_MODEL.read_bytes(), b"no model"))


def test_a_pairing_survives_its_metadata():
    pairing = Pairing("ab", 0.7, 0.6, EVERYTHING)
    assert Pairing.from_json(pairing.to_json()) == pairing
