"""Adapting without labels, with the shipped pair and few small steps."""

import csv
import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from service.recognition.calibration import Calibration, Evidence
from service.recognition.decoding.constraints import luhn
from service.recognition.model import SHIPPED_MODEL, SHIPPED_SECOND_READER, Scorer
from service.recognition.recognizer import Recognizer
from training import adaptation
from training.adaptation import Kept, Learning, Pair, Scans, adapt, check_agreement, keep
from training.cli.main import app
from training.config import SequenceConfig, StripConfig
from training.errors import DatasetError
from training.export import in_8_bits, stages
from training.pages.page import random_page
from training.stages.sequences import SequenceData

STRIPS = Path(__file__).parents[2] / "examples" / "strips"
PAIR = Pair(SHIPPED_MODEL, SHIPPED_SECOND_READER)
COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mnist5k):
    """Clean made pages, which both readers read, and a file that is no image."""
    folder = tmp_path_factory.mktemp("scans")
    config = dataclasses.replace(StripConfig.only("white"), height=(28, 32), pen=(0.1, 0.1))
    for number in range(COUNT):
        text = str(1000 + 317 * number)
        page = random_page(mnist5k, np.random.default_rng(number), config, text)
        Image.fromarray(page.gray).save(folder / f"{number:02d}-{text}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def text_of(name):
    return name.split("-")[1].removesuffix(".png")


@pytest.fixture(scope="module")
def kept(folder):
    return keep(PAIR, Scans.of(folder))


@pytest.fixture(scope="module")
def learning(config, training, validation):
    few = SequenceConfig(
        epochs=1, steps=2, lines=4, windows=16, held_out_lines=2, learning_rate=1e-6, average=0.5
    )
    data = SequenceData(training, mnist=training)
    return Learning(config, few, data, SequenceData(validation), ["mnist5k"], workers=0)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory, folder, learning):
    run = tmp_path_factory.mktemp("run")
    return run, adapt(run, PAIR, Scans.of(folder), learning)


def recognition(text, evidence):
    return SimpleNamespace(reading=SimpleNamespace(text=text), evidence=evidence)


def table(path, *rows):
    path.write_text("file,text\n" + "".join(f"{file},{text}\n" for file, text in rows))
    return path


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (Evidence(0.9, second=0.8, agreed=True), "agreed"),
        (Evidence(0.9, second=0.8, agreed=False), ""),
        (Evidence(0.5, second=0.8, agreed=True), ""),
        (Evidence(0.99, second=None, agreed=True), ""),
    ],
)
def test_a_text_is_kept_where_both_readers_agree_surely_enough(evidence, why):
    assert adaptation.reason_to_keep(recognition("123", evidence), None) == why


def test_what_has_the_right_check_digit_is_kept_whatever_the_readers_say():
    unsure = Evidence(0.2, second=0.1, agreed=False)
    assert adaptation.reason_to_keep(recognition("79927398713", unsure), luhn()) == "confirmed"


def test_what_has_the_wrong_check_digit_is_not_kept_however_sure_the_readers_are():
    sure = Evidence(0.99, second=0.99, agreed=True)
    assert adaptation.reason_to_keep(recognition("79927398710", sure), luhn()) == ""


def test_an_empty_reading_is_not_learned_from():
    sure = Evidence(0.99, second=0.99, agreed=True)
    assert adaptation.reason_to_keep(recognition("", sure), None) == ""


def test_what_is_kept_is_what_the_readers_agree_on_and_mostly_right(kept):
    assert kept.scans == COUNT
    assert list(kept.unreadable) == ["broken.png"]
    assert kept.agreed == kept.found == len(kept.rows) == len(kept.lines) > COUNT / 2
    right = [text == text_of(name) for name, text, _ in kept.rows]
    assert np.mean(right) > 0.9
    assert [line.text for line in kept.lines] == [text for _, text, _ in kept.rows]


