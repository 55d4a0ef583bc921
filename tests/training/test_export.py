import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

from service.errors import ModelError
from service.recognition.model import Scorer
from service.recognition.model_metadata import VERSION, ModelMetadata
from tests.conftest import ROOT
from training.export import AGREEMENT, SIZES, export, load, prove
from training.networks import LABELS, LeNet5


def test_an_exported_model_scores_as_torch_does(exported):
    _, difference = exported
    assert 0 <= difference <= AGREEMENT == 1e-4


def test_an_export_prints_one_line_and_no_warning_of_torch(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "windows")
    ended = subprocess.run(
        [sys.executable, "-m", "training.cli", "export", ".", "own.onnx"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = (ended.stdout + ended.stderr).splitlines()
    assert len(said) == 1, said
    assert "own.onnx written" in said[0]


def test_the_proof_covers_a_window_partial_strides_wide_strips_and_several_rows():
    assert (32, 32) in SIZES
    assert {(width - 32) % 4 for _, width in SIZES} == {0, 1, 3}
    assert max(width for _, width in SIZES) >= 1024
    assert max(height for height, _ in SIZES) > 64


def test_the_service_reads_the_metadata_that_training_wrote(scorer, finished_run):
    _, training = load(finished_run / "best.pt")
    assert scorer.metadata == ModelMetadata(
        version=VERSION, labels=LABELS, receptive_field=32, stride=4, training=training
    )


def test_the_training_digest_travels_in_the_metadata(exported, finished_run, config):
    metadata = {prop.key: prop.value for prop in onnx.load(exported[0]).metadata_props}
    saved = torch.load(finished_run / "best.pt", weights_only=True)["training"]
    assert metadata["training"] == saved
    assert json.loads(metadata["training"])["stages"][0]["config"] == config.to_dict()


def test_an_exported_model_carries_its_weights_inside_one_file(exported):
    model, _ = exported
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]
    assert model.stat().st_size > 4 * 656_581


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (2, 32, 77), (5, 45, 64)])
def test_batch_height_and_width_of_an_exported_model_are_free(scorer, batch, height, width):
    scores = scorer.run(np.zeros((batch, height, width), np.uint8))
    assert scores.shape == (batch, (height - 32) // 4 + 1, (width - 32) // 4 + 1, 11)


def test_the_proof_fails_for_a_network_with_other_weights(exported, finished_run):
    network, _ = load(finished_run / "best.pt")
    assert prove(network, exported[0]) <= AGREEMENT
    with torch.no_grad():
        network.layers[-1].bias[3] += 2e-3
    with pytest.raises(ModelError, match=r"differ by .*; at most 1e-04 is allowed"):
        prove(network, exported[0])


@pytest.fixture(scope="module")
def exploded(tmp_path_factory, finished_run):
    """Weights so large that float32 cannot hold both runtimes' sums to 1e-4."""
    state = torch.load(finished_run / "best.pt", weights_only=True)
    state["weights"]["layers.9.weight"] *= 1e6
    path = tmp_path_factory.mktemp("exploded") / "best.pt"
    torch.save(state, path)
    return path


@pytest.mark.parametrize("before", [None, b"the model of last week"])
def test_when_torch_and_onnxruntime_disagree_no_model_is_written(exploded, tmp_path, before):
    model = tmp_path / "model.onnx"
    if before is not None:
        model.write_bytes(before)
    with pytest.raises(ModelError, match="onnxruntime and torch differ by"):
        export(exploded, model)
    if before is not None:
        assert model.read_bytes() == before
        model.unlink()
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_the_model_that_was_there(finished_run, tmp_path, exported):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"the model of last week")
    export(finished_run / "best.pt", model)
    pixels = np.full((1, 32, 64), 90, np.uint8)
    np.testing.assert_array_equal(Scorer(model).run(pixels), Scorer(exported[0]).run(pixels))
    assert list(tmp_path.iterdir()) == [model]


def test_loaded_weights_are_ready_to_score(finished_run):
    network, _ = load(finished_run / "best.pt")
    assert not network.training


def save_nothing(path):
    pass


def save_text(path):
    path.write_text("not a run's weights")


def save_half_an_archive(path):
    torch.save({"weights": LeNet5().state_dict(), "training": "{}"}, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save_weights_alone(path):
    torch.save(LeNet5().state_dict(), path)


def save_other_layers(path):
    torch.save({"weights": torch.nn.Linear(2, 2).state_dict(), "training": "{}"}, path)


@pytest.mark.parametrize(
    "save",
    [save_nothing, save_text, save_half_an_archive, save_weights_alone, save_other_layers],
)
def test_a_file_that_is_no_best_pt_is_refused_and_nothing_is_written(tmp_path, save):
    weights = tmp_path / "best.pt"
    save(weights)
    before = set(tmp_path.iterdir())
    with pytest.raises(ModelError, match=r"best\.pt: expected a run's best\.pt, found "):
        export(weights, tmp_path / "model.onnx")
    assert set(tmp_path.iterdir()) == before
