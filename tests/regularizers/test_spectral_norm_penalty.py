import torch
from torch import nn

from regularizer_collection.regularizers import SpectralNormPenalty, Step
from tests.regularizers.conftest import batch, linear


def value(regularizer, net):
    images, labels = batch()
    return regularizer.value(net(images), images, labels, Step(net, 5))


def converged(net):
    regularizer = SpectralNormPenalty(1.0)
    for _ in range(300):
        value(regularizer, net)
    return regularizer


def test_one_iteration_a_step_comes_to_half_the_sum_of_squared_spectral_norms():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5)).double()
    norms = [torch.linalg.matrix_norm(net[i].weight.detach().flatten(1), 2) for i in (0, 2)]
    found = value(converged(net), net)
    torch.testing.assert_close(found, sum(norm**2 for norm in norms) / 2)


def test_the_gradient_is_sigma_1_u_v():
    net = linear()
    loss = value(converged(net), net)
    (gradient,) = torch.autograd.grad(loss, net[1].weight)
    u, sigma, vh = torch.linalg.svd(net[1].weight.detach(), full_matrices=False)
    torch.testing.assert_close(gradient, sigma[0] * torch.outer(u[:, 0], vh[0]))


def test_a_checkpoint_goes_on_where_the_iteration_stood():
    net = linear()
    first, resumed = SpectralNormPenalty(1.0), SpectralNormPenalty(1.0)
    value(first, net)
    resumed.load_state_dict(first.state_dict())
    assert torch.equal(value(resumed, net), value(first, net))
    assert not torch.equal(value(SpectralNormPenalty(1.0), net), value(first, net))


def test_a_layer_that_began_with_zeros_is_penalised_once_it_has_weights():
    net, regularizer = linear(), SpectralNormPenalty(1.0)
    weights = net[1].weight.detach().clone()
    nn.init.zeros_(net[1].weight)
    assert value(regularizer, net) == 0
    with torch.no_grad():
        net[1].weight.copy_(weights)
    for _ in range(300):
        found = value(regularizer, net)
    torch.testing.assert_close(found, torch.linalg.matrix_norm(weights, 2).square() / 2)


def test_the_state_of_before_the_first_step_is_read_after_it():
    net, regularizer = linear(), SpectralNormPenalty(1.0)
    before = regularizer.state_dict()
    first = value(regularizer, net)
    value(regularizer, net)
    regularizer.load_state_dict(before)  # as the tuner of Lightning does
    assert torch.equal(value(regularizer, net), first)
