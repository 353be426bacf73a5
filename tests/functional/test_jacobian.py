import pytest
import torch
from torch import nn

from functional.jacobian import jacobian_norm_squared, output_projections
from lightning_modules import ResNet18


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 5)).double()


@pytest.fixture
def images():
    return torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True)


def jacrev_norm_squared(model, images):
    jacobians = torch.func.vmap(torch.func.jacrev(lambda image: model(image[None])[0]))(images)
    return jacobians.flatten(1).square().sum(1)


def test_exact_norm_equals_jacrev_on_a_resnet_in_eval_mode():
    torch.manual_seed(0)
    model = ResNet18(num_classes=7).eval()
    images = torch.randn(3, 3, 32, 32, requires_grad=True)
    exact = jacobian_norm_squared(model(images), images, num_projections=-1)
    torch.testing.assert_close(exact, jacrev_norm_squared(model, images), rtol=1e-4, atol=1e-4)


def test_mean_of_many_single_projections_approaches_the_exact_norm(network, images):
    generator = torch.Generator().manual_seed(0)
    logits = network(images)
    draws = torch.stack(
        [jacobian_norm_squared(logits, images, 1, generator).detach() for _ in range(4000)]
    )
    standard_error = draws.std(0) / len(draws) ** 0.5
    exact = jacobian_norm_squared(logits, images, -1).detach()
    assert ((draws.mean(0) - exact).abs() < 4 * standard_error).all()


def test_gradient_with_respect_to_the_weights_equals_the_one_through_jacrev(network, images):
    ours = torch.autograd.grad(
        jacobian_norm_squared(network(images), images, -1).mean(), network[1].weight
    )[0]
    theirs = torch.autograd.grad(jacrev_norm_squared(network, images).mean(), network[1].weight)[0]
    assert theirs.norm() > 0
    torch.testing.assert_close(ours, theirs)


def test_more_projections_are_the_mean_of_single_ones(network, images):
    logits = network(images)
    together = jacobian_norm_squared(logits, images, 3, torch.Generator().manual_seed(5))
    vectors = output_projections(logits, 3, torch.Generator().manual_seed(5))
    naive = sum(
        5 / 3 * torch.autograd.grad(logits, images, v, retain_graph=True)[0].square().sum((1, 2, 3))
        for v in vectors
    )
    torch.testing.assert_close(together, naive)


def test_projections_are_unit_vectors_and_the_generator_decides_them():
    logits = torch.zeros(4, 9)
    first = output_projections(logits, 2, torch.Generator().manual_seed(1))
    again = output_projections(logits, 2, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    torch.testing.assert_close(first.norm(dim=2), torch.ones(2, 4))


@pytest.mark.parametrize("num_projections", [0, -2])
def test_refuses_a_number_of_projections_that_estimates_nothing(num_projections, network, images):
    with pytest.raises(ValueError, match=f"num_projections is {num_projections}; give 1 or more"):
        jacobian_norm_squared(network(images), images, num_projections)
