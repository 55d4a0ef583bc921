import json

import numpy as np
import onnx
import pytest
import torch

from service.errors import ModelError
from service.recognition.model import SHIPPED_SECOND_READER, Scorer
from training.export import export, load_model, stages
from training.networks import ContextNet
from training.quantize import LEAST_AGREEMENT, agreement, made_lines, quantize

OPTIONS = "--pages 12 --data mnist5k --seed 3"


@pytest.fixture(scope="module")
def lines(training):
    return made_lines(training, seed=3, count=12)


@pytest.fixture(scope="module")
def small(exported, lines, tmp_path_factory):
    """A model of 8 bits, and the share of positions whose label stayed."""
    out = tmp_path_factory.mktemp("quantized") / "model.onnx"
    return out, quantize(exported[0], out, lines, OPTIONS)


def test_a_model_of_8_bits_is_a_quarter_of_the_size_and_reads_what_it_read(exported, small, lines):
    out, same = small
    assert out.stat().st_size < 0.3 * exported[0].stat().st_size
    assert same == agreement(Scorer(exported[0]), Scorer(out), lines[::5]) >= LEAST_AGREEMENT


def test_a_model_of_8_bits_keeps_its_facts_and_records_how_it_was_made(small, scorer):
    metadata = Scorer(small[0]).metadata
    *before, last = stages(metadata.training)
    assert last.pop("quantized") == OPTIONS
    assert [*before, last] == stages(scorer.metadata.training)
    assert metadata.labels == scorer.metadata.labels
    assert json.loads(metadata.training)
    keys = {each.key for each in onnx.load(small[0]).metadata_props}
    assert keys == set(metadata.to_metadata())


def test_a_position_of_a_strip_scores_as_its_window_alone(small, lines):
    scorer = Scorer(small[0])
    strip = max(lines, key=lambda line: line.shape[1])
    whole = scorer.score(strip)[0]
    alone = [scorer.score(strip[:, 4 * n : 4 * n + 32])[0, 0] for n in range(len(whole))]
    # Sums in floating point, of another order, may round a level up or down.
    np.testing.assert_allclose(whole, alone, atol=0.2)
    assert np.mean(np.abs(whole - alone).max(axis=1) < 1e-4) > 0.9


def test_training_goes_on_from_a_model_of_8_bits(small, exported):
    network, _ = load_model(small[0])
    before, _ = load_model(exported[0])
    for (name, now), (_, then) in zip(
        network.state_dict().items(), before.state_dict().items(), strict=True
    ):
        step = now.abs().max() / 63 if now.ndim == 4 else 1e-3
        assert (now - then).abs().max() <= step / 2 + 1e-6, name
    assert all(torch.isfinite(each).all() for each in network.state_dict().values())


def test_a_network_with_context_is_quantized_too(tmp_path, lines):
    network, _ = load_model(SHIPPED_SECOND_READER)  # an untrained one's labels are near ties
    record = json.dumps({"stages": [{"stage": "sequences", "network": ContextNet.name}]})
    torch.save({"weights": network.state_dict(), "training": record}, tmp_path / "best.pt")
    export(tmp_path / "best.pt", tmp_path / "model.onnx")
    quantize(tmp_path / "model.onnx", tmp_path / "small.onnx", lines, OPTIONS)
    network, _ = load_model(tmp_path / "small.onnx")
    assert isinstance(network, ContextNet)


def test_a_model_of_8_bits_is_not_quantized_once_more(small, lines, tmp_path):
    with pytest.raises(ModelError, match=r"has 8 bits already; expected a model as `export`"):
        quantize(small[0], tmp_path / "again.onnx", lines, OPTIONS)
    assert not list(tmp_path.iterdir())


def test_levels_that_hide_what_other_strips_show_are_refused(exported, tmp_path, lines):
    blank = [np.zeros((32, 64), np.uint8)] * 4
    with pytest.raises(ModelError, match=r"of 1 strips' positions have the label that they had"):
        quantize(exported[0], tmp_path / "blind.onnx", [lines[0], *blank], OPTIONS)
    assert not list(tmp_path.iterdir())
