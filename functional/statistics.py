"""Statistics of repeated measurements."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


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


class PairedDifference(NamedTuple):
    """How two measurements of the same things differ.

    Attributes:
        mean: Mean difference.
        half_width: Half-width of its confidence interval; NaN for a single pair.
        effect_size: Mean over standard deviation of the differences (Cohen's d_z).
        p_value: Two-sided, of Student's paired t test.
    """

    mean: float
    half_width: float
    effect_size: float
    p_value: float


def paired_difference(
    values: Iterable[float], baseline: Iterable[float], level: float = 0.95
) -> PairedDifference:
    """Compares measurements with a baseline that was measured on the same planes or seeds.

    Args:
        values: Measurements.
        baseline: Baseline of each, in the same order.
        level: Level of the confidence interval.

    Returns:
        The difference values - baseline. Effect size and p-value are NaN where the differences do
        not vary.

    Raises:
        ValueError: There are no values, one is not finite, or the two differ in number.
    """
    differences = [a - b for a, b in zip(values, baseline, strict=True)]
    mean, half_width = confidence_interval(differences, level)
    deviation = np.std(differences, ddof=1) if len(differences) > 1 else float("nan")
    if not deviation > 0:
        return PairedDifference(mean, half_width, float("nan"), float("nan"))
    from scipy.special import stdtr

    effect_size = mean / deviation
    t = effect_size * np.sqrt(len(differences))
    p_value = 2 * stdtr(len(differences) - 1, -abs(t))
    return PairedDifference(mean, half_width, float(effect_size), float(p_value))


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
