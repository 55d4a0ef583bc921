import dataclasses

import numpy as np
import onnx
import pytest
from scipy.special import expit, logit
from typer.testing import CliRunner

from service.recognition.calibration import Calibration, Evidence, log_odds
from service.recognition.decoding.reading import Alternative
from service.recognition.model import SHIPPED_MODEL, Scorer
from service.recognition.readers import ReaderText
from service.recognition.recognizer import Decision, Options, Recognizer
from tests.conftest import STRIPS
from tests.support.drawn import drawn
from training.cli.main import app
from training.errors import DatasetError
from training.evaluation.calibrate import (
    best_weight,
    calibrate,
    calibrated,
    calibration,
    made_strips,
    promise,
    read_all,
    voted,
)
from training.evaluation.metrics import Read, reliability
from training.evaluation.regression import FEWEST, smoothed
from training.export import write_metadata


def reads_of(probabilities, right):
    return [
        Read(f"{n}", "1", "1" if good else "2", float(p), Evidence(float(p)))
        for n, (p, good) in enumerate(zip(probabilities, right, strict=True))
    ]


def test_log_odds_undo_the_logistic_function_and_stay_finite():
    assert log_odds(expit(1.7)) == pytest.approx(1.7)
    assert -30 < log_odds(0) < -20
    assert 20 < log_odds(1) < 30


def test_a_calibration_makes_overconfidence_honest():
    probabilities, right = drawn(40_000, 0.4, -0.5)  # chance alone is some 0.7%
    reads = reads_of(probabilities, right)
    by = calibration(reads, "drawn", Calibration())
    assert reliability(probabilities, right).error > 0.1
    assert reliability(calibrated(reads, by), right).error < 0.02
    assert by.source == "drawn"


def test_a_promise_counts_what_the_threshold_of_one_in_a_hundred_accepts():
    probabilities = [0.99] * 99 + [0.5] * 101
    strips_read = reads_of(probabilities, [True] * 99 + [False] * 101)
    by = calibration(strips_read, "", Calibration())
    found = promise("some", strips_read, by)
    assert (found.strips, found.coverage, found.risk) == (200, 99 / 200, 0)
    before = promise("some", strips_read, Calibration())
    assert (before.coverage, before.risk) == (0, 0)  # no threshold: nothing is accepted
    assert found.error < before.error


def test_thirty_strips_all_right_accept_at_a_rate_that_they_can_promise_and_say_how_little():
    by = calibration(reads_of(np.linspace(0.6, 0.99, 30), [True] * 30), "thirty", Calibration())
    assert [each.error_rate for each in by.thresholds] == [0.1, 0.05]  # 1 of 31 may be wrong
    assert by.threshold(0.01) > 1
    for each in by.thresholds:
        assert (each.low, each.high) == pytest.approx((0, 0.1157), abs=1e-4)


