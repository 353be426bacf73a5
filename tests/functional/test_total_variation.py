"""Total variation, boundary length and boundary distance of class maps."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor
from torchmetrics.functional.image import total_variation

from regularizer_collection.functional.total_variation import (
    anisotropic_tv,
    boundary_distance,
    boundary_length,
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
@given(maps, st.randoms(use_true_random=False))
def test_boundary_measures_do_not_depend_on_the_numbering(labels: Tensor, random) -> None:
    numbers = list(range(NUM_CLASSES))
    random.shuffle(numbers)
    renumbered = torch.tensor(numbers)[labels]
    assert boundary_length(renumbered) == boundary_length(labels)
    assert boundary_distance(renumbered, 40.0) == boundary_distance(labels, 40.0)


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


def test_distance_to_a_half_plane() -> None:
    labels = torch.zeros(11, 11, dtype=torch.long)
    labels[:, 8:] = 3
    # 11 pixels over [-100, 100] are 20 apart; column 8 is 3 pixels right of the centre.
    assert boundary_distance(labels, 100.0) == pytest.approx(60)
    assert boundary_distance(labels.T, 100.0) == pytest.approx(60)


def test_distance_is_euclidean_and_to_any_other_class() -> None:
    labels = torch.full((11, 11), 9)
    labels[8, 1] = 2
    assert boundary_distance(labels, 5.0) == pytest.approx(5.0)
    labels[5, 9] = 4
    assert boundary_distance(labels, 5.0) == pytest.approx(4.0)


def test_distance_uses_the_spacing_of_each_axis() -> None:
    labels = torch.zeros(3, 5, dtype=torch.long)
    labels[0, 2] = 1
    assert boundary_distance(labels, 10.0) == pytest.approx(10.0)
    labels[1, 3] = 1
    assert boundary_distance(labels, 10.0) == pytest.approx(5.0)
    assert boundary_distance(labels[1:2], 10.0) == pytest.approx(5.0)


@fast
@given(maps, st.floats(0.1, 1000))
def test_distance_against_every_pixel(labels: Tensor, half_width: float) -> None:
    height, width = labels.shape
    row, column = height // 2, width // 2
    distances = [
        math.hypot(
            (i - row) * 2 * half_width / max(height - 1, 1),
            (j - column) * 2 * half_width / max(width - 1, 1),
        )
        for i in range(height)
        for j in range(width)
        if labels[i, j] != labels[row, column]
    ]
    expected = min(distances, default=math.inf)
    assert boundary_distance(labels, half_width) == pytest.approx(expected)


def test_distance_without_a_boundary_is_infinite() -> None:
    assert boundary_distance(torch.full((5, 5), 42), 100.0) == math.inf
    assert boundary_distance(torch.full((1, 1), 42), 100.0) == math.inf


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(3, dtype=torch.long), torch.zeros(2, 2), torch.zeros(0, 3, dtype=torch.long)],
)
@pytest.mark.parametrize("measure", [*MEASURES, lambda labels: boundary_distance(labels, 1.0)])
def test_not_a_class_map(measure, labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"got a class map of shape .*; expected non-empty"):
        measure(labels)


@pytest.mark.parametrize("half_width", [0.0, -1.0, math.inf, math.nan])
def test_half_width_out_of_range(half_width: float) -> None:
    with pytest.raises(ValueError, match="expected a positive finite number"):
        boundary_distance(torch.zeros(3, 3, dtype=torch.long), half_width)
