"""Intervals and tests over networks."""

import math
import statistics
import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regularizer_collection.functional.statistics import (
    KendallTau,
    compare_networks,
    confidence_interval,
    dunnett,
    equivalence,
    holm,
    log_of_means,
    welch,
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


@pytest.mark.parametrize("sizes", [(5, 5), (3, 8), (2, 4)])
def test_welch_equals_scipys(sizes) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, sizes[0]), rng.normal(1, 3, sizes[1])
    ours, theirs = welch(a, b), scipy.stats.ttest_ind(a, b, equal_var=False)
    low, high = theirs.confidence_interval()
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.difference == pytest.approx((low + high) / 2)
    assert ours.half_width == pytest.approx((high - low) / 2)
    assert ours.degrees_of_freedom == pytest.approx(theirs.df)


def crossed(rng, shape, network_sd=0.3, plane_sd=0.5, interaction_sd=0.4, rest_sd=0.1):
    """Values [variants, networks, planes] of the model that compare_networks assumes."""
    variants, _, planes = shape
    return (
        rng.normal(0, network_sd, (*shape[:2], 1))
        + rng.normal(0, plane_sd, (1, 1, planes))
        + rng.normal(0, interaction_sd, (variants, 1, planes))
        + rng.normal(0, rest_sd, shape)
    )


def test_networks_are_compared_by_the_formula_of_the_docstring() -> None:
    a, b = crossed(np.random.default_rng(1), (2, 4, 7))
    n, planes = a.shape
    v_net = (np.var(a.mean(1), ddof=1) + np.var(b.mean(1), ddof=1)) / n
    v_plane = np.var(a.mean(0) - b.mean(0), ddof=1) / planes
    squares = 0.0
    for group in (a, b):
        for s in range(n):
            for p in range(planes):
                rest = group[s, p] - group[:, p].mean() - group[s].mean() + group.mean()
                squares += rest**2
    v_res = 2 * squares / (2 * (n - 1) * (planes - 1)) / (n * planes)
    variance = max(v_net + v_plane - v_res, v_net, v_plane)
    dof = variance**2 / (v_net**2 / (2 * (n - 1)) + v_plane**2 / (planes - 1))
    t = (a.mean() - b.mean()) / math.sqrt(variance)
    ours = compare_networks(a, b)
    assert ours.difference == pytest.approx(a.mean() - b.mean())
    assert ours.standard_error == pytest.approx(math.sqrt(variance))
    assert ours.degrees_of_freedom == pytest.approx(dof)
    assert ours.p_value == pytest.approx(2 * scipy.stats.t.sf(abs(t), dof))
    assert ours.half_width == pytest.approx(math.sqrt(variance) * scipy.stats.t.ppf(0.975, dof))


def test_unequal_groups_of_networks_have_the_false_alarms_of_welch() -> None:
    rng = np.random.default_rng(0)
    shape, spread = (2, 10, 25), {"network_sd": 0.2, "plane_sd": 0.2, "interaction_sd": 0.02}
    alarms = np.zeros(2)
    for _ in range(1000):
        a, b = crossed(rng, shape, **spread)
        alarms += (
            compare_networks(a[:2], b).p_value < 0.05,
            welch(a[:2].mean(1), b.mean(1)).p_value < 0.05,
        )
    assert alarms[0] <= alarms[1] + 15
    (a, b) = crossed(rng, (2, 4, 7))
    v = [np.var(group.mean(1), ddof=1) / len(group) for group in (a[:2], b)]
    ours, v_plane = compare_networks(a[:2], b), np.var(a[:2].mean(0) - b.mean(0), ddof=1) / 7
    dof = ours.standard_error**4 / (v[0] ** 2 / 1 + v[1] ** 2 / 3 + v_plane**2 / 6)
    assert ours.degrees_of_freedom == pytest.approx(dof)


