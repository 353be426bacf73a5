"""Is a network smoother than one of the baseline, mostly unregularized, of the same accuracy?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from regularizer_collection.experiments.tables import BASELINE, in_order
from regularizer_collection.functional.statistics import confidence_interval, dunnett

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
    accuracy: the mean over its seeds of a line through each seed's epochs.

    Args:
        results: Loaded results.
        baseline: Variant that the others are compared with.

    Returns:
        Columns ``variant``, ``seed``, ``accuracy`` (%), ``density`` and ``excess``; NaN where
        the baseline never was as accurate, or was not measured on its way.
    """
    band = trajectory(results, baseline)
    rows = []
    for run in results:
        planes = run["measurements"]["planes"].get("data")
        if planes is not None:
            density = float(np.mean(planes["values"]["boundary_density"]))
            accuracy = 100 * run["test"]["accuracy"]
            excess = np.log(density) - _at(band, accuracy) if density > 0 else np.nan
            rows.append((run["variant"], run["seed"], accuracy, density, excess))
    return pd.DataFrame(rows, columns=["variant", "seed", "accuracy", "density", "excess"])


def excess_table(points: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Sums the excess up over the networks of each variant.

    Args:
        points: Result of :func:`network_points`.
        baseline: Variant that the others are compared with.

    Returns:
        Rows: variants. Columns: ``networks`` whose excess is known, ``ratio`` = exp(mean excess),
        ``low`` and ``high``: simultaneous 95 % interval against the baseline's networks (Dunnett)
        where all groups have two or more, else NaN.
    """
    groups = {
        variant: group
        for variant in in_order(points["variant"])
        if len(group := points.loc[points["variant"] == variant, "excess"].dropna())
    }
    rows = {
        variant: {
            "networks": len(group),
            "ratio": np.exp(confidence_interval(group)[0]),
            "low": np.nan,
            "high": np.nan,
        }
        for variant, group in groups.items()
    }
    others = [variant for variant in groups if variant != baseline]
    if others and min(map(len, groups.values())) > 1 and baseline in groups:
        compared = dunnett([groups[variant] for variant in others], groups[baseline])
        for variant, (difference, low, high) in zip(others, compared, strict=True):
            rows[variant] |= dict(
                zip(("ratio", "low", "high"), np.exp((difference, low, high)), strict=True)
            )
    return pd.DataFrame.from_dict(rows, orient="index")


def _at(band: pd.DataFrame, accuracy: float) -> float:
    """Returns the mean log density of the band's seeds at an accuracy; NaN beyond all of them."""
    logs = []
    for _, seed in band.groupby("seed"):
        ordered = seed[seed["density"] > 0].sort_values("accuracy")
        if len(ordered) and ordered["accuracy"].min() <= accuracy <= ordered["accuracy"].max():
            logs.append(np.interp(accuracy, ordered["accuracy"], np.log(ordered["density"])))
    return float(np.mean(logs)) if logs else np.nan