def test_a_known_text_takes_the_place_of_a_reading_and_counts_several_times(folder, tmp_path):
    names = sorted(path.name for path in folder.glob("*-*.png"))[:3]
    known = table(tmp_path / "known.csv", *((name, "5550123") for name in names))
    kept = keep(PAIR, Scans.of(folder, known))
    assert kept.known == 3
    assert kept.known_right == 0
    assert [row[:2] for row in kept.rows if row[2] == "known"] == [(n, "5550123") for n in names]
    assert sum(line.text == "5550123" for line in kept.lines) == 3 * adaptation.KNOWN
    assert kept.share <= 1


def test_adapting_does_not_begin_where_the_readers_agree_on_little():
    few = Kept(scans=100, agreed=24)
    with pytest.raises(DatasetError, match=r"agree on 24 of 100 scans \(24%\); adapting needs 25%"):
        check_agreement(few, Path("scans"))
    with pytest.raises(DatasetError, match="at least 20"):
        check_agreement(Kept(scans=19, agreed=19), Path("scans"))
    check_agreement(Kept(scans=100, agreed=25), Path("scans"))


def test_known_texts_let_adapting_begin_where_the_readers_agree_on_nothing():
    check_agreement(Kept(scans=100, agreed=0, known=20), Path("scans"))


def test_a_round_continues_both_networks_with_what_was_kept(adapted, folder):
    run, rounds = adapted
    assert [each.number for each in rounds] == [1]
    for name, shipped, network in (
        (adaptation.FIRST, SHIPPED_MODEL, "lenet5"),
        (adaptation.SECOND, SHIPPED_SECOND_READER, "context"),
    ):
        scorer, before = Scorer(run / name), Scorer(shipped)
        assert scorer.digest != before.digest
        *earlier, last = stages(scorer.metadata.training)
        assert earlier == stages(before.metadata.training)
        assert last["network"] == network
        assert in_8_bits(run / name)  # as what it went on from
        assert "quantized" in last
        assert last["training_scans"] == len(rounds[0].kept.lines)
        assert f"{folder.name}, adapted to" in last["data"]
    with (run / "round-1" / "kept.csv").open() as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == rounds[0].kept.rows


def test_an_adapted_pair_keeps_its_confidences_and_loses_its_thresholds(adapted):
    run, _ = adapted
    recognizer = Recognizer(Scorer(run / adaptation.FIRST), Scorer(run / adaptation.SECOND))
    before = Recognizer(Scorer(SHIPPED_MODEL), Scorer(SHIPPED_SECOND_READER))
    assert recognizer.readers.weight == before.readers.weight
    assert recognizer.calibration.thresholds == ()
    evidence = Evidence(0.7, 0.1, 4, 0.6, 0.8, agreed=True)
    assert recognizer.calibration.confidence(evidence) == before.calibration.confidence(evidence)
    assert recognizer.calibration.source == f"{before.calibration.source}, before adapting"
    alone, shipped = recognizer.metadata.calibration, before.metadata.calibration
    assert alone == dataclasses.replace(shipped, thresholds=(), source=alone.source)


def test_a_calibration_says_once_that_it_is_of_before_adapting():
    once = adaptation.without_thresholds(Calibration(source="cheques"))
    assert adaptation.without_thresholds(once) == once
    assert adaptation.without_thresholds(Calibration()) == Calibration()


def test_digits_of_what_is_kept_are_set_into_other_strings(adapted):
    run, _ = adapted
    for name in (adaptation.FIRST, adaptation.SECOND):
        last = stages(Scorer(run / name).metadata.training)[-1]
        assert last["cut_digits"] > COUNT  # of strings of four and five digits that stand apart


def test_it_ends_when_the_readers_agree_on_no_more_than_before(adapted):
    run, rounds = adapted
    assert len(rounds) == 1  # two steps at a millionth change nothing that is read
    assert not (run / "round-2").exists()


