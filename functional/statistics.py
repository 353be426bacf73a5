"""Statistics of repeated measurements; the unit is the network, never the plane."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


def confidence_interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float]:
    """Estimates a mean with the confidence interval of Student (1908).

    The half-width is the standard error of the mean (from the standard deviation with ddof 1) times
    the quantile (1 + level) / 2 of Student's t distribution with n - 1 degrees of freedom.

    Args:
        values: Independent measurements, such as one per seed.
        level: Share of such intervals that hold the true mean.

    Returns:
        Mean and half-width, in the unit of the values. One value tells nothing about the spread:
        its half-width is NaN.

    Raises:
        ValueError: There are no values, one of them is not finite, or the level is not between 0
            and 1.
    """
    from scipy.special import stdtrit  # What scipy.stats.t.ppf calls, at a tenth of its import.

    sample = np.asarray([float(value) for value in values])
    if not sample.size:
        raise ValueError("got no values; expected at least one")
    if not np.isfinite(sample).all():
        raise ValueError(f"got {sample[~np.isfinite(sample)][0]} among the values; expected finite")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a number between 0 and 1, such as 0.95")
    mean = float(sample.mean())
    if sample.size == 1:
        return mean, float("nan")
    standard_error = sample.std(ddof=1) / np.sqrt(sample.size)
    return mean, float(standard_error * stdtrit(sample.size - 1, (1 + level) / 2))


class Comparison(NamedTuple):
    """How the networks of one variant differ from those of another.

    Attributes:
        difference: Difference of the means over networks.
        half_width: Half-width of its confidence interval.
        standard_error: Standard error of the difference.
        degrees_of_freedom: Degrees of freedom of its Student's t distribution.
        p_value: Two-sided.
    """

    difference: float
    half_width: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float


def welch(values: ArrayLike, baseline: ArrayLike, level: float = 0.95) -> Comparison:
    """Compares two groups of networks by one number of each (Welch 1947).

    Args:
        values: One number for each network.
        baseline: The same of the baseline's networks.
        level: Level of the confidence interval.

    Returns:
        The difference values - baseline; all else is NaN where a group has one network.

    Raises:
        ValueError: A group has no network, or a value is not finite.
    """
    groups = [_finite(group, 1) for group in (values, baseline)]
    squares = [_variance(group) / len(group) for group in groups]
    freedoms = [len(group) - 1 for group in groups]
    return _comparison(groups[0].mean() - groups[1].mean(), sum(squares), squares, freedoms, level)


def compare_networks(values: ArrayLike, baseline: ArrayLike, level: float = 0.95) -> Comparison:
    """Compares two variants whose networks were all measured on the same planes.

    Networks and planes are both random: the answer is about new networks on new planes. With m the
    means of n networks, D the difference of the two variants on each of P planes, and r what is
    left of each variant's values after the means of its planes and of its networks:

        v_net = var(m_1) / n_1 + var(m_2) / n_2,  v_plane = var(D) / P,
        v_res = s^2 / P (1 / n_1 + 1 / n_2),  s^2 = sum r^2 / ((n_1 + n_2 - 2) (P - 1)),
        V = max(v_net + v_plane - v_res, v_net, v_plane),
        df = V^2 / (v_net^2 / (n_1 + n_2 - 2) + v_plane^2 / (P - 1)),  t = difference / sqrt(V).

    This is the analysis of variance of the model value = variant + network + plane +
    variant x plane + rest, with the degrees of freedom of Satterthwaite (1946). Where n_1 and n_2
    differ, so does what the two variants know of their spread, and v_net's term becomes one for
    each: (var(m_1) / n_1)^2 / (n_1 - 1) + (var(m_2) / n_2)^2 / (n_2 - 1).

    Args:
        values: Values [networks, planes].
        baseline: Values [networks, planes] of the baseline, on the same planes in the same order.
        level: Level of the confidence interval.

    Returns:
        The difference values - baseline; all but the difference is NaN where a variant has one
        network or there is one plane.

    Raises:
        ValueError: The planes differ in number, there are no values, or one is not finite.
    """
    groups = [_finite(group, 2) for group in (values, baseline)]
    numbers = [len(group) for group in groups]
    planes = groups[0].shape[1]
    if groups[1].shape[1] != planes:
        raise ValueError(f"got {planes} and {groups[1].shape[1]} planes; expected the same planes")
    difference = groups[0].mean() - groups[1].mean()
    if min(*numbers, planes) == 1:
        return Comparison(float(difference), *[math.nan] * 4)
    freedom = sum(numbers) - 2
    squares = [_variance(group.mean(1)) / len(group) for group in groups]
    v_net = sum(squares)
    v_plane = _variance(groups[0].mean(0) - groups[1].mean(0)) / planes
    rest = sum(
        ((group - group.mean(0) - group.mean(1, keepdims=True) + group.mean()) ** 2).sum()
        for group in groups
    ) / (freedom * (planes - 1))
    v_res = rest / planes * sum(1 / number for number in numbers)
    variance = max(v_net + v_plane - v_res, v_net, v_plane)
    parts, freedoms = [v_net], [freedom]
    if numbers[0] != numbers[1]:
        parts, freedoms = squares, [number - 1 for number in numbers]
    return _comparison(difference, variance, [*parts, v_plane], [*freedoms, planes - 1], level)


def log_of_means(values: ArrayLike) -> np.ndarray:
    """Expands log(mean over planes) of each network to first order in the values of its planes.

    The mean over planes of the result is the log of the network's mean exactly, so that
    :func:`compare_networks` compares ratios of means, also where single planes hold nothing.

    Args:
        values: Values [networks, planes], 0 or more, none 0 throughout a network.

    Returns:
        Expansion [networks, planes].

    Raises:
        ValueError: A value is negative or not finite, or a network has nothing but zeros.
    """
    sample = _finite(values, 2)
    means = sample.mean(1, keepdims=True)
    if (sample < 0).any() or not (means > 0).all():
        raise ValueError("got a network with no boundary on any plane; it has no ratio to another")
    return np.log(means) + sample / means - 1


def equivalence(comparison: Comparison, margin: float) -> float:
    """Tests whether a difference is smaller than a margin either way (Schuirmann 1987).

    Args:
        comparison: A difference, from :func:`welch` or :func:`compare_networks`.
        margin: Largest difference that counts as none; log(1.1) for ratios within 10 %.

    Returns:
        The larger p-value of the two one-sided tests.

    Raises:
        ValueError: The margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; expected a number above 0, such as log(1.1)")
    from scipy.special import stdtr

    difference, _, error, dof, _ = comparison
    if not error > 0:
        return math.nan if math.isnan(error) else float(abs(difference) >= margin)
    return float(max(stdtr(dof, (sign * difference - margin) / error) for sign in (-1, 1)))


