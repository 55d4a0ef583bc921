import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from service.recognition.decoding.decoder import log_probability
from service.recognition.model_metadata import VERSION, ModelMetadata
from training.config import SequenceConfig
from training.data.scans import LabeledLine, LineSet
from training.export import export, load_model, network_name
from training.networks import LABELS, NONE, ContextNet, LeNet5
from training.pages.cuttings import Cuttings
from training.stages.sequences import (
    COMPOSED,
    SequenceBatches,
    SequenceData,
    SequenceStage,
    best_path,
    composed_line,
    lay_end_to_end,
    line_scores,
    lines_loss,
    made_line,
    seen,
)
from training.stages.train import Run, fit

CONTRACT = ModelMetadata(VERSION, LABELS, 32, 4, "{}", touching=1.0)


@pytest.fixture(scope="session")
def few():
    return SequenceConfig(epochs=2, steps=2, lines=4, windows=16, held_out_lines=3, average=0.5)


@pytest.fixture(scope="session")
def scans(training):
    rng = np.random.default_rng(5)
    return LineSet.of([made_line(training, rng) for _ in range(6)])


@pytest.fixture(scope="session")
def stage(config, few, training, validation, scans):
    learned, held_out = SequenceData(training, scans), SequenceData(validation, scans)
    return SequenceStage(config, few, learned, held_out, ["mnist5k", "scans"])


def strips_of(*widths):
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (32, width), dtype=np.uint8), "12") for width in widths]


@pytest.mark.parametrize("kind", [LeNet5, ContextNet])
def test_strips_laid_end_to_end_are_scored_as_each_alone(kind):
    network = kind().eval()
    strips = strips_of(60, 33, 120, 32)
    row, widths, targets, lengths = lay_end_to_end(strips)
    assert row.shape == (1, 1, 32, 60 + 36 + 120 + 32)
    assert widths.tolist() == [60, 36, 120, 32]
    assert targets.tolist() == [1, 2] * 4
    assert lengths.tolist() == [2] * 4
    with torch.inference_mode():
        scores, positions = line_scores(network, row, widths)
        for index, (strip, _) in enumerate(strips):
            padded = np.pad(strip, ((0, 0), (0, -strip.shape[1] % 4)))
            alone = network(torch.from_numpy(padded[None, None]))[0, 0]
            count = int(positions[index])
            assert alone.shape[0] == count
            torch.testing.assert_close(scores[:count, index], alone, atol=1e-5, rtol=0)


def test_a_strip_narrower_than_a_window_gets_paper_at_its_right():
    row, widths, _, _ = lay_end_to_end(strips_of(9, 40))
    assert widths.tolist() == [32, 40]
    assert not row[..., 9:32].any()


def test_the_loss_is_the_decoder_s_log_probability_per_digit():
    network = LeNet5().eval()
    texts = ["7", "902", ""]
    lines = [(strip, text) for (strip, _), text in zip(strips_of(64, 90, 40), texts, strict=True)]
    with torch.inference_mode():
        batch = lay_end_to_end(lines)
        scores, positions = line_scores(network, *batch[:2])
        loss = lines_loss(scores, positions, *batch[2:]).item()
    by_decoder = [
        -log_probability(scores[: int(count), index].numpy(), text, CONTRACT) / max(len(text), 1)
        for index, (text, count) in enumerate(zip(texts, positions, strict=True))
    ]
    assert loss == pytest.approx(np.mean(by_decoder), rel=1e-4)


def test_a_text_without_room_in_its_line_counts_for_nothing():
    scores = torch.log_softmax(torch.randn(3, 1, 11), -1)
    one = torch.tensor([3]), torch.tensor([1, 1, 1]), torch.tensor([3])  # needs five positions
    assert lines_loss(scores, *one).item() == 0


@pytest.mark.parametrize(
    ("path", "text"),
    [("", ""), ("nnn", ""), ("11n1", "11"), ("n55n77", "57"), ("12n2", "122"), ("0", "0")],
)
def test_the_best_path_drops_repeats_and_none(path, text):
    labels = torch.tensor([NONE if label == "n" else int(label) for label in path] or [NONE])
    assert best_path(F.one_hot(labels, 11).float()) == [int(digit) for digit in text]


