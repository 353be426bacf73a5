"""Tables over finished runs."""

from typing import Literal

import numpy as np
import pandas as pd

from regularizer_collection.experiments.study import VARIANTS
from regularizer_collection.functional.statistics import (
    confidence_interval,
    holm,
    paired_difference,
)

BASELINE = "no_reg"


def accuracy_table(df: pd.DataFrame) -> pd.DataFrame:
    """Summarises test accuracy over seeds, in per cent.

    Args:
        df: Rows of :func:`experiments.collect_results`.

    Returns:
        Rows: variants. Columns: ``seeds`` (their number), ``mean``, ``conf_interval`` (half-width
        of the 95 % interval; NaN for a single seed) and ``test accuracy``, both as text.
    """
    per_run = df.drop_duplicates(["variant", "seed"])
    rows = {}
    for variant in _in_order(per_run["variant"]):
        values = 100 * per_run.loc[per_run["variant"] == variant, "test_accuracy"]
        mean, half_width = confidence_interval(values)
        rows[variant] = {
            "seeds": len(values),
            "mean": mean,
            "conf_interval": half_width,
            "test accuracy": interval_text(mean, half_width, 3, "1 seed"),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def tv_table(df: pd.DataFrame, measure: str = "tv_isotropic") -> pd.DataFrame:
    """Summarises a measure of the planes, the mean over seeds of each plane, over planes.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        measure: ``tv_isotropic``, ``tv_anisotropic``, ``boundary_length`` or ``boundary_distance``.

    Returns:
        Rows: variants. Columns: zoom level x (``mean``, ``conf_interval``), the latter the
        half-width of the 95 % interval over planes; NaN for a single plane.
    """
    zooms = sorted(df["zoom"].unique(), reverse=True)
    rows = {
        variant: {
            (zoom, name): value
            for zoom in zooms
            for name, value in zip(
                ("mean", "conf_interval"),
                confidence_interval(_by_unit(df, variant, zoom, measure, "plane")),
                strict=True,
            )
        }
        for variant in _in_order(df["variant"])
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns, names=["zoom", ""])
    return table


def difference_table(
    df: pd.DataFrame, measure: str, unit: Literal["plane", "seed"] = "plane"
) -> pd.DataFrame:
    """Compares a measure with that of ``no_reg``, in pairs of the same planes and seeds.

    Pairs of planes tell whether these trained networks differ; pairs of seeds whether networks
    trained again would.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        measure: A measure of the planes, or ``test_accuracy`` (in per cent, pairs of seeds only).
        unit: What the pairs are: planes, each the mean over common seeds, or the reverse.

    Returns:
        Rows: variant and, for planes, zoom level. Columns: ``pairs``, ``difference``,
        ``conf_interval`` (95 %), ``effect size`` (Cohen's d_z) and ``p (Holm)``, corrected over the
        rows of the table. What a single pair cannot tell is NaN.
    """
    if measure == "test_accuracy":
        df = df.drop_duplicates(["variant", "seed"]).assign(zoom=np.nan)
        df = df.assign(test_accuracy=100 * df["test_accuracy"])
    zooms = [None] if measure == "test_accuracy" else sorted(df["zoom"].unique(), reverse=True)
    rows, keys = [], []
    for variant in _in_order(df["variant"]):
        if variant == BASELINE:
            continue
        common = set.intersection(
            *(set(df.loc[df["variant"] == name, "seed"]) for name in (variant, BASELINE))
        )
        shared = df[df["seed"].isin(common)]
        for zoom in zooms if common else []:
            ours, baseline = (
                _by_unit(shared, name, zoom, measure, unit) for name in (variant, BASELINE)
            )
            ours, baseline = ours.align(baseline, join="inner")
            if ours.empty:
                continue
            difference = paired_difference(ours, baseline)
            keys.append((variant,) if zoom is None else (variant, zoom))
            rows.append((len(ours), *difference))
    table = pd.DataFrame(
        rows, columns=["pairs", "difference", "conf_interval", "effect size", "p (Holm)"]
    )
    table["p (Holm)"] = holm(table["p (Holm)"])
    table.index = (
        pd.Index([key[0] for key in keys], name="variant")
        if zooms == [None]
        else pd.MultiIndex.from_tuples(keys or [("", 0.0)][:0], names=["variant", "zoom"])
    )
    return table


def interval_text(mean: float, half_width: float, digits: int, alone: str) -> str:
    """Writes a mean and its interval as the source experiment does: ``45.19 +/- 0.785``.

    Args:
        mean: Mean.
        half_width: Half-width of the interval; NaN where there is none.
        digits: Digits after the point, at most.
        alone: What a mean without an interval comes from, such as "1 seed".
    """
    number = f"{round(mean, digits):.10g}"
    if np.isnan(half_width):
        return f"{number} ({alone}, no interval)"
    return f"{number} +/- {round(half_width, digits):.10g}"


def _by_unit(
    df: pd.DataFrame, variant: str, zoom: float | None, measure: str, unit: str
) -> pd.Series:
    chosen = df[df["variant"] == variant]
    if zoom is not None:
        chosen = chosen[chosen["zoom"] == zoom]
    return chosen.groupby(unit)[measure].mean()


def _in_order(variants: pd.Series) -> list[str]:
    """Lists the variants as the study does, others after them."""
    present = set(variants)
    known = [variant for variant in VARIANTS if variant in present]
    return known + sorted(present - set(VARIANTS))