def dunnett(groups: Sequence[ArrayLike], baseline: ArrayLike) -> list[tuple[float, float, float]]:
    """Compares several groups of networks with one, all at once (Dunnett 1955, equal variances).

    Args:
        groups: One number for each network, for each group; at least two networks each.
        baseline: The same of the baseline's networks.

    Returns:
        For each group the difference of the means, and the ends of its simultaneous 95 % interval.

    Raises:
        ValueError: A group has fewer than two networks, or a value is not finite.
    """
    from scipy import stats

    samples = [_finite(group, 1) for group in (*groups, baseline)]
    if min(map(len, samples)) < 2:
        raise ValueError("got a group of one network; expected two or more, which tell the spread")
    result = stats.dunnett(*samples[:-1], control=samples[-1], rng=np.random.default_rng(0))
    interval = result.confidence_interval(0.95)
    return [
        (float(sample.mean() - samples[-1].mean()), float(low), float(high))
        for sample, low, high in zip(samples, interval.low, interval.high, strict=False)
    ]


def _finite(values: ArrayLike, dimensions: int) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != dimensions or not sample.size:
        axes = "[networks, planes]" if dimensions == 2 else "[networks]"
        raise ValueError(f"got values of shape {sample.shape}; expected {axes}, at least one")
    if not np.isfinite(sample).all():
        raise ValueError(f"got {sample[~np.isfinite(sample)][0]} among the values; expected finite")
    return sample


def _variance(sample: np.ndarray) -> float:
    return float(sample.var(ddof=1)) if len(sample) > 1 else math.nan


def _comparison(
    difference: float, variance: float, parts: list[float], freedoms: list[int], level: float
) -> Comparison:
    """Compares a difference with its variance, whose parts have the degrees of freedom given."""
    from scipy.special import stdtr, stdtrit

    error = math.sqrt(variance)
    if not error > 0:  # one network, or no spread at all
        half_width = math.nan if math.isnan(error) else 0.0
        return Comparison(float(difference), half_width, error, math.nan, math.nan)
    dof = variance**2 / sum(part**2 / free for part, free in zip(parts, freedoms, strict=True))
    p_value = 2 * stdtr(dof, -abs(difference) / error)
    half_width = error * stdtrit(dof, (1 + level) / 2)
    return Comparison(float(difference), float(half_width), error, float(dof), float(p_value))


def holm(p_values: Iterable[float]) -> list[float]:
    """Adjusts p-values for the number of tests (Holm 1979, step-down); NaN counts as no test.

    Args:
        p_values: One p-value for each test.

    Returns:
        Adjusted p-values in the same order.
    """
    p = np.asarray(list(p_values), dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = [index for index in np.argsort(p) if not np.isnan(p[index])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted.tolist()


class KendallTau:
    """Kendall's tau-b of every pair of measures (Kendall 1945), for networks that may count twice.

    The pairs of networks are compared once; a resample only counts them otherwise.

    Args:
        values: Values [networks, measures].
    """

    def __init__(self, values: ArrayLike) -> None:
        array = np.asarray(values, dtype=float)
        self._first, self._second = np.triu_indices(len(array), 1)
        # Half the memory of 64 bits; sums are of whole numbers, and exact up to 2 ** 24 pairs.
        self._signs = np.sign(array[self._first] - array[self._second]).astype(np.float32)

    def matrix(self, counts: np.ndarray | None = None) -> np.ndarray:
        """Computes tau [measures, measures]; NaN where a measure is the same for all networks.

        Args:
            counts: How often each network counts [networks]; once each if None.
        """
        signs = self._signs
        if counts is not None:
            numbers = (counts[self._first] * counts[self._second]).astype(np.float32)
            used = numbers.nonzero()[0]
            signs, numbers = signs[used], numbers[used, None]
            agreement = (signs * numbers).T @ signs
        else:
            agreement = signs.T @ signs
        agreement = agreement.astype(float)
        scale = np.sqrt(np.diag(agreement))
        with np.errstate(invalid="ignore", divide="ignore"):
            return agreement / np.outer(scale, scale)