# --- a model file


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The shipped model without its calibration."""
    out = tmp_path_factory.mktemp("plain") / "model.onnx"
    metadata = dataclasses.replace(Scorer(SHIPPED_MODEL).metadata, calibration=Calibration())
    write_metadata(SHIPPED_MODEL, metadata, out)
    return out


@pytest.fixture(scope="module")
def strips_read(plain, validation):
    return read_all(plain, None, [], False, made_strips(validation, 3, 160, 0.5))


@pytest.fixture(scope="module")
def written(plain, strips_read, tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrated") / "model.onnx"
    return out, calibrate(plain, out, strips_read)


def test_made_strips_are_pages_and_strings_as_shared(validation):
    for share, counts in ((0.5, [4, 3]), (0, [0, 7]), (1, [7, 0])):
        made = made_strips(validation, 3, 7, share)
        assert [len(strips) for _, strips in made] == counts
    (_, pages), (_, strings) = made_strips(validation, 3, 4, 0.5)
    assert all(len(strip.text) == 0 or strip.text.isdigit() for strip in [*pages, *strings])


def test_a_calibrated_model_differs_in_its_calibration_alone(written, plain):
    out, _ = written
    before, after = onnx.load(plain), onnx.load(out)
    assert after.graph == before.graph
    old, new = Scorer(plain).metadata, Scorer(out).metadata
    assert dataclasses.replace(new, calibration=old.calibration) == old
    assert new.calibration != old.calibration
    assert new.calibration.source == "made pages (80) and synthetic strings (80)"


def test_a_calibration_is_repeatable_to_the_byte(written, plain, strips_read, tmp_path):
    again = tmp_path / "again.onnx"
    calibrate(plain, again, strips_read)
    assert again.read_bytes() == written[0].read_bytes()


def test_calibrating_a_calibrated_model_in_place_changes_nothing(written, validation, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(written[0].read_bytes())
    strips_read = read_all(model, None, [], False, made_strips(validation, 3, 160, 0.5))
    calibrate(model, model, strips_read)
    assert model.read_bytes() == written[0].read_bytes()


def test_promises_are_of_each_source_and_of_all(written):
    _, (fitted,) = written
    promises = fitted.promises
    assert [before.source for before, _ in promises] == [
        "made pages",
        "synthetic strings",
        "all",
    ]
    for before, after in promises:
        assert before.strips == after.strips


def test_a_calibration_says_what_was_read_more_probably_than_the_one_before(
    written, plain, strips_read
):
    reads = [read for each in strips_read for read in each.reads]
    right = np.array([read.right for read in reads])
    targets = smoothed(right)
    before, after = (
        np.array([by.confidence(read.evidence) for read in reads])
        for by in (Scorer(plain).metadata.calibration, Scorer(written[0]).metadata.calibration)
    )
    losses = [
        -np.mean(targets * np.log(each) + (1 - targets) * np.log1p(-each))
        for each in (before, after)
    ]
    assert losses[1] <= losses[0] + 1e-9


def test_the_service_decides_as_the_new_thresholds_promise(written, plain, validation):
    out, _ = written
    before, after = Recognizer(Scorer(plain)), Recognizer(Scorer(out))
    by = after.calibration
    rate = by.thresholds[0].error_rate
    decisions = set()
    for _, strips in made_strips(validation, 3, 160, 0.5):
        for strip in strips[:25]:
            old = before.recognize(strip.gray(), Options(error_rate=rate))
            new = after.recognize(strip.gray(), Options(error_rate=rate))
            assert new.reading.text == old.reading.text
            assert old.decision is Decision.REVIEW
            enough = new.reading.confidence >= by.thresholds[0].confidence and not new.ink.reasons
            assert new.decision is (Decision.ACCEPT if enough else Decision.REVIEW)
            decisions.add(new.decision)
    assert decisions == {Decision.ACCEPT, Decision.REVIEW}


def test_the_command_calibrates_on_made_strips_and_shows_before_and_after(tmp_path):
    out = tmp_path / "model.onnx"
    arguments = ["calibrate", str(SHIPPED_MODEL), str(out), "--data", "mnist5k", "--made", "120"]
    arguments += ["--second-reader", "none"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for word in ("before", "after", "made pages", "synthetic strings", "all (120)"):
        assert word in result.output
    assert Scorer(out).metadata.calibration.source == (
        "made pages (60) and synthetic strings (60), by --data mnist5k --made 120 --pages 0.5 "
        "--seed 1"
    )


def test_the_command_refuses_a_folder_of_too_few_strips_and_writes_nothing(tmp_path):
    out = tmp_path / "model.onnx"
    arguments = ["calibrate", str(SHIPPED_MODEL), str(out), "--strips", str(STRIPS)]
    result = CliRunner().invoke(app, [*arguments, "--second-reader", "none"])
    assert isinstance(result.exception, DatasetError)
    assert "expected 30 or more" in str(result.exception)
    assert not out.exists()


# --- two readers


def drawn_together(count, seed=1):
    """Reads on which both readers' probabilities tell right from wrong, and nothing else does."""
    rng = np.random.default_rng(seed)
    reads = []
    for n in range(count):
        first, second = rng.uniform(0.2, 0.99, 2).tolist()
        agreed = bool(rng.random() < 0.6)
        right = rng.random() < expit(0.5 * logit(first) + logit(second) + 0.5)
        evidence = Evidence(0.7, 0.1, 4, first, second, agreed)
        reads.append(Read(f"{n}", "1", "1" if right else "2", 0.7, evidence))
    return reads


def test_a_thousand_strips_fit_the_signs_of_both_and_never_against_them():
    by = calibration(drawn_together(4000), "drawn", Calibration())
    weights = by.consulted.weights
    assert min(weights.values()) >= 0
    assert weights["first"] == pytest.approx(0.5, abs=0.15)
    assert weights["second"] == pytest.approx(1, abs=0.2)


def disputed(first_right, second_right):
    """Reads that the readers dispute, each as sure as the other, by who is right."""
    reads = []
    for text, count in (("1", first_right), ("2", second_right)):
        for n in range(count):
            readers = (
                ReaderText("first", (Alternative("1", 0.9), Alternative("2", 0.1))),
                ReaderText("second", (Alternative("2", 0.9), Alternative("1", 0.1))),
            )
            evidence = Evidence(0.5, 0.4, 1, 0.9, 0.1)
            reads.append(Read(f"{text}-{n}", text, "1", 0.5, evidence, readers))
    return reads


