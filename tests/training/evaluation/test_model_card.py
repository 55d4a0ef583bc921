import json
import re
from dataclasses import fields, replace

import numpy as np
import pytest

from service.recognition.calibration import Calibration, Threshold
from service.recognition.model_metadata import ModelMetadata, Pairing
from training.config import Config, SequenceConfig, StripConfig
from training.evaluation.evaluate import (
    Figures,
    Reads,
    SecondReaderFigures,
    SourceFigures,
    WindowFigures,
)
from training.evaluation.metrics import Read, StripFigures
from training.evaluation.model_card import confused, write_card
from training.evaluation.training_record import fits
from training.networks import LABELS
from training.stages.sequences import SequenceData, SequenceStage
from training.stages.train import Progressed
from training.stages.windows import WindowStage

VALIDATION = {"epoch": 3, "digit_error": 0.01, "none_error": 0.02, "string_error": 0.257}
WINDOWS = {
    "stage": "windows",
    "data": "mnist",
    "config": Config(seed=5, epochs=9).to_dict(),
    "training_digits": 54_980,
    "held_out_digits": 5_020,
    "validation": VALIDATION,
}
SEQUENCES = {
    "stage": "sequences",
    "data": "mnist, parish",
    "config": SequenceConfig(epochs=7).to_dict(),
    "windows": Config(seed=5).to_dict(),
    "strips": StripConfig().to_dict(),
    "training_digits": 54_980,
    "held_out_digits": 5_020,
    "training_scans": 30_604,
    "held_out_scans": 3_400,
    "validation": VALIDATION,
}
MADE = SEQUENCES | {"data": "mnist", "training_scans": 0, "held_out_scans": 0}
OLD = {
    "data": "mnist",
    "config": Config().to_dict(),
    "training_digits": 54_980,
    "validation_digits": 5_020,
    "validation": {"epoch": 50, "digit_error": 0.005, "none_error": 0.014},
}


def test_stages_tell_all_that_a_card_needs(config, training, validation):
    data = SequenceData(training), SequenceData(validation)
    for stage, described in (
        (WindowStage(config, training, validation, "mnist"), WINDOWS),
        (SequenceStage(config, SequenceConfig(), *data, ["mnist"]), SEQUENCES),
    ):
        assert stage.name == described["stage"]
        assert described.keys() - {"stage", "validation"} <= stage.describe().keys()
    assert VALIDATION.keys() <= {field.name for field in fields(Progressed)}


def figures_of(training, calibration=None):
    read = [Read("a", "100", "100", 0.9), Read("b", "123", "17", 0.4), Read("c", "123", "123", 0.8)]
    metadata = ModelMetadata(
        1, LABELS, 32, 4, json.dumps(training), 1.0, calibration or Calibration()
    )
    return Figures(
        digest="0" * 64,
        metadata=metadata,
        command="--seed 1 --synthetic 3",
        windows=WindowFigures(100, 0.01, {"all": 10}, {"all": 0.9}),
        sources=[SourceFigures(Reads("synthetic", read, [], {}), StripFigures.of(read))],
    )


