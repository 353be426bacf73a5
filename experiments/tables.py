"""Tables over finished runs; every interval is over networks."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from regularizer_collection.experiments.collect import per_network
from regularizer_collection.experiments.source_experiment import VARIANTS
from regularizer_collection.functional.agreement import agreement
from regularizer_collection.functional.statistics import (
    Comparison,
    compare_networks,
    confidence_interval,
    equivalence,
    holm,
    log_of_means,
    welch,
)

BASELINE = "no_reg"
EQUAL_WITHIN = 0.1
_MARGIN = math.log(1 + EQUAL_WITHIN)


def accuracy_table(df: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Summarises test accuracy over networks, in per cent, and its difference from a baseline.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        baseline: Variant that the others are compared with.

    Returns:
        Rows: variants. Columns: ``seeds`` (their number), ``mean``, ``conf_interval`` (half-width
        of the 95 % interval; NaN for a single seed), ``test accuracy``, both as text, and
        ``difference`` from the baseline with ``difference_interval`` (Welch), in points; where
        images were held out, ``validation accuracy`` as text too, after the last epoch.
    """
    networks = per_network(df)
    accuracies = {
        variant: 100 * networks.loc[networks["variant"] == variant, "test_accuracy"].to_numpy()
        for variant in in_order(networks["variant"])
    }
    rows = {}
    for variant, values in accuracies.items():
        mean, half_width = confidence_interval(values)
        rows[variant] = {
            "seeds": len(values),
            "mean": mean,
            "conf_interval": half_width,
            "test accuracy": interval_text(mean, half_width, 3),
        }
        if variant != baseline and baseline in accuracies:
            comparison = welch(values, accuracies[baseline])
            rows[variant]["difference"] = comparison.difference
            rows[variant]["difference_interval"] = comparison.half_width
        validated = 100 * networks.loc[networks["variant"] == variant, "val_accuracy"]
        if validated.notna().all():
            text = interval_text(*confidence_interval(validated), 3)
            rows[variant]["validation accuracy"] = text
    return pd.DataFrame.from_dict(rows, orient="index")


