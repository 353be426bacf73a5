"""Adaptive class maps against the whole map that they stand for."""

import math

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regularizer_collection.functional.adaptive_map import ClassMap, adaptive_map, pooled_bound

RESOLUTIONS = [2, 3, 7, 50, 61, 250]


class Truth:
    """A class map that counts what is asked of it."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.asked: list[Tensor] = []

    def __call__(self, index: Tensor) -> Tensor:
        self.asked.append(index)
        return self.labels.flatten()[index]

    @property
    def all_asked(self) -> Tensor:
        return torch.cat(self.asked)

    def disagreement(self, result: ClassMap) -> float:
        return (result.labels != self.labels).double().mean().item()


def grid(resolution: int) -> tuple[Tensor, Tensor]:
    line = torch.linspace(-1, 1, resolution, dtype=torch.float64)
    return torch.meshgrid(line, line, indexing="ij")


def waves(resolution: int, num_classes: int, seed: int) -> Truth:
    """Draws smooth random functions; the largest one at a point is its class."""
    row, column = grid(resolution)
    generator = torch.Generator().manual_seed(seed)
    rate, phase = 4 * torch.rand(2, 3, num_classes, 1, 1, generator=generator, dtype=torch.float64)
    return Truth(torch.sin(rate[0] * row + rate[1] * column + phase[0]).argmax(dim=0))


def islands(resolution: int, num_islands: int) -> Truth:
    """Puts islands of 3 x 3 points between the lines of the grid of every 4th point."""
    labels = torch.zeros(resolution, resolution, dtype=torch.long)
    per_row = (resolution - 1) // 4
    for island in range(num_islands):
        row, column = 4 * (island // per_row) + 1, 4 * (island % per_row) + 1
        labels[row : row + 3, column : column + 3] = 1
    return Truth(labels)


@pytest.mark.parametrize("coarse_step", [1, 2, 3, 4, 8, 300])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_straight_boundaries_are_found_exactly(resolution: int, coarse_step: int) -> None:
    row, column = grid(resolution)
    truth = Truth((row > 0.31).long() + 2 * (column + 0.4 * row > -0.2).long())
    result = adaptive_map(truth, resolution, coarse_step)
    assert torch.equal(result.labels, truth.labels)
    assert not result.redone


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_smooth_boundaries_are_found_within_the_bound(resolution: int, seed: int) -> None:
    truth = waves(resolution, 6, seed)
    result = adaptive_map(truth, resolution)
    assert truth.disagreement(result) <= result.disagreement_bound <= 0.005
    assert result.labels.shape == (resolution, resolution)
    assert result.labels.dtype == torch.int64


@settings(deadline=None, max_examples=60)
@given(
    resolution=st.integers(2, 40),
    coarse_step=st.integers(1, 12),
    num_checked=st.integers(1, 2000),
    seed=st.integers(0, 10_000),
)
def test_any_map_at_all(resolution: int, coarse_step: int, num_checked: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    is_class_1 = torch.rand(resolution, resolution, generator=generator) < seed / 10_000
    truth = Truth(is_class_1.long())
    result = adaptive_map(truth, resolution, coarse_step, num_checked)
    asked = truth.all_asked
    assert len(asked) == len(asked.unique()), "no point is evaluated twice"
    assert result.evaluated_share == len(asked) / resolution**2
    assert torch.equal(result.labels.flatten()[asked], truth.labels.flatten()[asked])
    assert 0 <= result.disagreement_bound <= 0.005
    if result.redone or result.evaluated_share == 1:
        assert result.disagreement_bound == 0
        assert truth.disagreement(result) == 0


def test_one_class_needs_the_coarse_grid_and_the_sample_only() -> None:
    truth = Truth(torch.full((250, 250), 7))
    result = adaptive_map(truth, 250)
    # Lines 0, 4, ..., 248 and the last one, 249, which the step does not reach.
    assert [len(index) for index in truth.asked] == [64 * 64, 1000]
    assert (result.labels == 7).all()
    assert result.evaluated_share == (64 * 64 + 1000) / 250**2


def test_the_coarse_grid_reaches_the_last_row_and_column() -> None:
    labels = torch.zeros(12, 12, dtype=torch.long)
    labels[-1], labels[:, -1] = 1, 2
    truth = Truth(labels)
    result = adaptive_map(truth, 12, coarse_step=4, num_checked=1)
    assert torch.equal(result.labels, labels)
    assert {11, 11 * 12, 11 * 12 + 11} <= set(truth.asked[0].tolist())


def test_a_boundary_takes_a_small_share_of_the_points() -> None:
    row, column = grid(250)
    truth = Truth((row**2 + column**2 < 0.5).long())
    result = adaptive_map(truth, 250)
    assert torch.equal(result.labels, truth.labels)
    assert result.evaluated_share < 0.13


def test_what_a_neighbour_finds_on_an_edge_splits_the_cell() -> None:
    labels = torch.zeros(17, 17, dtype=torch.long)
    labels[0, 0] = 1
    # Crosses the line of the coarse grid at column 8 between two of its points: the four corners
    # of the cell on the right agree, and only the split on the left shows what reaches into it.
    labels[2:7, 4:12] = 1
    truth = Truth(labels)
    result = adaptive_map(truth, 17, coarse_step=8, num_checked=1, max_disagreement=1.0)
    assert truth.disagreement(result) == 0


@pytest.mark.parametrize("resolution", [29, 30])
def test_a_small_map_is_checked_completely(resolution: int) -> None:
    truth = islands(resolution, num_islands=20)
    result = adaptive_map(truth, resolution)
    assert torch.equal(result.labels, truth.labels)
    assert result.evaluated_share == 1
    assert result.disagreement_bound == 0
    assert not result.redone


def test_islands_that_the_coarse_grid_misses_are_redone() -> None:
    truth = islands(101, num_islands=30)
    result = adaptive_map(truth, 101)
    assert result.redone
    assert torch.equal(result.labels, truth.labels)
    assert result.evaluated_share == 1
    assert result.disagreement_bound == 0
    assert len(truth.all_asked.unique()) == len(truth.all_asked) == 101**2


def test_islands_that_are_let_pass_are_bounded_and_corrected_where_seen() -> None:
    truth = islands(101, num_islands=30)
    result = adaptive_map(truth, 101, max_disagreement=1.0)
    sample = truth.asked[-1]
    num_islands_seen = int(truth.labels.flatten()[sample].sum())
    assert not result.redone
    assert int(result.labels.sum()) == num_islands_seen > 0
    num_filled = 101**2 - 26**2
    upper = scipy.stats.beta.ppf(0.95, num_islands_seen + 1, 1000 - num_islands_seen)
    assert result.disagreement_bound == pytest.approx(upper * num_filled / 101**2)
    assert truth.disagreement(result) <= 30 * 9 / 101**2 <= result.disagreement_bound


def test_the_bound_holds_as_often_as_it_says() -> None:
    truth = islands(61, num_islands=4)
    share = 4 * 9 / 61**2
    bounds = [
        adaptive_map(truth, 61, num_checked=300, max_disagreement=1.0, seed=seed)
        for seed in range(100)
    ]
    held = sum(result.disagreement_bound >= share for result in bounds) / len(bounds)
    assert held >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / len(bounds))


def test_bound_without_disagreement() -> None:
    truth = Truth(torch.zeros(101, 101, dtype=torch.long))
    result = adaptive_map(truth, 101, num_checked=600)
    filled_share = 1 - 26**2 / 101**2
    assert result.disagreement_bound == pytest.approx((1 - 0.05 ** (1 / 600)) * filled_share)


def test_bound_where_the_whole_sample_disagrees() -> None:
    labels = torch.ones(101, 101, dtype=torch.long)
    labels[::4] = labels[:, ::4] = 0
    truth = Truth(labels)
    # Enough lines of class 0 are filled in rightly, so look for a seed whose 2 points are not.
    for seed in range(20):
        result = adaptive_map(truth, 101, num_checked=2, max_disagreement=1.0, seed=seed)
        if int(labels.flatten()[truth.asked[-1]].sum()) == 2:
            break
    assert result.disagreement_bound == 1 - 26**2 / 101**2


def test_the_seed_decides_the_sample() -> None:
    truth = islands(101, num_islands=30)
    samples = []
    for seed in (0, 0, 1):
        adaptive_map(truth, 101, max_disagreement=1.0, seed=seed)
        samples.append(truth.asked[-1])
        torch.rand(1)
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_points_without_a_class_are_counted() -> None:
    labels = torch.zeros(61, 61, dtype=torch.long)
    labels[:, 40:] = -1
    result = adaptive_map(Truth(labels), 61)
    assert torch.equal(result.labels, labels)
    assert result.non_finite == 61 * 21


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 1}, "resolution is 1; give 2 or more"),
        ({"coarse_step": 0}, "coarse_step is 0; give 1 or more"),
        ({"num_checked": 0}, "num_checked is 0; give 1 or more"),
        ({"max_disagreement": -0.1}, "max_disagreement is -0.1; give a number from 0 to 1"),
        ({"max_disagreement": math.nan}, "max_disagreement is nan; give a number from 0 to 1"),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    truth = Truth(torch.zeros(9, 9, dtype=torch.long))
    with pytest.raises(ValueError, match=message) as error:
        adaptive_map(truth, **{"resolution": 9, **arguments})
    assert "\n" not in str(error.value)
    assert not truth.asked


def test_maps_are_bounded_together_by_the_formula_of_clopper_and_pearson() -> None:
    # 3 disagreements among 4,000 points, of the 40 and 60 % that were filled in.
    bound = pooled_bound([1, 2], [1000, 3000], [0.6, 0.4])
    assert bound == pytest.approx(scipy.stats.beta.ppf(0.95, 4, 3997) * 0.5)


def test_together_many_maps_are_bounded_far_closer_than_each() -> None:
    evaluate = lambda index: torch.zeros_like(index)  # noqa: E731
    maps = [adaptive_map(evaluate, 100, seed=seed) for seed in range(25)]
    columns = [(m.num_disagreeing, m.num_checked, m.evaluated_share) for m in maps]
    together = pooled_bound(*zip(*columns, strict=True))
    assert 0 < together < maps[0].disagreement_bound / 20


def test_nothing_is_missed_where_every_point_was_evaluated() -> None:
    assert pooled_bound([0, 0], [0, 5], [1.0, 1.0]) == 0


def test_the_pooled_bound_holds_as_often_as_it_says() -> None:
    """Islands at random places of 8 maps: the bound is above their mean share in 95 of 100."""
    generator = torch.Generator().manual_seed(0)
    held = []
    for trial in range(100):
        maps, missed = [], []
        for number in range(8):
            truth = (torch.rand(30 * 30, generator=generator) < 0.01).long()
            m = adaptive_map(
                lambda index, truth=truth: truth[index],
                30,
                coarse_step=29,
                num_checked=60,
                max_disagreement=1.0,
                seed=100 * trial + number,
            )
            wrong_then = int((m.labels.flatten() != truth).sum()) + m.num_disagreeing
            missed.append(wrong_then / truth.numel())
            maps.append((m.num_disagreeing, m.num_checked, m.evaluated_share))
        held.append(pooled_bound(*zip(*maps, strict=True)) >= sum(missed) / len(missed))
    assert sum(held) >= 90