def test_a_card_shows_both_readers_alone_and_together(tmp_path):
    figures = figures_of({"stages": [SEQUENCES]})
    second_stages = json.dumps(
        {"stages": [SEQUENCES | {"network": "context", "note": "Not undisturbed."}]}
    )
    second = SecondReaderFigures(
        digest="1" * 64,
        metadata=replace(figures.metadata, training=second_stages),
        windows=figures.windows,
        first_alone=figures.sources,
        second_alone=figures.sources,
        consulted=[0.4],
        agreed=[0.75],
    )
    pairing = Pairing("1" * 64, 0.9, 0.6)
    metadata = replace(figures.metadata, pairing=pairing)
    write_card(replace(figures, second=second, metadata=metadata), tmp_path / "MODEL_CARD.md")
    text = (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "## The second reader" in text
    assert "network `context`" in text
    assert "weight of 0.6" in text
    assert "Not undisturbed." in text
    assert "| 40% | 75% |" in text


def written(tmp_path, training, calibration=None):
    write_card(figures_of(training, calibration), tmp_path / "MODEL_CARD.md")
    return (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("training", "stages"),
    [
        ({"stages": [WINDOWS]}, ["Stage 1: windows"]),
        ({"stages": [SEQUENCES]}, ["Stage 1: sequences"]),
        ({"stages": [WINDOWS, SEQUENCES]}, ["Stage 1: windows", "Stage 2: sequences"]),
        (
            {"stages": [WINDOWS, MADE, SEQUENCES]},
            ["Stage 1: windows", "Stage 2: sequences", "Stage 3: sequences"],
        ),
        (OLD, ["Stage 1: windows"]),
    ],
)
def test_a_card_tells_each_stage_that_the_model_went_through(tmp_path, training, stages):
    text = written(tmp_path, training)
    assert re.findall(r"^### (Stage .*)$", text, re.MULTILINE) == stages
    assert "5,020" in text


def test_a_card_shows_the_knobs_that_differ_from_today_s_defaults_alone(tmp_path):
    lines = SequenceConfig(epochs=7, learning_rate=0.005).to_dict()
    lines["retired"] = 3
    del lines["touching"]
    learned = SEQUENCES | {"config": lines, "strips": StripConfig(fold=0.5).to_dict()}
    text = written(tmp_path, {"stages": [WINDOWS, learned]})
    assert "| `windows.seed` | 5 | 1 |" in text
    assert "| `lines.learning_rate` | 0.005 | 0.001 |" in text
    assert "| `lines.retired` | 3 | gone since |" in text
    assert f"| `lines.touching` | not there | {SequenceConfig().touching} |" in text
    assert f"| `written.fold` | 0.5 | {StripConfig().fold} |" in text
    assert "`lines.lines`" not in text
    assert "`written.digits`" not in text


def test_a_card_says_where_every_knob_had_its_default(tmp_path):
    stage = WINDOWS | {"config": Config().to_dict()}
    assert "Every knob had today's default." in written(tmp_path, {"stages": [stage]})


def test_a_card_names_the_scans_and_asks_to_cite_the_parish_registers(tmp_path):
    text = written(tmp_path, {"stages": [WINDOWS, SEQUENCES]})
    assert "`parish`: 30,604 trained on and\n3,400 held out" in text
    assert "Piqueras et al., ICFHR 2022" in text
    assert "No cheque was trained or selected on" in text
    assert "25.7% wrong along the best path" in text
    without = written(tmp_path, {"stages": [WINDOWS, MADE]})
    assert "Piqueras" not in without
    assert "No cheque was trained or selected on" in without


def test_a_card_of_a_model_that_learned_from_cheques_does_not_deny_it(tmp_path):
    learned = SEQUENCES | {"data": "mnist, cheques"}
    assert "No cheque was trained" not in written(tmp_path, {"stages": [WINDOWS, learned]})


def test_a_card_names_other_hands_with_their_licenses_and_takes_none_for_a_folder(tmp_path):
    learned = SEQUENCES | {"data": "mnist, semeion, nsysu, parish"}
    text = written(tmp_path, {"stages": [WINDOWS, learned]})
    assert "`semeion` (Semeion Research Center, UCI, CC BY 4.0)" in text
    assert "ODbL" in text
    assert "Scans of `parish`:" in text
    (fit, _) = fits([WINDOWS, learned])
    assert "--hands hands" in fit
    assert "--strips semeion" not in fit


def test_a_card_tells_which_knobs_of_other_pages_differ_and_what_a_stage_notes(tmp_path):
    learned = SEQUENCES | {
        "cells": StripConfig.cells().to_dict() | {"frame": 0.99},
        "digitized": StripConfig.digitized().to_dict(),
        "cut_digits": 64_719,
        "note": "Interrupted twice.",
    }
    text = written(tmp_path, {"stages": [WINDOWS, learned]})
    assert "64,719 digits were cut out" in text
    assert f"| `cells.frame` | 0.99 | {StripConfig.cells().frame} |" in text
    assert "`digitized." not in text
    assert "Interrupted twice." in text


def test_the_commands_of_two_stages_are_one_run():
    assert list(fits([WINDOWS, SEQUENCES])) == [
        "digitstrip-train fit runs/shipped --data mnist --seed 5 --epochs 9 --strips parish "
        "--strip-epochs 7",
        "digitstrip-train export runs/shipped service/model.onnx",
    ]


def test_a_further_stage_continues_the_model_of_the_run_before():
    assert list(fits([WINDOWS, MADE, SEQUENCES])) == [
        "digitstrip-train fit runs/before-1 --data mnist --seed 5 --epochs 9 --strip-epochs 7",
        "digitstrip-train export runs/before-1 runs/before-1.onnx",
        "digitstrip-train fit runs/shipped --init runs/before-1.onnx --data mnist --strips parish "
        "--seed 5 --strip-epochs 7",
        "digitstrip-train export runs/shipped service/model.onnx",
    ]


def test_a_card_says_what_confidences_are_calibrated_on_and_that_it_does_not_carry_over(tmp_path):
    by = Calibration(0.5, 0.1, (Threshold(0.1, 0.5), Threshold(0.005, 0.9)), "900 strips of scans")
    text = written(tmp_path, {"stages": [WINDOWS]}, by)
    assert "calibrated on 900 strips of scans" in text
    assert "Then `digitstrip-train calibrate` on 900 strips of scans." in text
    assert "10%, 0.5%" in text
    assert "Neither carries over" in text
    assert "not calibrated" not in text
    assert "it is not calibrated" in written(tmp_path, {"stages": [WINDOWS]})


def test_a_card_has_the_ablations_as_they_stand_in_their_file(tmp_path):
    path, ablations = tmp_path / "MODEL_CARD.md", tmp_path / "ablations.md"
    write_card(figures_of(OLD), path, ablations)
    assert "## What each part is worth" not in path.read_text(encoding="utf-8")
    table = "| without | exact |\n| --- | --- |\n| views | 55.1% |"
    ablations.write_text(table + "\n", encoding="utf-8")
    write_card(figures_of(OLD), path, ablations)
    assert f"## What each part is worth\n\n{table}\n\n" in path.read_text(encoding="utf-8")


def test_a_card_s_pictures_are_in_docs_beside_it(tmp_path):
    text = written(tmp_path, OLD)
    assert "(docs/risk-coverage.png)" in text
    assert (tmp_path / "docs" / "risk-coverage.png").is_file()


def test_the_commonest_confusions_are_told_by_name():
    table = np.zeros((11, 11), int)
    table[5, 5], table[1, 7], table[0, 10], table[10, 4] = 99, 3, 5, 2
    figures = StripFigures.of([Read("", "1", "1", 1.0)])
    assert confused(figures) == "none"
    assert (
        confused(replace(figures, confusions=table.tolist()))
        == "0 missed 5×, 1 as 7 3×, 4 invented 2×"
    )