def test_a_view_that_changes_nothing_is_the_line_s_middle(scans):
    still = SequenceConfig(upright=0, slant=0, scale=0, stretch=0, lift=0, sharpen=0, stroke=0)
    line = scans.line(0)
    assert np.array_equal(seen(line, np.random.default_rng(0), still), line.pixels[8:40])


@pytest.mark.parametrize("knob", ["upright", "slant", "scale", "stretch", "lift"])
def test_each_knob_alone_changes_what_is_seen(scans, knob):
    still = SequenceConfig(upright=0, slant=0, scale=0, stretch=0, lift=0, sharpen=0, stroke=0)
    config = dataclasses.replace(still, **{knob: 0.9})
    line = dataclasses.replace(scans.line(0), slant=0.4)
    once, again, other = (seen(line, np.random.default_rng(n), config) for n in (1, 1, 2))
    assert np.array_equal(once, again)
    assert once.shape != other.shape or (once != other).any()


@pytest.mark.parametrize(("knob", "effect"), [("sharpen", "sharpen"), ("stroke", "stroke")])
def test_strokes_and_edges_change_where_they_are_asked_to(scans, knob, effect):
    still = SequenceConfig(upright=0, slant=0, scale=0, stretch=0, lift=0, sharpen=0, stroke=0)
    line = scans.line(0)
    changed = seen(line, np.random.default_rng(1), dataclasses.replace(still, **{knob: 1.0}))
    assert (changed != seen(line, np.random.default_rng(1), still)).any(), effect


def test_composed_lines_have_2_to_10_digits(training, config):
    rng = np.random.default_rng(0)
    lengths = {len(composed_line(training, rng, config, 0.5).text) for _ in range(80)}
    assert lengths == set(range(COMPOSED[0], COMPOSED[1] + 1))


def test_lines_of_digits_that_touch_have_many_ones(training, config):
    def lines(touching):
        rng = np.random.default_rng(0)
        return [composed_line(training, rng, config, 1.0, touching) for _ in range(80)]

    def ones(lines):
        text = "".join(line.text for line in lines)
        return text.count("1") / len(text)

    assert ones(lines(1.0)) > 2 * ones(lines(0.0))


def test_a_batch_depends_on_the_seed_and_its_step_alone(stage):
    several, alone = stage.batches(range(5, 8))[2], stage.batches([7])[0]
    other = stage.batches([8])[0]
    for one, same in zip(several, alone, strict=True):
        assert torch.equal(one, same)
    assert (alone[0] != other[0]).any()
    assert alone[2].shape != other[2].shape or (alone[2] != other[2]).any()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_scans_is_the_config_s(training, config, few, share):
    strange = LabeledLine(np.zeros((48, 64), np.uint8), 0.0, "31415926535897")
    data = SequenceData(training, LineSet.of([strange]))
    only = dataclasses.replace(few, scanned=share)
    _, _, _, _, targets, lengths = SequenceBatches(data, config, only, [0])[0]
    texts = ["".join(map(str, part.tolist())) for part in targets.split(lengths.tolist())]
    assert [text == strange.text for text in texts] == [share == 1.0] * few.lines


def test_without_scans_every_line_is_made(training, config, few):
    batch = SequenceBatches(SequenceData(training), config, few, [0])[0]
    assert len(batch[5]) == few.lines


def test_the_loss_falls_on_a_batch_that_is_seen_again_and_again(tmp_path, stage):
    stage = SequenceStage(
        stage.windows,
        dataclasses.replace(stage.config, learning_rate=1e-3, warmup=0.0, epochs=20),
        stage.training,
        stage.held_out,
        stage.sources,
    )
    losses = list(Run(tmp_path, stage).run_epoch(itertools.repeat(stage.batches([0])[0], 12)))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-2:]) < 0.8 * np.mean(losses[:2])


def test_held_out_figures_are_shares_and_repeat(stage):
    torch.manual_seed(0)
    network = LeNet5()
    judged = stage.judge(network, torch.device("cpu"))
    assert judged == stage.judge(network, torch.device("cpu"))
    assert judged.loss > 0
    assert judged.string_error > 0.8  # an untrained network reads right only what says nothing


