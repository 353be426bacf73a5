"""Total variation of class maps."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor
from torchmetrics.functional.image import total_variation

from regularizer_collection.functional.boundaries import boundary_length
from regularizer_collection.functional.total_variation import (
    anisotropic_tv,
    expected_anisotropic_tv,
    isotropic_tv,
)

NUM_CLASSES = 100
MEASURES = [isotropic_tv, anisotropic_tv, boundary_length]
maps = hnp.arrays(
    "int64",
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.integers(0, NUM_CLASSES - 1),
).map(torch.from_numpy)
fast = settings(deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("rows", "isotropic", "anisotropic", "length"),
    [
        ([[7]], 0, 0, 0),
        ([[5, 5, 5], [5, 5, 5]], 0, 0, 0),
        ([[1, 4, 4, 0]], 0, 3 + 4, 2),
        ([[1], [4], [4], [0]], 0, 3 + 4, 2),
        ([[0, 3], [4, 9]], 5, 3 + 5 + 4 + 6, 4),
        ([[0, 0, 2], [0, 1, 2], [5, 1, 2]], math.sqrt(5) + math.sqrt(26) + 1, 9 + 6, 5 + 2),
        ([[0, 0, 0], [0, 8, 0], [0, 0, 0]], 8 + 8 + math.hypot(8, 8), 32, 4),
    ],
)
def test_hand_computed(rows: list, isotropic: float, anisotropic: float, length: float) -> None:
    labels = torch.tensor(rows)
    assert isotropic_tv(labels) == pytest.approx(isotropic, rel=1e-12)
    assert anisotropic_tv(labels) == anisotropic
    assert boundary_length(labels) == length


@fast
@given(maps)
def test_isotropic_is_the_sum_of_gradient_lengths(labels: Tensor) -> None:
    u = labels.tolist()
    expected = 0.0
    for i in range(len(u) - 1):
        for j in range(len(u[0]) - 1):
            expected += math.sqrt((u[i][j + 1] - u[i][j]) ** 2 + (u[i + 1][j] - u[i][j]) ** 2)
    assert isotropic_tv(labels) == pytest.approx(expected, rel=1e-12)


@fast
@given(maps)
def test_anisotropic_is_that_of_torchmetrics(labels: Tensor) -> None:
    assert anisotropic_tv(labels) == total_variation(labels[None, None].float()).item()


@fast
@given(maps)
def test_boundary_length_is_half_the_variation_of_the_one_hot_map(labels: Tensor) -> None:
    one_hot = F.one_hot(labels, NUM_CLASSES).permute(2, 0, 1)[None].float()
    assert boundary_length(labels) == total_variation(one_hot).item() / 2


@fast
@given(maps)
def test_isotropic_is_at_most_anisotropic(labels: Tensor) -> None:
    assert isotropic_tv(labels) <= anisotropic_tv(labels) * (1 + 1e-12)


@fast
@given(maps)
def test_symmetries(labels: Tensor) -> None:
    for measure in (anisotropic_tv, boundary_length):
        assert measure(labels.flip(0)) == measure(labels)
        assert measure(labels.flip(1)) == measure(labels)
        assert measure(labels.T) == measure(labels)
    # Forward differences have a direction, so only swapping the axes leaves their lengths alone.
    assert isotropic_tv(labels.T) == pytest.approx(isotropic_tv(labels), rel=1e-12)
    assert isotropic_tv(labels.max() - labels) == pytest.approx(isotropic_tv(labels), rel=1e-12)


@fast
@given(maps)
def test_isotropic_of_a_map_turned_by_180_degrees_takes_backward_differences(
    labels: Tensor,
) -> None:
    u = labels.double()
    across, down = u[1:, 1:] - u[1:, :-1], u[1:, 1:] - u[:-1, 1:]
    expected = (across.square() + down.square()).sqrt().sum().item()
    assert isotropic_tv(labels.rot90(2)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("measure", MEASURES)
def test_differences_do_not_wrap(measure, dtype: torch.dtype) -> None:
    low, high = (0, 255) if dtype == torch.uint8 else (-128, 127)
    labels = torch.tensor([[low, high, low], [high, high, low]])
    assert measure(labels.to(dtype)) == measure(labels)


def test_two_classes_far_apart() -> None:
    labels = torch.tensor([[0, 2_000_000_000], [-2_000_000_000, 0]], dtype=torch.int32)
    assert isotropic_tv(labels) == pytest.approx(math.hypot(2e9, 2e9))
    assert anisotropic_tv(labels) == 8e9


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(3, dtype=torch.long), torch.zeros(2, 2), torch.zeros(0, 3, dtype=torch.long)],
)
@pytest.mark.parametrize("measure", MEASURES)
def test_not_a_class_map(measure, labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"got a class map of shape .*; expected non-empty"):
        measure(labels)


def test_the_mean_over_all_numberings_is_a_multiple_of_the_boundary_length() -> None:
    labels = torch.tensor([[0, 1, 1], [2, 2, 1], [0, 3, 3]])
    numberings = list(itertools.permutations(range(4)))
    mean = sum(anisotropic_tv(torch.tensor(n)[labels]) for n in numberings) / len(numberings)
    assert expected_anisotropic_tv(boundary_length(labels), 4) == pytest.approx(mean)
