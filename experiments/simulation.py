"""How often the tests of a report are wrong, and how often they see what is there.

``python -m regularizer_collection.experiments.simulation --out FILE.csv`` simulates networks whose
truth is known: y = network + plane + variant x plane + rest, all normal, on the scale of logs.
"""

import argparse
import math
from itertools import product

import numpy as np
import pandas as pd

from regularizer_collection.functional.statistics import (
    compare_networks,
    dunnett,
    equivalence,
    log_of_means,
    welch,
)

NETWORK_SDS = (0.05, 0.2, 0.5)
PLANE_SDS = (0.2, 0.5, 1.0)
INTERACTION_SD = 0.1
REST_SD = 0.3
EFFECT = math.log(1.5)
MARGIN = math.log(1.1)


def simulate(
    times: int, num_networks: int = 5, num_planes: int = 25, num_variants: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Counts how often each test says "different" (or "equal") at 5 %.

    Args:
        times: Simulated studies for each row.
        num_networks: Networks of each variant.
        num_planes: Planes, the same for all networks.
        num_variants: Variants, the baseline among them.
        seed: Seed of the simulation.

    Returns:
        Rows: spread of networks and of planes. Columns, as shares: false alarms of each test where
        no variant differs; power where one is 1.5 times the baseline; of the test of equivalence,
        how often it calls a true ratio of 1.1 equal (false alarm) and one of 1 (power).
    """
    rows = []
    critical = _dunnett_quantile(num_variants, num_networks)
    for network_sd, plane_sd in product(NETWORK_SDS, PLANE_SDS):
        rng = np.random.default_rng([seed, round(100 * network_sd), round(100 * plane_sd)])
        shape = (num_variants, num_networks, num_planes)
        counts: dict[str, int] = {}
        for _ in range(times):
            y = _study(rng, shape, network_sd, plane_sd)
            for name, is_positive in _verdicts(y, critical).items():
                counts[name] = counts.get(name, 0) + is_positive
        shares = {name: count / times for name, count in counts.items()}
        rows.append({"network SD": network_sd, "plane SD": plane_sd} | shares)
    return pd.DataFrame(rows)


def _study(
    rng: np.random.Generator, shape: tuple[int, int, int], network_sd: float, plane_sd: float
) -> np.ndarray:
    variants, networks, planes = shape
    return (
        rng.normal(0, network_sd, (variants, networks, 1))
        + rng.normal(0, plane_sd, (1, 1, planes))
        + rng.normal(0, INTERACTION_SD, (variants, 1, planes))
        + rng.normal(0, REST_SD, shape)
    )


def _in_spreads(means: np.ndarray) -> np.ndarray:
    """Returns the differences from the first group in their standard errors, variances pooled."""
    error = math.sqrt(means.var(axis=1, ddof=1).mean() * 2 / means.shape[1])
    return abs(means[1:].mean(1) - means[0].mean()) / error


def _dunnett_quantile(num_variants: int, num_networks: int) -> float:
    """Returns the half-width of Dunnett's interval in standard errors, the same for all samples."""
    means = np.random.default_rng(0).normal(size=(num_variants, num_networks))
    difference, low, _ = dunnett(list(means[1:]), means[0])[0]
    return (difference - low) / abs(difference) * _in_spreads(means)[0]


def _verdicts(y: np.ndarray, critical: float) -> dict[str, bool]:
    baseline, same = y[:2]
    raised = same + EFFECT
    means = y.mean(2)
    return {
        "Satterthwaite, false alarms": compare_networks(same, baseline).p_value < 0.05,
        "Satterthwaite, power": compare_networks(raised, baseline).p_value < 0.05,
        "ratio of means, false alarms": _ratio(same, baseline) < 0.05,
        "ratio of means, power": _ratio(raised, baseline) < 0.05,
        "Welch, false alarms": welch(means[1], means[0]).p_value < 0.05,
        "Welch, power": welch(means[1] + EFFECT, means[0]).p_value < 0.05,
        "Dunnett, false alarms in any": bool((_in_spreads(means) > critical).any()),
        "equivalence, false alarms": _is_equal(same + MARGIN, baseline),
        "equivalence, power": _is_equal(same, baseline),
        "pairs of planes of one network, false alarms": _paired(same[0], baseline[0]),
    }


def _ratio(values: np.ndarray, baseline: np.ndarray) -> float:
    """Tests densities, of which a tenth of the planes hold none, by the ratio of their means."""
    densities = [
        np.exp(group) * (group > np.quantile(group, 0.1, axis=1, keepdims=True))
        for group in (values, baseline)
    ]
    ours, theirs = map(log_of_means, densities)
    return compare_networks(ours, theirs).p_value


def _is_equal(values: np.ndarray, baseline: np.ndarray) -> bool:
    return equivalence(compare_networks(values, baseline), MARGIN) < 0.05


def _paired(values: np.ndarray, baseline: np.ndarray) -> bool:
    """The test that reports gave before: planes of a single network as if they were networks."""
    difference = values - baseline
    t = difference.mean() / (difference.std(ddof=1) / math.sqrt(len(difference)))
    return abs(t) > 2.064  # Student's t, 24 degrees of freedom


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=simulate.__doc__)
    parser.add_argument("--times", type=int, default=2000)
    parser.add_argument("--out", default="results/statistics_simulation.csv")
    given = parser.parse_args()
    table = simulate(given.times)
    table.to_csv(given.out, index=False, float_format="%.4g")
    print(table.to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
