"""Do boundary measures mean anything? Which go along with accuracy and robustness."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from regularizer_collection.experiments.robustness_tables import CALIBRATION, ROBUSTNESS, measured
from regularizer_collection.functional.statistics import KendallTau

Run = dict[str, Any]
_DRAWS = 500
_MOST_WITHOUT_TAU = 0.05
"""Resamples that have no tau; with more of them, the others tell no interval."""
_NETWORKS_NEEDED = 3


def _planes(kind: str, measure: str, zoom: str | None = None) -> Callable[[Run], float]:
    def read(run: Run) -> float:
        planes = run["measurements"]["planes"].get(kind, {})
        values = planes.get("zoom_levels", {}).get(zoom, {}) if zoom else planes.get("values", {})
        return float(np.mean(values[measure])) if measure in values else math.nan

    return read


MEASURES: dict[str, Callable[[Run], float]] = {
    "boundary density, data planes": _planes("data", "boundary_density"),
    "fragments, data planes": _planes("data", "num_fragments"),
    "class changes, segments": _planes("segments", "class_changes"),
    "boundary density, random planes": _planes("random", "boundary_density", "zoom_0.025"),
    "isotropic TV, random planes (should fail)": _planes("random", "tv_isotropic", "zoom_0.025"),
    "flatness": ROBUSTNESS["flatness"],
}
OUTCOMES: dict[str, Callable[[Run], float]] = {
    "accuracy": lambda run: run["test"]["accuracy"],
    "distance": ROBUSTNESS["distance of right images (pixels, Euclidean)"],
    "PGD 1/255": ROBUSTNESS["PGD 1/255 (%)"],
    "noise 0.1": ROBUSTNESS["noise 0.1 (%)"],
    "corruptions": ROBUSTNESS["corruptions (%)"],
    "log-likelihood": lambda run: -CALIBRATION["negative log-likelihood (nats)"](run),
}


def correlation_tables(results: Sequence[Run], seed: int = 0) -> dict[str, pd.DataFrame]:
    """Correlates boundary measures with what they might stand for (Kendall's tau-b).

    Args:
        results: Loaded results.
        seed: Seed of the resampling.

    Returns:
        By kind: "within variants" (the mean over variants), "between variants" (of their means),
        "given accuracy" (partial, over all networks). Rows: measures. Columns: outcomes, as text
        "tau [low, high]" with the 95 % interval from resampling variants, then networks; of both
        those that are known of all :func:`correlated` networks. Empty if these are of fewer than
        two variants.
    """
    groups: dict[str, list[list[float]]] = {}
    for run in correlated(results):
        groups.setdefault(run["variant"], []).append(
            [of(run) for of in (MEASURES | OUTCOMES).values()]
        )
    if len(groups) < 2:
        return {}
    values = [np.array(networks) for networks in groups.values()]
    is_known = np.isfinite(np.concatenate(values)).all(0)
    values = [networks[:, is_known] for networks in values]
    known = [name for name, is_its in zip(MEASURES | OUTCOMES, is_known, strict=True) if is_its]
    accuracy = known.index("accuracy")
    taus_of = _Taus(values, accuracy)
    found = taus_of([(n, np.ones(len(group), int)) for n, group in enumerate(values)])
    generator = np.random.default_rng(seed)
    draws = [taus_of(_resample(values, generator)) for _ in range(_DRAWS)]
    tables = {}
    for number, (kind, taus) in enumerate(zip(_KINDS, found, strict=True)):
        low, high = _interval(np.array([draw[number] for draw in draws]))
        texts = [
            [_text(tau, *ends) for tau, *ends in zip(*row, strict=True)]
            for row in zip(taus, low, high, strict=True)
        ]
        table = pd.DataFrame(texts, index=known, columns=known).iloc[:accuracy, accuracy:]
        tables[kind] = table.drop(columns="accuracy") if kind == "given accuracy" else table
    return tables


def correlated(results: Sequence[Run]) -> list[Run]:
    """Returns the networks whose measures are correlated: three or more of a variant, all measured.

    Args:
        results: Loaded results.
    """
    runs = measured(measured(results, "robustness"), "calibration")
    numbers = Counter(run["variant"] for run in runs)
    return [run for run in runs if numbers[run["variant"]] >= _NETWORKS_NEEDED]


_KINDS = ("within variants", "between variants", "given accuracy")
_Drawn = tuple[int, np.ndarray]
"""Number of a variant, and how often each of its networks counts."""


class _Taus:
    """Matrices of tau within groups, between their means, and given accuracy, of resamples.

    Args:
        groups: Measures and outcomes [networks, columns] of each variant.
        accuracy: Column of the accuracy.
    """

    def __init__(self, groups: Sequence[np.ndarray], accuracy: int) -> None:
        self._groups = groups
        self._accuracy = accuracy
        self._within = [KendallTau(group) for group in groups]
        self._overall = KendallTau(np.concatenate(groups))
        self._starts = np.cumsum([0, *map(len, groups)])

    def __call__(self, resample: Sequence[_Drawn]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        of_groups = np.array([self._within[number].matrix(counts) for number, counts in resample])
        with np.errstate(invalid="ignore"):  # one network drawn again and again has no tau
            within = np.nansum(of_groups, axis=0) / np.isfinite(of_groups).sum(0)
        means = [np.average(self._groups[n], axis=0, weights=counts) for n, counts in resample]
        between = KendallTau(means).matrix()
        counts = np.zeros(self._starts[-1], int)
        for number, of_group in resample:
            counts[self._starts[number] : self._starts[number + 1]] += of_group
        overall = self._overall.matrix(counts)
        given = overall[:, [self._accuracy]]
        rest = (1 - given**2) * (1 - given.T**2)
        # What is in the very order of the accuracy has nothing left once that is given.
        rest = np.sqrt(np.where(rest > 1e-9, rest, np.nan))
        return within, between, (overall - given * given.T) / rest


def _interval(draws: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a measure that never differs has no tau
        ends = np.nanquantile(draws, (0.025, 0.975), axis=0)
    return np.where(np.isnan(draws).mean(0) <= _MOST_WITHOUT_TAU, ends, np.nan)


def _text(tau: float, low: float, high: float) -> str:
    if np.isnan(tau):
        return "not known"
    return f"{tau:.2f}" if np.isnan(low) else f"{tau:.2f} [{low:.2f}, {high:.2f}]"


def _resample(groups: Sequence[np.ndarray], generator: np.random.Generator) -> list[_Drawn]:
    drawn = []
    for number in generator.integers(len(groups), size=len(groups)):
        size = len(groups[number])
        chosen = generator.integers(size, size=size)
        drawn.append((int(number), np.bincount(chosen, minlength=size)))
    return drawn
