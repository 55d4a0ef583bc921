import pytest
import torch
from torch.autograd import gradcheck

from training.lecture import five_nets, separate_pooling, zip_code
from training.lecture.learning import initialize, randomness
from training.lecture.wiring import Averaged, Dense, Local, Shared, Squash, count


def drawn(layer, reach=None):
    layer = layer.double()
    initialize(layer, randomness(3), reach)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=randomness(4)), alpha=0.1)
    return layer


LAYERS = {
    "dense": (lambda: Dense(12, 3), (2, 12)),
    "local": (lambda: Local(6, 3, inputs=2), (2, 2, 6, 6)),
    "shared": (lambda: Shared(6, 3, 2, 3), (2, 2, 6, 6)),
    "shared, stride 2, padded, a bias a unit": (
        lambda: Shared(6, 5, 2, 3, stride=2, padded=True, unit_bias=True),
        (2, 2, 6, 6),
    ),
    "shared, by a table": (
        lambda: Shared(5, 3, 3, 2, table=[[0, 2], [1]]),
        (2, 3, 5, 5),
    ),
    "averaged": (lambda: Averaged(4, 3), (2, 3, 4, 4)),
    "squash": (Squash, (2, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_the_numerical_ones(name):
    build, shape = LAYERS[name]
    layer = drawn(build())
    below = torch.randn(shape, dtype=torch.float64, generator=randomness(5), requires_grad=True)
    parameters = [parameter.requires_grad_() for parameter in layer.parameters()]
    assert gradcheck(lambda x, *_: layer(x), (below, *parameters))


@pytest.mark.parametrize(
    ("name", "links", "weights"),
    [
        ("Net-1", 2570, 2570),
        ("Net-2", 3214, 3214),
        ("Net-3", 1226, 1226),
        ("Net-4", 2266, 1132),
        ("Net-5", 5194, 1060),
    ],
)
def test_the_five_nets_have_the_report_s_links_and_free_weights(name, links, weights):
    net = five_nets.build(name)
    assert count(net) == (links, weights)
    # A weight is free if it is a parameter: nothing is masked in these nets.
    assert sum(parameter.numel() for parameter in net.parameters()) == weights
    assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


def test_the_five_nets_come_out_only_with_a_bias_a_unit():
    assert Shared(16, 3, 1, 2, stride=2, padded=True, unit_bias=True).free_weights == 2 * (9 + 64)
    assert Shared(16, 3, 1, 2, stride=2, padded=True).free_weights == 2 * (9 + 1)


def test_the_zip_code_net_has_the_paper_s_connections_and_parameters():
    assert count(zip_code.build()) == (64_660, 9_760)
    layers = [layer for layer in zip_code.build() if hasattr(layer, "links")]
    assert [layer.links for layer in layers] == [19_968, 38_592, 5_790, 310]
    assert [layer.free_weights for layer in layers] == [1_068, 2_592, 5_790, 310]


def test_each_second_map_of_the_zip_code_net_sees_8_of_12_and_each_first_is_seen_by_8():
    assert all(len(set(seen)) == 8 for seen in zip_code.SCHEME)
    assert all(sum(first in seen for seen in zip_code.SCHEME) == 8 for first in range(12))


def test_the_1990_net_comes_out_with_its_table():
    assert count(separate_pooling.build(4, 12, separate_pooling.TABLE_1990, side=28)) == (
        98_442,
        2_578,
    )


def test_the_1998_table_gives_the_paper_s_layer():
    layer = Shared(14, 5, 6, 16, table=separate_pooling.TABLE_1998)
    assert (layer.links, layer.free_weights) == (151_600, 1_516)


def test_the_lecture_s_sides_fold_from_the_layers():
    assert separate_pooling.sides() == [32, 28, 14, 10, 5, 1]


def test_a_local_layer_with_equal_weights_everywhere_is_a_convolution():
    local, shared = Local(8, 3).double(), drawn(Shared(8, 3, 1, 1, stride=2, padded=True))
    with torch.no_grad():
        local.weight.copy_(shared.weight.reshape(1, -1).expand_as(local.weight))
        local.bias.fill_(shared.bias.item())
    below = torch.randn(3, 1, 8, 8, dtype=torch.float64, generator=randomness(6))
    torch.testing.assert_close(local(below), shared(below))


def test_units_at_the_edge_see_paper_beyond_it():
    layer = Shared(4, 3, 1, 1, stride=2, padded=True)
    with torch.no_grad():
        layer.weight.fill_(1)
    sums = layer(torch.full((1, 1, 4, 4), -1.0))  # all paper: the edge makes no difference
    torch.testing.assert_close(sums, torch.full((1, 1, 2, 2), -9.0))


def test_a_map_does_not_depend_on_maps_that_its_table_leaves_out():
    layer = drawn(Shared(5, 3, 3, 2, table=[[0, 2], [1]]))
    below = torch.randn(1, 3, 5, 5, dtype=torch.float64, generator=randomness(7))
    other = below.clone()
    other[:, 1] += 1
    before, after = layer(below), layer(other)
    torch.testing.assert_close(before[:, 0], after[:, 0], atol=0, rtol=0)
    assert not torch.equal(before[:, 1], after[:, 1])


def test_pooling_begins_as_the_mean_and_squash_is_one_at_one():
    below = torch.arange(16.0).reshape(1, 1, 4, 4)
    torch.testing.assert_close(Averaged(4, 1)(below), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
    ones = torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(Squash()(ones), ones, atol=1e-4, rtol=0)