def test_another_weight_is_taken_where_it_is_significantly_better():
    assert best_weight(disputed(400, 600), now=0.4) > 0.5
    assert best_weight(disputed(600, 400), now=0.6) <= 0.5  # a draw goes to the first reader


def test_the_weight_so_far_stands_against_what_may_be_chance_and_on_few_strips():
    assert best_weight(disputed(495, 505), now=0.4) == 0.4
    assert best_weight(disputed(100, 300), now=0.4) == 0.4


def scanned_and_made(seed=1):
    """Reads of made strips, and of scans that are right more often at the same probabilities."""
    made = drawn_together(4000, seed)
    rng = np.random.default_rng(seed)
    scans = [
        dataclasses.replace(read, text="1" if rng.random() < 0.6 else read.text)
        for read in drawn_together(1000, seed + 1)
    ]
    return scans, made


def test_scans_among_the_strips_alone_say_how_probable_a_right_reading_is():
    scans, made = scanned_and_made()
    by = calibration([*scans, *made], "both", Calibration(), scans)
    found = calibrated(scans, by).mean()
    assert found == pytest.approx(np.mean([read.right for read in scans]), abs=0.01)
    assert found > calibrated(scans, calibration([*scans, *made], "", Calibration())).mean() + 0.05


def test_thresholds_are_of_all_strips_so_that_what_is_accepted_does_not_depend_on_the_scans():
    scans, made = scanned_and_made()
    leveled = calibration([*scans, *made], "both", Calibration(), scans)
    together = calibration([*scans, *made], "both", Calibration())
    for by in (leveled, together):
        assert [each.error_rate for each in by.thresholds][:2] == [0.1, 0.05]
    for rate in (0.1, 0.05):
        accepted = [
            calibrated([*scans, *made], by) >= by.threshold(rate) for by in (leveled, together)
        ]
        assert (accepted[0] == accepted[1]).all()


def test_too_few_scans_leave_the_level_to_all_strips():
    scans, made = scanned_and_made()
    few = calibration([*scans[: FEWEST - 1], *made], "few", Calibration(), scans[: FEWEST - 1])
    assert few == calibration([*scans[: FEWEST - 1], *made], "few", Calibration())


def test_few_strips_of_another_source_move_the_log_odds_a_little():
    before = calibration(drawn_together(4000), "drawn", Calibration())
    worse = [
        dataclasses.replace(read, text="2") if n % 3 else read
        for n, read in enumerate(drawn_together(60, seed=2))
    ]
    after = calibration(worse, "worse", before)
    assert (after.alone, after.consulted) == (before.alone, before.consulted)
    assert after.offset < -0.3
    assert calibrated(worse, after).mean() < calibrated(worse, before).mean()
    assert calibration(worse, "worse", after) == after


def test_strips_that_are_all_right_still_recalibrate_what_was_calibrated():
    before = calibration(drawn_together(4000), "drawn", Calibration())
    right = [dataclasses.replace(read, text="1") for read in drawn_together(60, seed=3)]
    after = calibration(right, "right", before)
    assert calibrated(right, after).mean() > calibrated(right, before).mean()


def test_another_weight_of_the_second_reader_votes_again():
    readers = (
        ReaderText("first", (Alternative("1", 0.6), Alternative("7", 0.4))),
        ReaderText("second", (Alternative("7", 0.9),)),
    )
    read = Read("a", "7", "1", 0.5, Evidence(0.5, second=0.1), readers)
    trusting, doubting = voted(read, 0.5), voted(read, 0.1)
    assert (trusting.text, doubting.text) == ("7", "1")
    assert trusting.evidence == Evidence(pytest.approx(0.65), 0.3, 1, 0.4, 0.9, agreed=False)
    alone = Read("a", "7", "1", 0.5, Evidence(0.5), readers[:1])
    assert voted(alone, 0.9) == alone


def test_a_pair_is_calibrated_into_the_first_reader_s_file(second_reader, validation, tmp_path):
    # The shipped model was calibrated beside another second reader.
    out = tmp_path / "model.onnx"
    made = made_strips(validation, 3, 60, 0.5)
    alone = read_all(SHIPPED_MODEL, None, [], False, made)
    both = read_all(SHIPPED_MODEL, second_reader, [], False, made)
    fitted = calibrate(SHIPPED_MODEL, out, alone, second_reader, both)
    assert [each.readers for each in fitted] == ["first reader alone", "both readers"]
    pairing = Scorer(out).metadata.pairing
    assert pairing.second == Scorer(second_reader).digest
    assert pairing.calibration.source == Scorer(out).metadata.calibration.source
    Recognizer(Scorer(out), Scorer(second_reader))
