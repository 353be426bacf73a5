"""Pictures over finished runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regularizer_collection.callbacks.plane_figure import draw_class_map
from regularizer_collection.experiments.collect import network_counts, per_network
from regularizer_collection.experiments.excess_smoothness import (
    excess_table,
    network_points,
    trajectory,
)
from regularizer_collection.experiments.figure_layout import (
    add_legend,
    column_figure,
    distinct,
    draw_rows,
    plain,
    row_figure,
    rows_height,
    title,
)
from regularizer_collection.experiments.tables import accuracy_table, in_order, tv_table
from regularizer_collection.functional.packed_maps import decode_map

Results = list[dict[str, Any]]
_SHOWN_PLANES = 3


def accuracy_figure(df: pd.DataFrame) -> Figure:
    """Draws the mean accuracy of each variant with its interval, and every seed as a dot."""
    table = accuracy_table(df)
    names = _with_numbers(df, table.index)
    figure, (axis,) = row_figure(names)
    _draw_means(axis, names, table, color="#7f9dbd", marker="|", markersize=16, mew=2)
    for row, variant in enumerate(table.index):
        runs = per_network(df[df["variant"] == variant])
        offsets = np.linspace(-0.15, 0.15, len(runs)) if len(runs) > 1 else [0]
        for offset, seed, accuracy in zip(
            offsets, runs["seed"], runs["test_accuracy"], strict=True
        ):
            label = plain(f"{variant}, seed {seed}")
            axis.plot(100 * accuracy, row + offset, "o", color="#1f4e79", markersize=4, label=label)
    axis.set_xlabel("test accuracy (%), 95 % interval over networks")
    return figure


def tv_figure(df: pd.DataFrame, measure: str) -> Figure:
    """Draws a measure of every variant, a panel for each zoom level, the nearest first."""
    table = tv_table(df, measure)
    zooms = table.columns.levels[0][::-1]
    names = _with_numbers(df[df["kind"] == "random"], table.index)
    figure, panels = row_figure(names, len(zooms))
    for axis, zoom in zip(panels, zooms, strict=True):
        _draw_means(axis, names, table[zoom])
        axis.set_xlim(left=0)  # an interval may end below, what is measured cannot lie there
        axis.set_title(f"zoom {zoom:g}", fontsize=10)
        axis.set_xlabel(measure.replace("_", " "))
        axis.tick_params(axis="x", labelsize=8)
    return figure


def learning_curve_figure(results: Results) -> Figure:
    """Draws accuracy over steps: the mean over seeds, and the band from lowest to highest."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for number, variant in enumerate(_variants(results)):
        curves = [
            dict(map(tuple, run["history"].get(tag, [])))
            for run in results
            for tag in ("val/accuracy", "test_curve/accuracy")
            if run["variant"] == variant and tag in run["history"]
        ]
        steps = sorted(set.intersection(*map(set, curves))) if curves else []
        values = 100 * np.array([[curve[step] for step in steps] for curve in curves])
        if steps:
            style = distinct(number)
            label = plain(f"{variant} (n = {len(curves)})")
            axis.plot(steps, values.mean(0), "-", markersize=3, label=label, **style)
            low, high = values.min(0), values.max(0)
            axis.fill_between(steps, low, high, alpha=0.2, color=style["color"])
    axis.set_xlabel("optimizer step")
    axis.set_ylabel("accuracy (%), mean and range of seeds")
    if axis.lines:  # a run that ended before its first evaluation has no curve
        add_legend(figure, axis)
    return figure


def class_map_figure(results: Results) -> Figure:
    """Draws the class maps of every variant's first seed on the same plane, side by side."""
    firsts = _firsts([run for run in results if "random" in run["measurements"]["planes"]])
    zooms = list(dict.fromkeys(zoom for run in firsts for zoom in _random_maps(run)))
    figure, columns = column_figure(len(firsts), len(zooms), 2.3, 2.5)
    for column, run in zip(columns, firsts, strict=True):
        for axis, zoom in zip(column, zooms, strict=True):
            half_width = 1 / float(zoom.removeprefix("zoom_"))
            if zoom not in _random_maps(run):
                axis.set_axis_off()
                continue
            class_map = decode_map(_random_maps(run)[zoom])
            draw_class_map(axis, class_map, run["facts"]["data"]["num_classes"], half_width)
            axis.set_title(title(run), fontsize=8)
            axis.tick_params(labelsize=6)
            axis.set_ylabel(zoom.replace("_", " "), fontsize=8)
    return figure