def density_table(df: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Compares boundary density on planes between test images with that of a baseline.

    It is the primary measure of a report, and this the one family of tests that a report makes. The
    unit is the network, see :func:`compare_networks`.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        baseline: Variant that the others are compared with.

    Returns:
        Rows: variants that were measured on such planes. Columns: ``networks``, ``mean`` density
        (1 / input unit), ``conf_interval`` of it over networks, ``ratio`` to the baseline, ``low``
        and ``high`` ends of its 95 % interval, ``p (Holm)``, and ``verdict`` in words. "Equal
        within 10 %" needs a test of its own, corrected by Holm, too, and the interval within the
        10 %: it is wider than what the test looks at. What a single network cannot tell is NaN.
    """
    matrices = {variant: _densities(df, variant) for variant in in_order(df["variant"])}
    matrices = {variant: matrix for variant, matrix in matrices.items() if not matrix.empty}
    rows: dict[str, dict[str, Any]] = {}
    comparisons = {}
    for variant, matrix in matrices.items():
        mean, half_width = confidence_interval(matrix.mean(axis=1))
        rows[variant] = {"networks": len(matrix), "mean": mean, "conf_interval": half_width}
        if variant != baseline and baseline in matrices:
            comparisons[variant] = _ratio(matrix, matrices[baseline])
    differ = holm(comparison.p_value for comparison in comparisons.values())
    equal = holm(equivalence(comparison, _MARGIN) for comparison in comparisons.values())
    for variant, p_differ, p_equal in zip(comparisons, differ, equal, strict=True):
        comparison = comparisons[variant]
        numbers = len(matrices[variant]), len(matrices[baseline])
        difference, half_width = comparison.difference, comparison.half_width
        rows[variant] |= {
            "ratio": math.exp(difference),
            "low": math.exp(difference - half_width),
            "high": math.exp(difference + half_width),
            "p (Holm)": p_differ,
            "verdict": _verdict(comparison, p_differ, p_equal, numbers),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def mean_table(df: pd.DataFrame, kind: str, measure: str) -> pd.DataFrame:
    """Summarises a measure of planes: the mean over planes of each network, over networks.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        kind: Kind of the planes, one without zoom levels.
        measure: Measure of the planes.

    Returns:
        Rows: variants that were measured on such planes. Columns: ``mean``, ``conf_interval``
        (half-width of the 95 % interval over networks; NaN for a single one). Where a value is
        missing, such as the distance to a class that was not found, also ``not_reached``, the share
        of such planes, which the mean leaves out; a variant of which a network has nothing but such
        planes has no mean.
    """
    chosen = df[df["kind"] == kind]
    values = pd.to_numeric(chosen[measure])
    rows = {}
    for variant in in_order(chosen["variant"]):
        is_ours = chosen["variant"] == variant
        ours = values[is_ours]
        means = ours.groupby([chosen["seed"], chosen["fingerprint"]]).mean()
        is_known = means.notna().all()
        mean, half_width = confidence_interval(means) if is_known else (math.nan, math.nan)
        rows[variant] = {"mean": mean, "conf_interval": half_width}
        if values.isna().any():
            rows[variant]["not_reached"] = ours.isna().mean()
    return pd.DataFrame.from_dict(rows, orient="index")


def tv_table(df: pd.DataFrame, measure: str = "tv_isotropic") -> pd.DataFrame:
    """Summarises a measure of the random planes: each network's mean over planes, over networks.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        measure: ``tv_isotropic``, ``tv_anisotropic``, ``boundary_length``, ``boundary_density`` or
            ``boundary_distance``, of which it takes the restricted mean, up to the half-width.

    Returns:
        Rows: variants. Columns: zoom level x (``mean``, ``conf_interval``), the latter the
        half-width of the 95 % interval over networks; NaN for a single one. For the distance also
        ``not_reached``, a share of the planes. NaN where a variant was not measured.
    """
    df = df[df["kind"] == "random"]
    rows: dict[str, dict[tuple[float, str], float]] = {}
    for variant in in_order(df["variant"]):
        rows[variant] = {}
        for zoom in sorted(df["zoom"].unique(), reverse=True):
            chosen = df[(df["variant"] == variant) & (df["zoom"] == zoom)]
            values = chosen[measure]
            if measure == "boundary_distance":
                rows[variant][zoom, "not_reached"] = values.isna().mean()
                values = values.fillna(1 / zoom)  # nothing was looked at beyond
            networks = values.groupby([chosen["seed"], chosen["fingerprint"]])
            means = [group.mean() for _, group in networks]
            mean, half_width = confidence_interval(means) if means else (math.nan, math.nan)
            rows[variant] |= {(zoom, "mean"): mean, (zoom, "conf_interval"): half_width}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns, names=["zoom", ""])
    return table


def agreement_table(maps: Iterable[tuple[str, int, np.ndarray]]) -> pd.DataFrame:
    """Tells how alike the class maps of networks are (Somepalli et al. 2022: reproducibility).

    Args:
        maps: Variant, seed and class maps [planes, height, width] of each network, on the same
            planes.

    Returns:
        Rows and columns: variants. Values: share of points with the same class, mean over pairs of
        networks of different seeds, as those of one seed begin alike; NaN where there is no pair.
    """
    of_variant: dict[str, list[np.ndarray]] = {}
    seeds_of: dict[str, list[int]] = {}
    for variant, seed, map_ in maps:
        of_variant.setdefault(variant, []).append(map_)
        seeds_of.setdefault(variant, []).append(seed)
    variants = in_order(of_variant)
    if not variants:
        return pd.DataFrame()
    shares = agreement(
        [np.stack(of_variant[variant]) for variant in variants],
        [seeds_of[variant] for variant in variants],
    )
    return pd.DataFrame(shares, index=variants, columns=variants)


def interval_text(mean: float, half_width: float, digits: int) -> str:
    """Writes a mean and its interval as the source experiment does: ``45.19 +/- 0.785``.

    Args:
        mean: Mean.
        half_width: Half-width of the interval; NaN where there is none.
        digits: Digits after the point, at most.
    """
    mean, half_width = float(mean), float(half_width)  # numpy rounds what is just below 0.5 up
    number = f"{round(mean, digits):.10g}"
    if np.isnan(half_width):
        return f"{number} (1 seed, no interval)"
    return f"{number} +/- {round(half_width, digits):.10g}"


def ratio_text(row: pd.Series) -> str:
    """Writes a ratio and its interval: ``0.96 [0.93, 0.997]``; an end beside 1 is never told as 1.

    Args:
        row: ``ratio``, and ``low`` and ``high`` ends, NaN where there is no interval.
    """
    if np.isnan(row["low"]):
        return f"{row['ratio']:.2f}"
    ends = []
    for end in (row["low"], row["high"]):
        digits = next(d for d in range(2, 17) if float(f"{end:.{d}f}") != 1 or end == 1)
        ends.append(f"{end:.{digits}f}")
    return f"{row['ratio']:.2f} [{ends[0]}, {ends[1]}]"


def in_order(variants: Iterable[str]) -> list[str]:
    """Lists the variants of the source experiment in its order, others after them."""
    present = set(variants)
    known = [variant for variant in VARIANTS if variant in present]
    return known + sorted(present - set(VARIANTS))


def _densities(df: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Lays the densities of a variant out as [networks, planes]."""
    chosen = df[(df["variant"] == variant) & (df["kind"] == "data")]
    return chosen.pivot(index=["seed", "fingerprint"], columns="plane", values="boundary_density")


def _ratio(matrix: pd.DataFrame, baseline: pd.DataFrame) -> Comparison:
    """Compares on the planes that all networks have: a Ctrl-C may have left some out."""
    both = pd.concat([matrix, baseline]).dropna(axis=1)
    if not (both.mean(axis=1) > 0).all():  # a constant network, which has no ratio to another
        return Comparison(*[math.nan] * 5)
    return compare_networks(
        log_of_means(both.iloc[: len(matrix)]), log_of_means(both.iloc[len(matrix) :])
    )


def _verdict(
    comparison: Comparison, p_differ: float, p_equal: float, numbers: tuple[int, int]
) -> str:
    if math.isnan(comparison.difference):
        return "a network without boundaries has no ratio"
    if math.isnan(p_differ):
        reason = "one network" if min(numbers) == 1 else "one plane, or no spread"
        return f"{reason}: nothing follows about the regularizer"
    if p_differ < 0.05:
        return "denser" if comparison.difference > 0 else "smoother"
    if p_equal < 0.05 and abs(comparison.difference) + comparison.half_width <= _MARGIN:
        return f"equal within {100 * EQUAL_WITHIN:.0f} %"
    return "not decided"
