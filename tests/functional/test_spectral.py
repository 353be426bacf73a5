import pytest
import torch

from regularizer_collection.functional.spectral import (
    double_gram_deviation,
    gram_deviation,
    gram_deviation_norm,
    power_iteration,
)

SHAPES = [(4, 9), (9, 4), (5, 5), (4, 2, 3, 3)]


def weight(shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def sigma(w):
    return torch.linalg.svdvals(w.detach().flatten(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_deviation_is_that_of_the_squared_singular_values_from_1(shape):
    w = weight(shape)
    torch.testing.assert_close(gram_deviation(w), (sigma(w) ** 2 - 1).square().sum())


def test_its_gradient_is_that_of_the_closed_form():
    w = weight((4, 9))
    (gradient,) = torch.autograd.grad(gram_deviation(w), w)
    matrix = w.detach()
    torch.testing.assert_close(
        gradient, 4 * (matrix @ matrix.T - torch.eye(4, dtype=torch.float64)) @ matrix
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_an_orthogonal_weight_has_none(shape):
    w = weight(shape).detach()
    u, _, vh = torch.linalg.svd(w.flatten(1), full_matrices=False)
    assert gram_deviation((u @ vh).view(shape)).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_sides_are_those_of_both_gram_matrices(shape):
    w = weight(shape)
    matrix = w.detach().flatten(1)
    expected = sum(
        (side @ side.T - torch.eye(len(side), dtype=torch.float64)).square().sum()
        for side in (matrix, matrix.T)
    )
    torch.testing.assert_close(double_gram_deviation(w), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_many_iterations_give_the_spectral_norm_of_the_deviation(shape):
    w = weight(shape)
    start = torch.ones(min(w.flatten(1).shape), dtype=torch.float64)
    found = gram_deviation_norm(w, start, iterations=200)
    torch.testing.assert_close(found, (sigma(w) ** 2 - 1).abs().max(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_power_iteration_finds_the_first_singular_vectors(shape):
    w = weight(shape)
    matrix = w.detach().flatten(1)
    left, right = power_iteration(w, torch.ones(matrix.shape[1], dtype=torch.float64), 300)
    assert not left.requires_grad
    assert not right.requires_grad
    torch.testing.assert_close(left @ matrix @ right, torch.linalg.matrix_norm(matrix, 2))


def test_a_weight_of_zeros_gives_no_nan():
    w = torch.zeros(3, 4)
    left, right = power_iteration(w, torch.ones(4))
    assert left.isfinite().all()
    assert right.isfinite().all()


def test_a_weight_of_zeros_leaves_the_estimate_from_which_later_ones_go_on():
    start = torch.randn(5, generator=torch.Generator().manual_seed(0)).double()
    left, right = power_iteration(torch.zeros(4, 5).double(), start)
    assert torch.equal(left, torch.zeros(4).double())
    assert torch.equal(right, start)