@pytest.mark.parametrize("kept", [0.0, 0.25, 1.0])
def test_a_share_of_the_weights_gone_on_from_is_kept(tmp_path, stage, kept):
    torch.manual_seed(0)
    initial = LeNet5()
    stage = SequenceStage(
        stage.windows,
        dataclasses.replace(stage.config, kept=kept),
        stage.training,
        stage.held_out,
        stage.sources,
    )
    run = Run(tmp_path, stage, initial=initial)
    list(run.run_epoch([stage.batches([0])[0]]))
    for found, before, average in zip(
        run.found().parameters(),
        initial.parameters(),
        run.average.module.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(found, kept * before + (1 - kept) * average)
        assert not torch.equal(average, before)


def test_the_stage_goes_on_from_given_weights_and_tells_what_came_before(tmp_path, stage):
    initial = LeNet5()
    before = [{"stage": "windows", "data": "mnist5k"}]
    run = Run(tmp_path, stage, before, initial)
    for ours, theirs in zip(run.network.parameters(), initial.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    done = fit(tmp_path, stage, before, initial, workers=0)
    assert done.finished
    assert done.best.epoch == stage.epochs  # the last, whatever its loss
    described = torch.load(tmp_path / "best.pt", weights_only=True)["training"]
    assert '"stages": [{"stage": "windows"' in described
    assert '"data": "mnist5k, scans"' in described


# --- the second reader


@pytest.fixture(scope="session")
def second(config, training, validation, scans):
    few = SequenceConfig(
        epochs=2, steps=2, lines=4, windows=8, held_out_lines=3, average=0.5, bfloat16=True
    )
    learned, held_out = SequenceData(training, scans), SequenceData(validation, scans)
    return SequenceStage(config, few, learned, held_out, ["mnist5k"], network="context")


def test_the_second_reader_learns_from_lines_alone_and_goes_on_as_if_never_stopped(
    second, tmp_path
):
    whole = fit(tmp_path / "whole", second, workers=0)
    assert whole.finished
    (tmp_path / "parts").mkdir()
    parts = Run(tmp_path / "parts", second)
    list(parts.run_epoch(DataLoader(second.batches(range(2)), batch_size=None)))
    parts.log.append(whole.best)
    parts.save()
    fit(tmp_path / "parts", second, workers=0)
    one = torch.load(tmp_path / "whole" / "best.pt", weights_only=True)["weights"]
    other = torch.load(tmp_path / "parts" / "best.pt", weights_only=True)["weights"]
    assert one.keys() == other.keys() == ContextNet().state_dict().keys()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, atol=0, rtol=0)


def test_the_second_reader_s_weights_are_exported_folded_and_learned_on_from(second, tmp_path):
    fit(tmp_path, second, workers=0)
    assert export(tmp_path / "best.pt", tmp_path / "second.onnx") < 1e-4
    network, training = load_model(tmp_path / "second.onnx")
    assert network_name(training) == network.name == "context"
    before = [{"stage": "sequences", "network": "context"}]
    further = Run(tmp_path / "further", second, before, network)
    (loss,) = further.run_epoch([second.batches(range(1))[0]])
    assert np.isfinite(loss)


def test_lines_are_made_in_every_way_that_there_is_data_for(training, scans, config):
    cuttings = Cuttings(
        np.full((48, 60), 255, np.uint8), np.arange(0, 61, 6), np.arange(10, dtype=np.int64)
    )
    data = SequenceData(training, scans, cuttings, training)
    batches = SequenceBatches(data, config, SequenceConfig(), range(1))
    texts = [batches.line(np.random.default_rng(seed)).text for seed in range(40)]
    assert len(set(texts)) > 20


@pytest.mark.parametrize(
    ("stages", "knobs"),
    [
        ([], SequenceConfig.from_scratch()),
        ([{"stage": "windows"}], SequenceConfig()),
        ([{"stage": "windows"}, {"stage": "sequences"}], SequenceConfig.further()),
    ],
)
def test_the_knobs_go_by_what_was_learned_before(stages, knobs):
    assert SequenceConfig.after(stages) == knobs
