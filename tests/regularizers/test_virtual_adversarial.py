import pytest
import torch
from torch import nn

from regularizer_collection.functional.attacks import kl_divergence
from regularizer_collection.regularizers import Step, VirtualAdversarial, regularized_loss
from regularizer_collection.regularizers.virtual_adversarial import _unit
from tests.regularizers.conftest import batch, linear


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.Tanh(), nn.Linear(9, 5)).double()


def test_one_iteration_raises_the_divergence_above_nearly_all_random_directions():
    net, (images, labels) = network(), batch()
    eps = 0.5
    terms = regularized_loss(net, [VirtualAdversarial(1.0, eps)], images, labels, Step(net, 5))
    found = terms.penalties["virtual_adversarial"]
    random = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        d = torch.randn(images.shape, generator=generator, dtype=images.dtype)
        d = eps * d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        random.append(kl_divergence(net(images), net(images + d)).mean())
    assert found > max(random)


def test_the_direction_is_one_product_with_the_hessian_of_the_divergence():
    """Which turns it towards the eigenvector of the largest eigenvalue."""
    net, (images, _) = network(), batch(1)
    hessian = torch.autograd.functional.hessian(
        lambda r: kl_divergence(net(images), net(images + r.view_as(images))).sum(),
        torch.zeros(48, dtype=images.dtype),
    )
    _, vectors = torch.linalg.eigh(hessian)
    moved = []
    net.register_forward_pre_hook(lambda _, args: moved.append(args[0].detach()))
    regularized_loss(net, [VirtualAdversarial(1.0, 0.5)], images, torch.tensor([0]), Step(net, 5))
    probe, r = (moved[i] - images for i in (-2, -1))
    expected = hessian @ probe.flatten()
    cosine = torch.cosine_similarity(r.flatten(), expected, dim=0)
    assert cosine > 0.99
    along = (r.flatten() @ vectors[:, -1]).abs() / r.norm()
    before = (probe.flatten() @ vectors[:, -1]).abs() / probe.norm()
    assert along > before


def test_features_are_dropped_alike_so_no_distance_is_no_divergence():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5)).double()
    images, labels = batch()
    terms = regularized_loss(net, [VirtualAdversarial(1.0, 0.0)], images, labels, Step(net, 5))
    assert terms.penalties["virtual_adversarial"].abs() < 1e-12


def test_only_the_second_side_carries_gradient():
    net, (images, labels) = network(), batch()
    terms = regularized_loss(net, [VirtualAdversarial(1.0, 0.0)], images, labels, Step(net, 5))
    gradients = torch.autograd.grad(terms.penalties["virtual_adversarial"], list(net.parameters()))
    assert all(gradient.abs().max() < 1e-12 for gradient in gradients)


@pytest.mark.parametrize("scale", [1.0, 1e-15, 1e-25, 1e-40])
def test_a_direction_has_length_1_however_small_it_is(scale):
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(4, 3, 8, 8, generator=generator)
    lengths = _unit(scale * directions).flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4), rtol=1e-3, atol=0)


def test_a_direction_of_ordinary_size_is_divided_by_its_norm_bit_for_bit():
    directions = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    norms = directions.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.equal(_unit(directions), directions / norms)
    assert _unit(torch.zeros(2, 3)).abs().max() == 0


def test_images_of_which_the_network_is_nearly_certain_move_by_eps():
    net, (images, labels) = linear().float(), batch()
    with torch.no_grad():
        net[1].weight.mul_(1e-3)
        net[1].bias.copy_(torch.tensor([60.0, 0, 0, 0, 0]))  # exp(-60) is 1e-26
    moved = []
    net.register_forward_pre_hook(lambda _, args: moved.append(args[0].detach()))
    regularized_loss(net, [VirtualAdversarial(1.0, 0.5)], images.float(), labels, Step(net, 5))
    lengths = (moved[-1] - moved[0]).flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((8,), 0.5))
