import pytest
import torch
from torch import nn

from regularizer_collection.regularizers import SoftOrthogonality, Step
from tests.regularizers.conftest import batch


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5)).double()


def value(regularizer, net):
    images, labels = batch()
    return regularizer.value(net(images), images, labels, Step(net, 5))


def squared_sigmas(net):
    weights = net[0].weight.detach().flatten(1), net[2].weight.detach()
    return [torch.linalg.svdvals(weight) ** 2 for weight in weights]


def test_so_is_the_mean_over_layers_of_the_deviation_of_squared_singular_values():
    net = network()
    expected = torch.stack([(s - 1).square().sum() for s in squared_sigmas(net)]).mean()
    torch.testing.assert_close(value(SoftOrthogonality(1.0, "so"), net), expected)


def test_dso_adds_the_other_side():
    net = network()
    sides = [(4, 27), (5, 16)]
    expected = torch.stack(
        [
            2 * (s - 1).square().sum() + (columns - rows)
            for s, (rows, columns) in zip(squared_sigmas(net), sides, strict=True)
        ]
    ).mean()
    torch.testing.assert_close(value(SoftOrthogonality(1.0, "dso"), net), expected)


def test_srip_stays_below_the_spectral_norm_and_is_near_it():
    net = network()
    norm = torch.stack([(s - 1).abs().max() for s in squared_sigmas(net)]).mean()
    found = value(SoftOrthogonality(1.0, "srip"), net)
    assert 0.5 * norm < found <= norm


@pytest.mark.parametrize("kind", ["so", "dso", "srip"])
def test_descent_makes_the_weights_more_orthogonal(kind):
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    before = max((s - 1).abs().max() for s in squared_sigmas(net))
    for _ in range(100):
        optimizer.zero_grad()
        value(SoftOrthogonality(1.0, kind), net).backward()
        optimizer.step()
    assert max((s - 1).abs().max() for s in squared_sigmas(net)) < before / 2


def test_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match="kind is 'soft'; give one of so, dso, srip"):
        SoftOrthogonality(kind="soft")
