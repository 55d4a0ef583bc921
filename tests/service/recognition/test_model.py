import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.errors import ModelError, SettingsError
from service.imaging.decode import decode
from service.recognition.model import SHIPPED_MODEL, Scorer
from service.recognition.model_metadata import VERSION, ModelMetadata
from service.recognition.normalize import normalize
from tests.conftest import STRIPS

TOLERANCE = 1e-4  # of a log-probability


@pytest.fixture(scope="module")
def scorer():
    return Scorer()


@pytest.fixture(scope="module")
def strip():
    return normalize(decode((STRIPS / "thirty-digits.png").read_bytes()).gray).strip().pixels


def test_labels_are_ten_digits_and_none(scorer):
    assert scorer.metadata.labels == (*"0123456789", "none")
    assert (scorer.metadata.receptive_field, scorer.metadata.stride) == (32, 4)


def test_a_strip_of_32_by_64_pixels_has_nine_positions(scorer):
    assert scorer.score(np.zeros((32, 64), np.uint8)).shape == (1, 9, 11)


def test_scores_of_a_strip_equal_those_of_its_windows_cut_out_one_by_one(scorer, strip):
    whole = scorer.score(strip)[0]
    side, stride = scorer.metadata.receptive_field, scorer.metadata.stride
    one_by_one = np.stack(
        [
            scorer.run(strip[None, :, left : left + side])[0, 0, 0]
            for left in range(0, strip.shape[1] - side + 1, stride)
        ]
    )
    assert whole.shape == one_by_one.shape
    assert np.abs(whole - one_by_one).max() <= TOLERANCE


@pytest.mark.parametrize("tile_positions", [1, 2, 7, 50, 1000])
def test_tiled_scores_equal_untiled_ones(strip, scorer, tile_positions):
    tiled = Scorer(tile_positions=tile_positions).score(strip)
    assert np.abs(tiled - scorer.score(strip)).max() <= TOLERANCE


def test_what_the_tiles_of_a_wide_strip_took_is_given_back_after_the_last(strip, monkeypatch):
    given_back = []
    run = Scorer.run

    def watched(scorer, pixels, give_back=False):
        given_back.append(give_back)
        return run(scorer, pixels, give_back)

    scorers = [Scorer(tile_positions=positions) for positions in (50, 10**6)]
    monkeypatch.setattr(Scorer, "run", watched)
    tiled, whole = (scorer.score(strip) for scorer in scorers)
    *tiles, last, alone = given_back
    assert (any(tiles), last, alone) == (False, True, False)
    assert np.abs(tiled - whole).max() <= TOLERANCE


def test_batched_scores_equal_single_ones(scorer, strip):
    strips = [strip[:, left : left + 100] for left in range(0, 400, 37)]
    batched = scorer.run(np.stack(strips))
    for scores, alone in zip(batched, strips, strict=True):
        assert np.abs(scores - scorer.score(alone)).max() <= TOLERANCE


@pytest.mark.parametrize("width", [1, 31, 32, 35])
def test_strip_narrower_than_one_window_gives_one_position(scorer, width):
    assert scorer.score(np.zeros((32, width), np.uint8)).shape == (1, 1, 11)


def test_a_taller_image_gives_several_rows(scorer):
    assert scorer.score(np.zeros((40, 64), np.uint8)).shape == (3, 9, 11)


def test_probabilities_sum_to_one(scorer, strip):
    assert np.allclose(np.exp(scorer.score(strip)).sum(axis=2), 1, atol=1e-5)


def test_missing_model_is_refused_with_its_path(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read the model .*absent\.onnx: No such file"):
        Scorer(tmp_path / "absent.onnx")


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_damaged_model_is_refused(tmp_path, keep):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(SHIPPED_MODEL.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"damaged or not an ONNX model|not a Digitstrip model"):
        Scorer(path)


def write_model(path, metadata, labels=11):
    """An ONNX model that averages windows of 32×32 at stride 4 into equal scores."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["b", 1, "h", "w"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["b", "r", "p", labels])
    tile = helper.make_tensor("times", TensorProto.INT64, [4], [1, labels, 1, 1])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["float"], ["mean"], kernel_shape=[32, 32], strides=[4, 4]),
        helper.make_node("Tile", ["mean", "times"], ["many"]),
        helper.make_node("Transpose", ["many"], ["scores"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(nodes, "averages", [pixels], [scores], [tile])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


LABELS = (*"0123456789", "none")


def metadata(**changed):
    return ModelMetadata(VERSION, LABELS, 32, 4, "{}").to_metadata() | changed


def test_a_foreign_model_that_keeps_its_promises_is_taken(tmp_path):
    assert Scorer(write_model(tmp_path / "m.onnx", metadata())).metadata.stride == 4


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ({}, "lacks version, labels, receptive_field, stride, training; it has none"),
        ({"author": "me"}, "it has author"),
        (metadata(version="7"), "version '7'; this service reads version 1"),
        (metadata(stride="four"), "metadata is damaged"),
        (metadata(stride="0"), "positive sizes"),
        (metadata(labels="a,b"), "labels are 'a,b'; expected the ten digits and 'none'"),
        (metadata(labels=",".join([*LABELS, "/"])), "none,/'; expected the ten digits"),
        (metadata(labels=",".join(LABELS[1:])), "expected the ten digits"),
        (metadata(labels=",".join([*LABELS, "none"])), "each once"),
        (metadata(touching="1.5"), "touching is 1.5; expected 0 to 1"),
        (metadata(stride="8"), r"as shape \(1, 1, 3, 11\); its metadata promises \(1, 1, 2, 11\)"),
        (metadata(receptive_field="20"), "cannot score a strip of 20×20|promises"),
    ],
)
def test_a_model_that_is_not_ours_is_refused_with_what_was_found(tmp_path, properties, complaint):
    path = write_model(tmp_path / "m.onnx", properties)
    with pytest.raises(ModelError, match=complaint):
        Scorer(path)


def test_unavailable_provider_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match=r"NoSuchProvider is not available.*CPUExecution"):
        Scorer(providers=["NoSuchProvider"])


def test_facts_survive_their_metadata():
    facts = ModelMetadata(VERSION, LABELS[::-1], 20, 2, '{"seed": 1}')
    assert ModelMetadata.from_metadata(facts.to_metadata()) == facts


def test_positions_and_centers_follow_from_window_and_stride():
    facts = ModelMetadata(VERSION, LABELS, 32, 4, "{}")
    assert [facts.positions(width) for width in (1, 32, 35, 36, 64)] == [1, 1, 1, 2, 9]
    assert (facts.center(0), facts.center(3)) == (16, 28)
