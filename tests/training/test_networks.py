import pytest
import torch

from service.recognition import views
from training.networks import (
    BLOCKS,
    LABELS,
    NETWORKS,
    NONE,
    REACH,
    RECEPTIVE_FIELD,
    STRIDE,
    TAPS,
    ContextNet,
    LeNet5,
    geometry,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(4)
    return LeNet5().eval()


@pytest.fixture(scope="module")
def pixels():
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (2, 1, 40, 173), dtype=torch.uint8, generator=generator)


@torch.inference_mode()
def score(network, pixels):
    return network(pixels)


def test_there_are_ten_digits_and_none():
    assert "".join(LABELS[:NONE]) == "0123456789"
    assert LABELS[NONE:] == ("none",)


def test_the_layers_fold_to_windows_of_32_pixels_4_apart():
    assert (RECEPTIVE_FIELD, STRIDE) == (32, 4)


@pytest.mark.parametrize(
    ("layers", "folded"),
    [
        ([], (1, 1)),
        ([torch.nn.Conv2d(1, 1, 5)], (5, 1)),
        ([torch.nn.Conv2d(1, 1, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2)], (6, 2)),
        ([torch.nn.Conv2d(1, 1, 3, stride=2), torch.nn.Conv2d(1, 1, 3)], (7, 2)),
    ],
)
def test_geometry_folds_kernels_and_strides(layers, folded):
    assert geometry(layers) == folded


def test_the_parameters_are_those_of_the_lecture_s_widths():
    counts = [
        sum(parameter.numel() for parameter in layer.parameters())
        for layer in LeNet5().layers
        if isinstance(layer, torch.nn.Conv2d)
    ]
    assert counts == [520, 25_050, 625_500, 5_511]
    assert counts == [20 * (25 + 1), 50 * (500 + 1), 500 * (1250 + 1), 11 * (500 + 1)]
    assert sum(counts) == sum(parameter.numel() for parameter in LeNet5().parameters()) == 656_581


@pytest.mark.parametrize(
    ("height", "width", "rows", "positions"),
    [
        (32, 32, 1, 1),
        (32, 35, 1, 1),
        (32, 36, 1, 2),
        (32, 64, 1, 9),
        (35, 64, 1, 9),
        (36, 64, 2, 9),
        (65, 47, 9, 4),
    ],
)
def test_an_input_has_a_row_and_a_position_every_stride(network, height, width, rows, positions):
    scores = score(network, torch.zeros(3, 1, height, width))
    assert scores.shape == (3, rows, positions, len(LABELS))
    assert scores.dtype == torch.float32


def test_an_input_smaller_than_a_window_is_refused(network):
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        score(network, torch.zeros(1, 1, 31, 64))


def test_the_probabilities_of_a_position_sum_to_1(network, pixels):
    sums = score(network, pixels).exp().sum(dim=-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_gray_levels_score_alike_as_bytes_and_as_floats(network, pixels):
    torch.testing.assert_close(score(network, pixels), score(network, pixels.float()))


def test_a_strip_scores_as_its_windows_cut_out_one_by_one(network, pixels):
    scores = score(network, pixels)  # (2, rows, positions, labels)
    assert scores.shape[1:3] == (3, 36)
    for row in range(scores.shape[1]):
        for position in range(scores.shape[2]):
            top, left = row * STRIDE, position * STRIDE
            window = pixels[:, :, top : top + RECEPTIVE_FIELD, left : left + RECEPTIVE_FIELD]
            alone = score(network, window)[:, 0, 0]
            torch.testing.assert_close(scores[:, row, position], alone, atol=1e-4, rtol=0)


def test_a_window_s_score_does_not_depend_on_pixels_outside_it(network, pixels):
    other = pixels.clone()
    other[..., RECEPTIVE_FIELD:] = 255 - other[..., RECEPTIVE_FIELD:]
    before, after = score(network, pixels[:, :, :32]), score(network, other[:, :, :32])
    torch.testing.assert_close(before[:, 0, 0], after[:, 0, 0], atol=1e-5, rtol=0)
    assert (before[:, 0, 1:] - after[:, 0, 1:]).abs().max() > 1e-3


def test_dropout_is_there_in_training_and_gone_in_scoring(pixels):
    network = LeNet5(dropout=0.4)
    assert (network(pixels) - network(pixels)).abs().max() > 1e-4
    network.eval()
    torch.testing.assert_close(network(pixels), network(pixels), atol=0, rtol=0)


def test_a_strip_is_as_high_as_the_networks_window():
    assert views.HEIGHT == RECEPTIVE_FIELD
    assert views.MARGIN == RECEPTIVE_FIELD // 2


# --- the second reader


@pytest.fixture(scope="module")
def context():
    torch.manual_seed(6)
    network = ContextNet(dropout=0.2)
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):  # statistics other than those that it begins with
        network(torch.randint(0, 256, (2, 1, 32, 96), dtype=torch.uint8, generator=generator))
    return network.eval()


