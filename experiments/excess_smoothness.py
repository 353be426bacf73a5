"""Is a network smoother than one of the baseline, mostly unregularized, of the same accuracy?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from regularizer_collection.experiments.tables import BASELINE, in_order
from regularizer_collection.functional.statistics import dunnett

DENSITY = "test_curve/boundary_density/data"
ACCURACY = "test_curve/accuracy"


def trajectory(results: Sequence[dict[str, Any]], baseline: str = BASELINE) -> pd.DataFrame:
    """Returns what the baseline went through in training: what undertraining alone gives.

    Args:
        results: Loaded results.
        baseline: Variant that the others are compared with.

    Returns:
        Columns ``seed``, ``accuracy`` (%), ``density`` (1 / input unit), a row for each epoch that
        was measured (``evaluation.every_n_epochs``); none where it never was.
    """
    rows = []
    for run in results:
        history = run["history"]
        if run["variant"] == baseline and DENSITY in history:
            accuracy = dict(map(tuple, history.get(ACCURACY, [])))
            rows += [
                (run["seed"], 100 * accuracy[step], density)
                for step, density in history[DENSITY]
                if step in accuracy
            ]
    return pd.DataFrame(rows, columns=["seed", "accuracy", "density"])


def network_points(results: Sequence[dict[str, Any]], baseline: str = BASELINE) -> pd.DataFrame:
    """Returns accuracy, density and excess of every network that was measured between images.

    The excess is S = log density - the log density that the baseline had, on its way, at the same
    accuracy: the mean over its seeds, and over the times at which a line through a seed's epochs
    passes that accuracy.

    Args:
        results: Loaded results.
        baseline: Variant that the others are compared with.

    Returns:
        Columns ``variant``, ``seed``, ``accuracy`` (%), ``density``, ``excess`` (NaN where the
        baseline never was as accurate, or was not measured on its way) and ``is_in_band``: whether
        it is a network of the baseline that was.
    """
    band = trajectory(results, baseline)
    rows = []
    for run in results:
        planes = run["measurements"]["planes"].get("data")
        if planes is not None:
            density = float(np.mean(planes["values"]["boundary_density"]))
            accuracy = 100 * run["test"]["accuracy"]
            excess = np.log(density) - _at(band, accuracy) if density > 0 else np.nan
            is_in_band = run["variant"] == baseline and bool(run["history"].get(DENSITY))
            rows.append((run["variant"], run["seed"], accuracy, density, excess, is_in_band))
    columns = ["variant", "seed", "accuracy", "density", "excess", "is_in_band"]
    return pd.DataFrame(rows, columns=columns)


def excess_table(points: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Compares the excess of each variant's networks with that of the baseline's.

    Args:
        points: Result of :func:`network_points`.
        baseline: Variant that the others are compared with.

    Returns:
        Rows: variants. Columns: ``networks`` whose excess is known, ``to its epochs`` = exp(mean
        excess), ``ratio`` = exp(mean excess - that of the baseline's networks), which takes out by
        how much these lie off their own epochs, NaN where it is not known; ``low`` and ``high``
        ends of its simultaneous 95 % interval (Dunnett) where all groups have two or more, else
        NaN. Empty where no variant but the baseline has a known excess. There is no interval either
        unless all networks of the baseline were measured on their way: what a band of fewer errs by
        is common to all networks of a variant, whose spread does not show it.
    """
    is_whole_band = points.loc[points["variant"] == baseline, "is_in_band"].all()
    groups = {
        variant: group
        for variant in in_order(points["variant"])
        if len(group := points.loc[points["variant"] == variant, "excess"].dropna())
    }
    others = [variant for variant in groups if variant != baseline]
    if not others:
        return pd.DataFrame()
    level = groups[baseline].mean() if baseline in groups else np.nan
    rows = {
        variant: {
            "networks": len(group),
            "to its epochs": np.exp(group.mean()),
            "ratio": np.exp(group.mean() - level),
            "low": np.nan,
            "high": np.nan,
        }
        for variant, group in groups.items()
    }
    if is_whole_band and baseline in groups and min(map(len, groups.values())) > 1:
        compared = dunnett([groups[variant] for variant in others], groups[baseline])
        for variant, (_, low, high) in zip(others, compared, strict=True):
            rows[variant] |= {"low": np.exp(low), "high": np.exp(high)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _at(band: pd.DataFrame, accuracy: float) -> float:
    """Returns the mean log density of the band's seeds at an accuracy; NaN beyond all of them."""
    logs = []
    for _, epochs in band[band["density"] > 0].groupby("seed"):
        accuracies, densities = epochs["accuracy"].to_numpy(), np.log(epochs["density"].to_numpy())
        gained = np.diff(accuracies)
        ahead = accuracy - accuracies
        passes = ahead[:-1] * ahead[1:] <= 0
        share = np.divide(ahead[:-1], gained, out=np.full_like(gained, 0.5), where=gained != 0)
        if passes.any():
            logs.append((densities[:-1] + share * np.diff(densities))[passes].mean())
    return float(np.mean(logs)) if logs else np.nan
