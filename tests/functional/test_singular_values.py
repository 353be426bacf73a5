import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regularizer_collection.functional.singular_values import (
    bound_singular_values_,
    singular_values,
)

EPS = 0.05
LOW, HIGH = 1 / (1 + EPS), 1 + EPS

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 24)
reproducible = settings(deadline=None, derandomize=True, max_examples=60)


def orthogonal(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q


def with_singular_values(rows, columns, largest, smallest, seed):
    """A matrix, float64, whose singular values fall evenly on a logarithmic scale."""
    rank = min(rows, columns)
    sigma = torch.logspace(math.log10(largest), math.log10(smallest), rank, dtype=torch.float64)
    left, right = orthogonal(rows, seed), orthogonal(columns, seed + 1)
    return (left[:, :rank] * sigma) @ right[:rank]


def bounded_by_svd(weight):
    u, s, vh = torch.linalg.svd(weight.flatten(1).double(), full_matrices=False)
    return (u * s.clamp(LOW, HIGH)) @ vh


@pytest.mark.parametrize("shape", [(8, 8), (5, 20), (20, 5), (16, 8, 3, 3), (64, 3, 7, 7), (1, 4)])
def test_equals_the_clamped_singular_value_decomposition(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    expected = bounded_by_svd(weight)
    returned = bound_singular_values_(weight, EPS)
    assert returned is weight
    torch.testing.assert_close(weight.flatten(1).double(), expected, rtol=1e-4, atol=1e-6)
    sigma = torch.linalg.svdvals(weight.flatten(1))
    assert sigma.min() >= LOW - 1e-4
    assert sigma.max() <= HIGH + 1e-4


def test_float64_weights_keep_their_precision():
    weight = with_singular_values(16, 40, 2.0, 0.5, seed=0)
    expected = bounded_by_svd(weight)
    torch.testing.assert_close(bound_singular_values_(weight, EPS), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("smallest", [0.5, 0.11, 0.09, 1e-3, 1e-4])
def test_every_conditioning_is_accurate(smallest):
    torch.manual_seed(0)
    u, _, vh = torch.linalg.svd(torch.randn(64, 300, dtype=torch.float64), full_matrices=False)
    sigma = torch.logspace(0, torch.tensor(smallest).log10().item(), 64, dtype=torch.float64)
    weight = ((u * sigma) @ vh).float()
    expected = bounded_by_svd(weight)
    bound_singular_values_(weight, EPS)
    error = (weight.double() - expected).norm() / expected.norm()
    assert error < 1e-4


def test_singular_vectors_are_kept():
    torch.manual_seed(0)
    weight = torch.randn(6, 9)
    u, _, vh = torch.linalg.svd(weight, full_matrices=False)
    bound_singular_values_(weight, EPS)
    rotated = u.T @ weight @ vh.T
    torch.testing.assert_close(rotated, rotated.diag().diag(), atol=1e-5, rtol=0)


@reproducible
@given(sides, sides, st.floats(0.01, 100.0), st.floats(-8.0, 0.0), seeds)
def test_is_idempotent(rows, columns, largest, log_condition, seed):
    smallest = largest * 10**log_condition
    once = with_singular_values(rows, columns, largest, smallest, seed).float()
    bound_singular_values_(once, EPS)
    torch.testing.assert_close(bound_singular_values_(once.clone(), EPS), once, rtol=0, atol=2e-6)


@reproducible
@given(sides, sides, st.floats(0.01, 100.0), st.floats(-2.0, 0.0), seeds)
def test_rotations_keep_the_singular_values_and_commute_with_bounding(
    rows, columns, largest, log_condition, seed
):
    weight = with_singular_values(rows, columns, largest, largest * 10**log_condition, seed)
    left, right = orthogonal(rows, seed + 2), orthogonal(columns, seed + 3)
    rotated = left @ weight @ right
    torch.testing.assert_close(singular_values(rotated), singular_values(weight), rtol=1e-9, atol=0)
    bounded = bound_singular_values_(rotated.float(), EPS).double()
    expected = left @ bound_singular_values_(weight.float(), EPS).double() @ right
    # Rounding to float32 turns the vectors of the smallest value, a 100th of the largest, by 1e-5.
    torch.testing.assert_close(bounded, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "weight",
    [
        torch.zeros(4, 6),
        torch.zeros(6, 4),
        torch.ones(5, 7),
        torch.randn(3, 9).repeat(2, 1),
        torch.randn(8, 8) * torch.tensor([1.0] * 7 + [1e-9]),
    ],
    ids=["zero wide", "zero tall", "rank one", "repeated rows", "nearly dead column"],
)
def test_rank_deficient_weights_get_full_rank(weight):
    weight = bound_singular_values_(weight.clone(), EPS)
    sigma = torch.linalg.svdvals(weight)
    assert sigma.min() >= LOW - 1e-4
    assert sigma.max() <= HIGH + 1e-4


def test_channels_last_weights_are_bounded_in_place():
    torch.manual_seed(0)
    plain = torch.randn(16, 8, 3, 3)
    channels_last = plain.clone(memory_format=torch.preserve_format).contiguous(
        memory_format=torch.channels_last
    )
    bound_singular_values_(channels_last, EPS)
    torch.testing.assert_close(channels_last, bound_singular_values_(plain, EPS))
    assert channels_last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(5, 20), (20, 5), (16, 8, 3, 3)])
def test_singular_values_equal_those_of_the_decomposition(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    expected = torch.linalg.svdvals(weight.flatten(1).double()).flip(0)
    torch.testing.assert_close(singular_values(weight), expected)


@pytest.mark.parametrize("eps", [0, -0.1, float("nan")])
def test_refuses_an_empty_band(eps):
    with pytest.raises(ValueError, match=f"eps is {eps}; give a number above 0"):
        bound_singular_values_(torch.ones(2, 2), eps)


def test_refuses_a_vector():
    with pytest.raises(ValueError, match=r"shape \(3,\); give 2 or more dimensions"):
        bound_singular_values_(torch.ones(3), EPS)