def test_networks_are_known_by_their_names():
    assert {name: kind.name for name, kind in NETWORKS.items()} == {
        "lenet5": "lenet5",
        "context": "context",
    }


def test_both_networks_look_at_the_same_windows():
    assert geometry(ContextNet().trunk) == geometry(LeNet5().layers) == (32, 4)


def test_the_second_reader_s_parameters_are_counted_by_hand():
    trunk = [
        inputs * 9 * outputs + outputs
        for inputs, outputs in [(1, 16), (16, 24), (24, 64), (64, 64), (64, 128), (128, 256)]
    ]
    block = (256 * TAPS + 256) + 2 * (256 * 256 + 256)
    head = (256 * 256 + 256) + (256 * 11 + 11)
    folded = ContextNet(normalized=False)
    count = sum(parameter.numel() for parameter in folded.parameters())
    assert count == sum(trunk) + BLOCKS * block + head == 891_459


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 35), (32, 36), (36, 173), (65, 47)])
def test_the_second_reader_answers_for_as_many_windows_as_lenet_5(context, network, height, width):
    pixels = torch.zeros(2, 1, height, width)
    assert score(context, pixels).shape == score(network, pixels).shape


def test_folding_normalization_away_changes_no_score(context, pixels):
    folded = context.folded().eval()
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(score(folded, pixels), score(context, pixels), atol=1e-4, rtol=0)


def test_a_network_is_rebuilt_from_its_weights_folded_or_not(context, pixels):
    for network in (context, context.folded().eval()):
        again = ContextNet.of(network.state_dict()).eval()
        torch.testing.assert_close(score(again, pixels), score(network, pixels), atol=0, rtol=0)


def test_lenet_5_is_its_own_folded_form(network):
    assert network.folded() is network


def test_weights_of_another_network_are_refused(network):
    with pytest.raises(RuntimeError, match="Missing key"):
        ContextNet.of(network.state_dict())


def test_a_position_sees_the_positions_in_reach_and_no_further(context):
    generator = torch.Generator().manual_seed(8)
    pixels = torch.randint(0, 256, (1, 1, 32, 200), dtype=torch.uint8, generator=generator)
    other = pixels.clone()
    position = 20
    beyond = (position + REACH) * STRIDE + RECEPTIVE_FIELD
    other[..., beyond:] = 255 - other[..., beyond:]
    before, after = score(context, pixels)[0, 0], score(context, other)[0, 0]
    torch.testing.assert_close(before[: position + 1], after[: position + 1], atol=1e-5, rtol=0)
    assert (before[position + 1] != after[position + 1]).any()
    assert REACH == 6


def test_strips_laid_end_to_end_do_not_see_each_other_if_what_lies_between_is_outside(context):
    generator = torch.Generator().manual_seed(9)
    strips = torch.randint(0, 256, (3, 1, 1, 32, 80), dtype=torch.uint8, generator=generator)
    row = torch.cat(list(strips), dim=-1)
    positions = (80 - RECEPTIVE_FIELD) // STRIDE + 1
    inside = torch.zeros((row.shape[-1] - RECEPTIVE_FIELD) // STRIDE + 1)
    starts = [index * 80 // STRIDE for index in range(3)]
    for start in starts:
        inside[start : start + positions] = 1
    with torch.inference_mode():
        scores = context(row, inside)[0, 0]
    for start, strip in zip(starts, strips, strict=True):
        alone = score(context, strip)[0, 0]
        torch.testing.assert_close(scores[start : start + positions], alone, atol=1e-5, rtol=0)