def data_plane_figure(results: Results) -> Figure:
    """Draws the first planes between test images, a column for each variant's first seed."""
    firsts = _firsts([run for run in results if "data" in run["measurements"]["planes"]])
    rows = min(_SHOWN_PLANES, len(firsts[0]["measurements"]["planes"]["data"]["image_indices"]))
    figure, columns = column_figure(len(firsts), rows, 2.3, 2.5)
    for column, run in zip(columns, firsts, strict=True):
        planes = run["measurements"]["planes"]["data"]
        maps = decode_map(planes["class_maps"])
        for axis, class_map, images in zip(column, maps, planes["image_indices"], strict=False):
            draw_class_map(axis, class_map, run["facts"]["data"]["num_classes"])
            axis.set_title(title(run), fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_ylabel(f"images {', '.join(map(str, images))}", fontsize=6)
    return figure


def excess_smoothness_figure(results: Results, baseline: str) -> Figure:
    """Draws boundary density against accuracy, and beneath what is left at equal accuracy.

    The grey lines are the baseline's own training, a line for each seed: what undertraining gives.
    Where it was not measured on its way there is nothing beneath.
    """
    points = network_points(results, baseline)
    table = excess_table(points, baseline)
    points = points[points["density"] > 0]  # a constant network has no place on the axis
    if table.empty:
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        upper = figure.subplots()
    else:
        table = table.drop(index=baseline, errors="ignore")
        names = [f"{variant} (n = {number})" for variant, number in table["networks"].items()]
        heights = (4.5, 1 + rows_height(names))
        figure = Figure(figsize=(8, sum(heights)), layout="constrained")
        upper, lower = figure.subplots(2, 1, height_ratios=heights)
        _draw_excess(lower, names, table, baseline)
    for seed, epochs in trajectory(results, baseline).groupby("seed"):
        label = plain(f"{baseline}, its epochs (seed {seed})")
        upper.plot(epochs["accuracy"], epochs["density"], "-", color="0.7", label=label)
    for number, variant in enumerate(in_order(points["variant"])):
        ours = points[points["variant"] == variant]
        label = plain(f"{variant} (n = {len(ours)})")
        style = {"linestyle": "none", "label": label} | distinct(number)
        upper.plot(ours["accuracy"], ours["density"], **style)
    upper.set_yscale("log")
    upper.yaxis.set_major_formatter("{x:.3g}")
    upper.yaxis.set_minor_formatter("{x:.3g}")
    upper.set_xlabel("test accuracy (%), a dot for each network")
    upper.set_ylabel("boundary density on planes\nbetween test images (1 / input unit)")
    add_legend(figure, upper)
    return figure


def _draw_excess(axis: Axes, names: Sequence[str], table: pd.DataFrame, baseline: str) -> None:
    draw_rows(axis, names, table["ratio"], table["low"], table["high"])
    axis.axvline(1, color="0.7", lw=1)
    interval = "simultaneous 95 % interval" if table["low"].notna().any() else "no interval"
    axis.set_xlabel(f"density at equal accuracy / {plain(baseline)}'s final networks\n({interval})")


def spectrum_figure(results: Results) -> Figure:
    """Draws the singular values of every layer, from the lowest to the highest quantile."""
    firsts = _firsts([run for run in results if "spectra" in run["measurements"]])
    figure, columns = column_figure(len(firsts), 1, 2.6, 3.4, sharey=True)
    for (axis,), run in zip(columns, firsts, strict=True):
        layers = run["measurements"]["spectra"]["quantiles"]
        for number, quantiles in enumerate(layers.values()):
            shade = 0.15 + 0.75 * number / max(len(layers) - 1, 1)
            values = np.clip(quantiles, 1e-3, None)
            axis.plot(np.linspace(0, 1, len(values)), values, color=(0.1, shade * 0.7, shade))
        axis.set_yscale("log")
        axis.set_title(title(run), fontsize=8)
        axis.set_xlabel("quantile", fontsize=8)
    columns[0][0].set_ylabel("singular values, a line for each layer (dark: first)", fontsize=8)
    return figure


def _draw_means(axis: Axes, names: Sequence[str], table: pd.DataFrame, **marks: Any) -> None:
    mean, half_width = table["mean"], table["conf_interval"]
    draw_rows(axis, names, mean, mean - half_width, mean + half_width, **marks)


def _random_maps(run: dict[str, Any]) -> dict[str, Any]:
    return run["measurements"]["planes"]["random"]["class_maps"]


def _with_numbers(df: pd.DataFrame, variants: pd.Index) -> list[str]:
    """Writes how many networks stand behind each name."""
    counts = network_counts(df)
    return [f"{variant} (n = {counts.get(variant, 0)})" for variant in variants]


def _firsts(results: Results) -> Results:
    """Returns the run of the lowest seed of each variant."""
    return [
        min((run for run in results if run["variant"] == variant), key=lambda run: run["seed"])
        for variant in _variants(results)
    ]


def _variants(results: Results) -> list[str]:
    return in_order(run["variant"] for run in results)
