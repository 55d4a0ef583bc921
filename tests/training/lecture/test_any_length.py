import pytest
import torch

from training.lecture.any_length import LAYERS, build, lengths, seen_by, shared_units
from training.lecture.learning import initialize, randomness
from training.networks import RECEPTIVE_FIELD, STRIDE


@pytest.mark.parametrize(
    ("width", "units"),
    [(10, [10, 8, 4, 2, 1]), (14, [14, 12, 6, 4, 2]), (18, [18, 16, 8, 6, 3])],
)
def test_four_more_inputs_give_one_more_output(width, units):
    assert lengths(width) == units
    assert build()(torch.zeros(1, 1, width)).shape[-1] == units[-1]


def test_the_diagram_s_layers_are_the_network_s():
    layers = [layer for layer in build() if hasattr(layer, "kernel_size")]
    for geometry, layer in zip(LAYERS, layers, strict=True):
        kernel, stride = (
            size if isinstance(size, int) else size[0] for size in (layer.kernel_size, layer.stride)
        )
        assert (geometry.kernel, geometry.stride) == (kernel, stride)


def test_an_output_sees_ten_inputs_four_further_on_each():
    for output in range(3):
        assert seen_by(18, output)[0] == set(range(4 * output, 4 * output + 10))


def test_an_output_depends_on_what_it_sees_and_on_nothing_else():
    net = build().double()
    initialize(net, randomness(1))
    signal = torch.randn(1, 1, 18, dtype=torch.float64, generator=randomness(2))
    signal.requires_grad_()
    for output in range(3):
        (slope,) = torch.autograd.grad(net(signal)[0, 0, output], signal)
        touched = set(torch.nonzero(slope[0, 0]).flatten().tolist())
        assert touched <= seen_by(18, output)[0]
        assert touched


def test_one_pass_computes_fewer_units_than_a_pass_a_window():
    assert shared_units(10) == (14, 14)
    assert shared_units(18) == (30, 42)


def test_lenet_s_maps_grow_by_a_position_every_stride_both_ways(quick):
    for (height, width), *_, scores in quick.figures(6)["two"]:
        assert scores == [
            (height - RECEPTIVE_FIELD) // STRIDE + 1,
            (width - RECEPTIVE_FIELD) // STRIDE + 1,
        ]


def test_a_page_s_map_is_what_its_windows_say_alone(quick):
    figures = quick.figures(6)
    assert figures["windows"] < 1e-3
    assert figures["parts"] < 1e-5
    assert figures["map"][:2] == [26, 37]