def test_a_round_that_lets_the_readers_agree_on_less_is_dropped(
    tmp_path, monkeypatch, folder, learning
):
    found = iter([Kept(scans=30, agreed=25), Kept(scans=30, agreed=24)])
    monkeypatch.setattr(adaptation, "keep", lambda *_: next(found))
    monkeypatch.setattr(adaptation, "learn", lambda *_: PAIR)
    assert adapt(tmp_path, PAIR, Scans.of(folder), learning) == []
    assert not (tmp_path / adaptation.FIRST).exists()


def test_the_scans_are_read_once_more_after_the_last_round(tmp_path, monkeypatch, folder, learning):
    found = iter([Kept(scans=100, agreed=many) for many in (50, 70)])
    monkeypatch.setattr(adaptation, "keep", lambda *_: next(found))
    monkeypatch.setattr(adaptation, "learn", lambda *_: PAIR)
    seen = []
    rounds = adapt(
        tmp_path,
        PAIR,
        Scans.of(folder),
        learning,
        report=lambda number, kept: seen.append((number, kept.found)),
    )
    assert [each.number for each in rounds] == [1]
    assert seen == [(1, 50), (2, 70)]


def test_rounds_go_on_while_the_readers_agree_on_more(tmp_path, monkeypatch, folder, learning):
    found = iter([Kept(scans=100, agreed=many) for many in (50, 55, 60, 60)])
    monkeypatch.setattr(adaptation, "keep", lambda *_: next(found))
    monkeypatch.setattr(adaptation, "learn", lambda *_: PAIR)
    seen = []
    rounds = adapt(
        tmp_path,
        PAIR,
        Scans.of(folder),
        learning,
        rounds=9,
        report=lambda number, kept: seen.append((number, kept.found)),
    )
    assert [each.number for each in rounds] == [1, 2, 3]
    assert seen == [(1, 50), (2, 55), (3, 60), (4, 60)]


def test_a_finished_run_called_again_ends_with_the_same_models(adapted, folder, learning):
    run, _ = adapted
    before = [(run / name).read_bytes() for name in (adaptation.FIRST, adaptation.SECOND)]
    shutil.rmtree(run / "round-1", ignore_errors=False)
    adapt(run, PAIR, Scans.of(folder), learning)
    assert before == [(run / name).read_bytes() for name in (adaptation.FIRST, adaptation.SECOND)]


def test_a_folder_without_images_or_a_table_with_another_s_files_is_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match="expected images, found none"):
        Scans.of(tmp_path)
    with pytest.raises(DatasetError, match="expected a folder of scans"):
        Scans.of(tmp_path / "nowhere")
    other = table(tmp_path / "other.csv", ("elsewhere.png", "12"))
    with pytest.raises(DatasetError, match=r"elsewhere\.png is no image in"):
        Scans.of(folder, other)


def test_only_files_that_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DatasetError, match=r"expected scans that can be read; broken\.png"):
        keep(PAIR, Scans.of(tmp_path))


def test_the_command_needs_the_second_reader_of_another_model(tmp_path, folder):
    other = tmp_path / "own.onnx"
    shutil.copyfile(SHIPPED_MODEL, other)
    options = ["adapt", str(tmp_path / "run"), "--scans", str(folder), "--model", str(other)]
    result = CliRunner().invoke(app, [*options, "--data", "mnist5k"])
    assert result.exit_code == 2
    assert "two readers are needed" in result.output


def test_the_command_says_how_many_were_kept_and_refuses_too_few(tmp_path):
    for path in sorted(STRIPS.glob("*.png"))[:5]:
        shutil.copyfile(path, tmp_path / path.name)
    options = ["adapt", str(tmp_path / "run"), "--scans", str(tmp_path), "--data", "mnist5k"]
    result = CliRunner().invoke(app, options)
    assert "of 5 scans that the readers agree on" in result.output
    assert isinstance(result.exception, DatasetError)
    assert "at least 20" in str(result.exception)