def test_networks_are_compared_as_by_a_mixed_model() -> None:
    """In a balanced design with all variances positive, REML is the analysis of variance."""
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    y = crossed(np.random.default_rng(3), (2, 5, 12))
    rows = pd.DataFrame(
        [
            {"y": y[v, s, p], "variant": v, "network": f"{v}-{s}", "plane": p, "both": f"{v}-{p}"}
            for v in range(2)
            for s in range(5)
            for p in range(12)
        ]
    )
    components = {name: f"0 + C({name})" for name in ("network", "plane", "both")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, which the comparison below decides
        fit = MixedLM.from_formula(
            "y ~ C(variant)", rows, groups=np.ones(len(rows)), vc_formula=components, re_formula="0"
        ).fit(reml=True)
    ours = compare_networks(y[1], y[0])
    assert ours.difference == pytest.approx(fit.params["C(variant)[T.1]"], abs=1e-6)
    assert ours.standard_error == pytest.approx(fit.bse["C(variant)[T.1]"], rel=0.02)


def test_the_unit_is_the_network_so_more_planes_do_not_make_networks_differ() -> None:
    """Networks of one variant differ: planes by the thousand prove nothing."""
    rng = np.random.default_rng(0)
    alarms = [
        compare_networks(*crossed(rng, (2, 5, 500), network_sd=0.5, interaction_sd=0)).p_value
        for _ in range(400)
    ]
    assert np.mean(np.array(alarms) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_one_network_or_one_plane_has_a_difference_and_nothing_more() -> None:
    for a, b in (([[1.0, 2.0]], [[0.0, 3.0], [1.0, 1.0]]), ([[1.0], [2.0]], [[0.0], [3.0]])):
        comparison = compare_networks(a, b)
        assert comparison.difference == pytest.approx(np.mean(a) - np.mean(b))
        assert all(math.isnan(value) for value in comparison[1:])
    assert math.isnan(welch([1.0], [2.0, 3.0]).half_width)


def test_planes_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="got 2 and 3 planes; expected the same planes"):
        compare_networks(np.ones((2, 2)), np.ones((2, 3)))


@pytest.mark.parametrize("values", [[], [[]], [1.0, 2.0]])
def test_networks_need_values_of_each_plane(values) -> None:
    with pytest.raises(ValueError, match=r"expected \[networks, planes\]"):
        compare_networks(values, np.ones((2, 2)))


def test_log_of_means_keeps_the_mean_and_allows_empty_planes() -> None:
    densities = np.random.default_rng(0).exponential(size=(4, 9))
    densities[1, :5] = 0
    expanded = log_of_means(densities)
    np.testing.assert_allclose(expanded.mean(1), np.log(densities.mean(1)))
    scaled = compare_networks(log_of_means(3 * densities), log_of_means(densities))
    assert scaled.difference == pytest.approx(math.log(3))


@pytest.mark.parametrize("values", [[[0.0, 0.0]], [[1.0, -1.0]]])
def test_a_network_without_boundaries_has_no_ratio(values) -> None:
    with pytest.raises(ValueError, match="no boundary on any plane"):
        log_of_means(values)


def test_equivalence_is_two_one_sided_tests() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 12), rng.normal(0.1, 1, 15)
    lower = scipy.stats.ttest_ind(a + 1.5, b, equal_var=False, alternative="greater").pvalue
    upper = scipy.stats.ttest_ind(a - 1.5, b, equal_var=False, alternative="less").pvalue
    assert equivalence(welch(a, b), 1.5) == pytest.approx(max(lower, upper))


def test_equivalence_without_spread() -> None:
    assert equivalence(welch([1.0, 1.0], [1.0, 1.0]), 0.1) == 0
    assert equivalence(welch([2.0, 2.0], [1.0, 1.0]), 0.1) == 1
    assert math.isnan(equivalence(welch([2.0], [1.0, 1.0]), 0.1))
    with pytest.raises(ValueError, match="margin is 0; expected a number above 0"):
        equivalence(welch([2.0], [1.0, 1.0]), 0)


def test_dunnett_holds_all_groups_at_once() -> None:
    """Dunnett's table: three groups and a control of five each, 16 degrees of freedom: 2.59."""
    groups = np.random.default_rng(0).normal(size=(4, 5))
    error = math.sqrt(groups.var(axis=1, ddof=1).mean() * 2 / 5)
    for difference, low, high in dunnett(list(groups[1:]), groups[0]):
        assert (high - low) / 2 / error == pytest.approx(2.59, abs=0.01)
        assert (high + low) / 2 == pytest.approx(difference)


def test_dunnett_of_one_group_is_students_interval() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    ((difference, low, high),) = dunnett([a], b)
    interval = scipy.stats.ttest_ind(a, b).confidence_interval()
    assert difference == pytest.approx(a.mean() - b.mean())
    assert (low, high) == pytest.approx((interval.low, interval.high), rel=5e-3)


def test_dunnett_needs_two_networks_of_each() -> None:
    with pytest.raises(ValueError, match="got a group of one network"):
        dunnett([[1.0]], [1.0, 2.0])


def test_holm_by_hand():
    # 3 x 0.01, then max(0.03, 2 x 0.04), then max(0.08, 0.05).
    assert holm([0.04, 0.01, 0.05]) == pytest.approx([0.08, 0.03, 0.08])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holm_passes_over_tests_that_could_not_be_made():
    adjusted = holm([float("nan"), 0.02])
    assert math.isnan(adjusted[0])
    assert adjusted[1] == pytest.approx(0.02)


def test_taus_are_scipys_with_ties_too():
    values = np.random.default_rng(0).integers(0, 6, (15, 4)).astype(float)
    taus = KendallTau(values)
    counts = np.random.default_rng(1).integers(0, 4, 15)
    for sample, found in ((values, taus.matrix()), (values.repeat(counts, 0), taus.matrix(counts))):
        for row in range(4):
            for column in range(4):
                expected = scipy.stats.kendalltau(sample[:, row], sample[:, column]).statistic
                assert found[row, column] == pytest.approx(expected)


def test_a_measure_that_never_differs_has_no_tau():
    found = KendallTau([[1.0, 2.0], [1.0, 3.0], [1.0, 1.0]]).matrix()
    assert np.isnan(found[0, 1])
    assert found[1, 1] == pytest.approx(1)
