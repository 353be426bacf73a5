"""Confidence intervals."""

import math
import statistics

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regularizer_collection.functional.statistics import (
    confidence_interval,
    holm,
    paired_difference,
)


def test_hand_computed() -> None:
    # Mean 3, standard deviation sqrt(2.5), standard error sqrt(0.5), tabulated t(0.975, 4) = 2.776.
    mean, half_width = confidence_interval([1, 2, 3, 4, 5])
    assert mean == 3.0
    assert half_width == pytest.approx(2.776 * math.sqrt(0.5), rel=1e-3)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    st.floats(0.01, 0.999),
)
def test_against_scipy(values: list[float], level: float) -> None:
    mean, half_width = confidence_interval(values, level)
    error = scipy.stats.sem(values)
    expected = error * scipy.stats.t.ppf((1 + level) / 2, len(values) - 1)
    assert mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert half_width == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.floats(999.0, 1001.0, width=32), min_size=2, max_size=30, unique=True))
def test_float32_values_are_within_1e_9_of_exact_arithmetic(values: list[float]) -> None:
    mean, half_width = confidence_interval(torch.tensor(values, dtype=torch.float32))
    standard_error = statistics.stdev(values) / math.sqrt(len(values))
    quantile = scipy.stats.t.ppf(0.975, len(values) - 1)
    assert mean == pytest.approx(statistics.mean(values), rel=1e-12)
    assert half_width == pytest.approx(standard_error * quantile, rel=1e-9)


def test_covers_the_true_mean_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(7.0, 2.0, size=(2000, 5))
    intervals = np.array([confidence_interval(sample, 0.9) for sample in samples])
    covered = np.mean(np.abs(intervals[:, 0] - 7.0) <= intervals[:, 1])
    assert covered == pytest.approx(0.9, abs=0.03)


def test_one_value_has_no_spread() -> None:
    mean, half_width = confidence_interval([45.19])
    assert mean == 45.19
    assert math.isnan(half_width)


def test_equal_values() -> None:
    assert confidence_interval([2.0, 2.0, 2.0]) == (2.0, 0.0)


@pytest.mark.parametrize("values", [(1, 2, 4), iter([1.0, 2.0, 4.0]), torch.tensor([1, 2, 4])])
def test_any_iterable_of_numbers(values) -> None:
    assert confidence_interval(values) == confidence_interval([1.0, 2.0, 4.0])


def test_returns_plain_floats() -> None:
    assert [type(part) for part in confidence_interval(np.float32([1, 2]))] == [float, float]


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, "got no values"),
        ([1.0, math.nan], 0.95, "got nan among the values"),
        ([1.0, math.inf, 2.0], 0.95, "got inf among the values"),
        ([1.0, 2.0], 0.0, "level is 0.0; expected"),
        ([1.0, 2.0], 1.0, "level is 1.0; expected"),
        ([1.0, 2.0], 95, "level is 95; expected"),
        ([1.0, 2.0], math.nan, "level is nan; expected"),
    ],
)
def test_bad_input(values: list[float], level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        confidence_interval(values, level)
    assert "\n" not in str(error.value)


def test_paired_difference_equals_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12))
    ours = paired_difference(a, b)
    theirs = scipy.stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval()
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.mean == pytest.approx((low + high) / 2)
    assert ours.half_width == pytest.approx((high - low) / 2)
    assert ours.effect_size == pytest.approx(theirs.statistic / np.sqrt(12))


def test_differences_that_do_not_vary_have_no_p_value():
    difference = paired_difference([2.0, 3.0], [1.0, 2.0])
    assert difference.mean == 1
    assert math.isnan(difference.p_value)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1.0, 2.0], [1.0])


def test_holm_by_hand():
    # 3 x 0.01, then max(0.03, 2 x 0.04), then max(0.08, 0.05).
    assert holm([0.04, 0.01, 0.05]) == pytest.approx([0.08, 0.03, 0.08])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holm_passes_over_tests_that_could_not_be_made():
    adjusted = holm([float("nan"), 0.02])
    assert math.isnan(adjusted[0])
    assert adjusted[1] == pytest.approx(0.02)
