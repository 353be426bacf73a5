import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional.jacobian import jacobian_norm_squared, output_projections

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
activations = st.sampled_from([nn.Identity(), nn.Tanh(), nn.Softplus()])
reproducible = settings(deadline=None, derandomize=True, max_examples=30)


def normal(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def orthogonal(size, seed):
    return torch.linalg.qr(normal(size, size, seed=seed)).Q


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


@reproducible
@given(activations, sizes, sizes, st.integers(1, 3), seeds)
def test_the_mean_of_4000_estimates_is_within_5_standard_errors_of_jacrevs_norm(
    activation, features, classes, num_projections, seed
):
    first, second = normal(features, 5, seed=seed), normal(5, classes, seed=seed + 1)

    def model(inputs):
        return activation(inputs @ first) @ second

    input = normal(features, seed=seed + 2)
    exact = torch.func.jacrev(model)(input).square().sum().item()
    # Each sample draws its own directions, so copies of one input give independent estimates.
    inputs = input.repeat(4000, 1).requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    estimates = jacobian_norm_squared(model(inputs), inputs, num_projections, generator).detach()
    standard_error = estimates.std().item() / len(estimates) ** 0.5
    # Of a single class every estimate is exact.
    assert estimates.mean().item() == pytest.approx(exact, rel=1e-12, abs=5 * standard_error)


@reproducible
@given(activations, sizes, sizes, seeds)
def test_rotating_outputs_or_inputs_leaves_the_exact_norm_unchanged(
    activation, features, classes, seed
):
    first, second = normal(features, 5, seed=seed), normal(5, classes, seed=seed + 1)
    inputs = normal(3, features, seed=seed + 2).requires_grad_()
    rotation = orthogonal(features, seed + 3)
    turned_inputs = (inputs @ rotation).detach().requires_grad_()
    turned_back = turned_inputs @ rotation.T

    logits = activation(inputs @ first) @ second
    exact = jacobian_norm_squared(logits, inputs, -1)
    turned = logits @ orthogonal(classes, seed + 4)
    torch.testing.assert_close(jacobian_norm_squared(turned, inputs, -1), exact)
    turned = activation(turned_back @ first) @ second
    torch.testing.assert_close(jacobian_norm_squared(turned, turned_inputs, -1), exact)


def test_float32_is_within_2e_6_of_jacrevs_float64_on_a_resnet():
    torch.manual_seed(0)
    model = ResNet18(num_classes=7).eval()
    images = torch.randn(3, 3, 32, 32, requires_grad=True)
    single = jacobian_norm_squared(model(images), images, num_projections=-1)
    double = jacrev_norm_squared(model.double(), images.detach().double())
    torch.testing.assert_close(single.double(), double, rtol=2e-6, atol=0)


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


def test_in_training_mode_the_exact_norm_is_the_mean_of_single_projections():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 5), nn.BatchNorm1d(5)
    ).double()
    images = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    logits = network(images)
    generator = torch.Generator().manual_seed(0)

    def draws(num_projections, count):
        norms = (
            jacobian_norm_squared(logits, images, num_projections, generator).mean().detach()
            for _ in range(count)
        )
        return torch.stack(list(norms))

    single, exact = draws(1, 2000), draws(-1, 400)
    error = (single.var() / 2000 + exact.var() / 400).sqrt()
    assert abs(single.mean() - exact.mean()) < 4 * error
    assert error < 0.02 * single.mean()
