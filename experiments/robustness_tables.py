"""Tables of robustness and calibration; every interval is over networks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from regularizer_collection.experiments.tables import BASELINE, in_order
from regularizer_collection.functional.statistics import compare_networks, confidence_interval

Run = dict[str, Any]


def _accuracy(*keys: str) -> Callable[[Run], float]:
    def read(run: Run) -> float:
        value = run["measurements"]["robustness"]["accuracy"]
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        return 100 * value if isinstance(value, int | float) else math.nan

    return read


def _robustness(key: str) -> Callable[[Run], float]:
    return lambda run: _known(run["measurements"]["robustness"][key])


def _calibration(key: str) -> Callable[[Run], float]:
    return lambda run: _known(run["measurements"]["calibration"][key])


def _told_apart(run: Run) -> float:
    foreign = run["measurements"]["calibration"]["foreign_images"]
    areas = [scores["logsumexp"]["auroc"] for scores in foreign.values()]
    return float(np.mean(areas)) if areas else math.nan


ROBUSTNESS: dict[str, Callable[[Run], float]] = {
    "clean (%)": _accuracy("clean"),
    "noise 0.1 (%)": _accuracy("noise", "0.1"),
    "FGSM 1/255 (%)": _accuracy("fgsm", "1_255"),
    "PGD 1/255 (%)": _accuracy("pgd", "1_255"),
    "corruptions (%)": _accuracy("corruptions"),
    "distance of right images (pixels, Euclidean)": _robustness("median_distance_if_right"),
    "flatness": _robustness("flatness"),
}
"""What is read of each run's robustness, by the title of its column."""

CALIBRATION: dict[str, Callable[[Run], float]] = {
    "negative log-likelihood (nats)": _calibration("nll"),
    "Brier score": _calibration("brier"),
    "calibration error": _calibration("calibration_error"),
    "the same of calibrated networks, by chance": _calibration("calibration_error_if_calibrated"),
    "foreign images told apart (AUROC)": _told_apart,
}
"""What is read of each run's calibration, by the title of its column."""


def measured(results: Sequence[Run], section: str) -> list[Run]:
    """Returns the runs of which a section was measured."""
    return [run for run in results if run["measurements"].get(section)]


def means_table(
    results: Sequence[Run], measures: dict[str, Callable[[Run], float]]
) -> pd.DataFrame:
    """Summarises measures of networks.

    Args:
        results: Loaded results, of which all measures are known.
        measures: What is read of a run, by title.

    Returns:
        Rows: variants. Columns: title x (``mean``, ``conf_interval``), the latter the half-width of
        the 95 % interval over networks; NaN for a single network.
    """
    rows: dict[str, dict[tuple[str, str], float]] = {}
    for variant in in_order(run["variant"] for run in results):
        networks = [run for run in results if run["variant"] == variant]
        rows[variant] = {}
        for title, read in measures.items():
            values = [read(run) for run in networks]
            is_known = all(map(math.isfinite, values))  # else it would be of fewer networks
            mean, half_width = confidence_interval(values) if is_known else (math.nan, math.nan)
            rows[variant] |= {(title, "mean"): mean, (title, "conf_interval"): half_width}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    return table


def distance_table(results: Sequence[Run], baseline: str = BASELINE) -> pd.DataFrame:
    """Compares the distance to the nearest other class with that of a baseline.

    On the images that all networks of both classify rightly, since a more accurate network is right
    about images that lie nearer to a boundary, and that the search moved to another class in all of
    them. Networks and images are random, see :func:`compare_networks`; the difference of logarithms
    is a ratio of geometric means.

    Args:
        results: Loaded results whose robustness is known.
        baseline: Variant that the others are compared with.

    Returns:
        Rows: variants but the baseline. Columns: ``networks``, ``images``, ``right, not moved``
        (images that were left out because the search failed in one or more networks), ``ratio`` to
        the baseline, ``low`` and ``high`` ends of its 95 % interval; NaN where a variant has one
        network. A variant that shares no image with the baseline has no row.
    """
    logs = {
        variant: pd.DataFrame([_log_distances(r) for r in results if r["variant"] == variant])
        for variant in in_order(run["variant"] for run in results)
    }
    rows = {}
    for variant, ours in logs.items():
        if variant == baseline or baseline not in logs:
            continue
        right = pd.concat([ours, logs[baseline]]).dropna(axis=1)
        both = right.loc[:, np.isfinite(right).all()]
        if both.shape[1]:
            compared = compare_networks(both.iloc[: len(ours)], both.iloc[len(ours) :])
            rows[variant] = {
                "networks": len(ours),
                "images": both.shape[1],
                "right, not moved": right.shape[1] - both.shape[1],
                "ratio": math.exp(compared.difference),
                "low": math.exp(compared.difference - compared.half_width),
                "high": math.exp(compared.difference + compared.half_width),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def _log_distances(run: Run) -> dict[int, float]:
    """Returns the logarithm of each image's distance; NaN if it is wrong, infinite if not moved."""
    record = run["measurements"]["robustness"]
    lengths = (math.inf if d is None else d or math.nan for d in record["values"]["distance"])
    return dict(zip(record["image_indices"], map(math.log, lengths), strict=True))


def _known(value: float | None) -> float:
    return math.nan if value is None else value
