"""Pictures of robustness over finished runs."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regularizer_collection.experiments.figure_layout import add_legend, distinct, plain
from regularizer_collection.experiments.tables import in_order
from regularizer_collection.functional.statistics import confidence_interval

Results = list[dict[str, Any]]


def robustness_figure(results: Results) -> Figure:
    """Draws accuracy under noise and attack, and how far right images are from another class.

    A line is the mean over networks, a band its 95 % interval; one network has no band.

    Args:
        results: Loaded results whose robustness is known.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    noise, attack, distance = figure.subplots(1, 3)
    for number, variant in enumerate(in_order(run["variant"] for run in results)):
        records = [r["measurements"]["robustness"] for r in results if r["variant"] == variant]
        style = {"label": plain(f"{variant} (n = {len(records)})")} | distinct(number)
        sigmas = [0.0, *map(float, records[0]["accuracy"]["noise"])]
        by_noise = [[r["accuracy"]["clean"], *r["accuracy"]["noise"].values()] for r in records]
        _draw(noise, sigmas, 100 * np.array(by_noise), style)
        by_steps = 100 * np.array([r["accuracy"]["pgd_by_steps"] for r in records])
        _draw(attack, range(by_steps.shape[1]), by_steps, style)
        furthest = np.linspace(0, 1.5, 61)
        lengths = [_lengths(record) for record in records]
        shares = np.array([[(own > t).mean() for t in furthest] for own in lengths])
        _draw(distance, furthest, 100 * shares, style)
    noise.set(xlabel="standard deviation of the noise\n(pixels from 0 to 1)")
    noise.set_ylabel("accuracy (%)")
    attack.set(xlabel="steps of PGD, of 1/255 each", xlim=(0, 15), ylabel="accuracy (%)")
    distance.set(xlabel="Euclidean change allowed\n(pixels from 0 to 1)")
    distance.set_ylabel("images that need more (%, upper bound)")
    add_legend(figure, noise)
    return figure


def _lengths(record: dict[str, Any]) -> np.ndarray:
    return np.array([np.inf if d is None else d for d in record["values"]["distance"]])


def _draw(axis: Axes, x: Any, curves: np.ndarray, style: dict[str, Any]) -> None:
    x = list(x)
    axis.plot(x, curves.mean(0), "-", markersize=2, **style)
    if len(curves) > 1:
        half_widths = np.array([confidence_interval(values)[1] for values in curves.T])
        low, high = np.clip([curves.mean(0) - half_widths, curves.mean(0) + half_widths], 0, 100)
        axis.fill_between(x, low, high, alpha=0.2, color=style["color"])
