"""Statistics of repeated measurements."""

from collections.abc import Iterable

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
