"""Pictures over finished runs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from regularizer_collection.callbacks.plane_figure import class_colors
from regularizer_collection.experiments.excess_smoothness import (
    excess_table,
    network_points,
    trajectory,
)
from regularizer_collection.experiments.tables import accuracy_table, in_order, tv_table
from regularizer_collection.functional.packed_maps import decode_map

Results = list[dict[str, Any]]
_SHOWN_PLANES = 3


def accuracy_figure(df: pd.DataFrame) -> Figure:
    """Draws the mean accuracy of each variant with its interval, and every seed as a dot."""
    table = accuracy_table(df)
    figure, axis = _figure(7, 4)
    whiskers = {"fmt": "none", "capsize": 4, "ecolor": "#7f9dbd"}
    axis.errorbar(range(len(table)), table["mean"], yerr=table["conf_interval"], **whiskers)
    for position, (variant, mean) in enumerate(table["mean"].items()):
        label = f"{variant}, mean"
        axis.plot(position, mean, "_", color="#7f9dbd", markersize=30, mew=2, label=label)
        runs = df[df["variant"] == variant].drop_duplicates("seed")
        offsets = np.linspace(-0.15, 0.15, len(runs)) if len(runs) > 1 else [0]
        for offset, seed, accuracy in zip(
            offsets, runs["seed"], runs["test_accuracy"], strict=True
        ):
            label = f"{variant}, seed {seed}"
            axis.plot(
                position + offset, 100 * accuracy, "o", color="#1f4e79", markersize=4, label=label
            )
    axis.set_xlim(-0.5, len(table) - 0.5)
    axis.set_ylabel("test accuracy (%), 95 % interval over networks")
    axis.set_xticks(range(len(table)), _with_numbers(df, table.index))
    return figure


def tv_figure(df: pd.DataFrame, measure: str) -> Figure:
    """Draws a measure of every variant at each zoom level, with the interval over networks."""
    table = tv_table(df, measure)
    zooms = table.columns.levels[0][::-1]
    figure, axis = _figure(7, 4)
    width = 0.8 / len(table)
    for number, (variant, label) in enumerate(
        zip(table.index, _with_numbers(df, table.index), strict=True)
    ):
        axis.bar(
            np.arange(len(zooms)) + (number - (len(table) - 1) / 2) * width,
            [table.loc[variant, (zoom, "mean")] for zoom in zooms],
            width,
            yerr=[table.loc[variant, (zoom, "conf_interval")] for zoom in zooms],
            capsize=2,
            label=label,
        )
    axis.set_ylim(bottom=0)  # an interval may end below, what is measured cannot lie there
    axis.set_xticks(range(len(zooms)), [f"zoom {zoom:g}" for zoom in zooms])
    axis.set_ylabel(f"{measure.replace('_', ' ')}, 95 % interval over networks")
    axis.legend(fontsize=8)
    return figure


def learning_curve_figure(results: Results) -> Figure:
    """Draws accuracy over steps: the mean over seeds, and the band from lowest to highest."""
    figure, axis = _figure(7, 4)
    for variant in _variants(results):
        curves = [
            dict(map(tuple, run["history"].get(tag, [])))
            for run in results
            for tag in ("val/accuracy", "test_curve/accuracy")
            if run["variant"] == variant and tag in run["history"]
        ]
        steps = sorted(set.intersection(*map(set, curves))) if curves else []
        values = 100 * np.array([[curve[step] for step in steps] for curve in curves])
        if steps:
            (line,) = axis.plot(steps, values.mean(0), ".-", label=f"{variant} ({len(curves)})")
            axis.fill_between(
                steps, values.min(0), values.max(0), alpha=0.2, color=line.get_color()
            )
    axis.set_xlabel("optimizer step")
    axis.set_ylabel("accuracy (%), mean and range of seeds")
    if axis.lines:  # a run that ended before its first evaluation has no curve
        axis.legend(fontsize=8)
    return figure


def class_map_figure(results: Results) -> Figure:
    """Draws the class maps of every variant's first seed on the same plane, side by side."""
    firsts = _firsts([run for run in results if "random" in run["measurements"]["planes"]])
    zooms = list(dict.fromkeys(zoom for run in firsts for zoom in _random_maps(run)))
    figure = Figure(figsize=(2.3 * len(firsts), 2.5 * len(zooms)), layout="constrained")
    axes = figure.subplots(len(zooms), len(firsts), squeeze=False)
    for row, zoom in zip(axes, zooms, strict=True):
        half_width = 1 / float(zoom.removeprefix("zoom_"))
        for axis, run in zip(row, firsts, strict=True):
            if zoom not in _random_maps(run):
                axis.set_axis_off()
                continue
            axis.imshow(
                decode_map(_random_maps(run)[zoom]),
                cmap=class_colors(run["facts"]["data"]["num_classes"]),
                vmin=-1.5,
                vmax=run["facts"]["data"]["num_classes"] - 0.5,
                interpolation="nearest",
                origin="lower",
                extent=(-half_width, half_width, -half_width, half_width),
            )
            axis.set_title(f"{run['variant']} (seed {run['seed']})", fontsize=8)
            axis.tick_params(labelsize=6)
        row[0].set_ylabel(zoom.replace("_", " "), fontsize=8)
    return figure


def data_plane_figure(results: Results) -> Figure:
    """Draws the first planes between test images, a column for each variant's first seed."""
    firsts = _firsts([run for run in results if "data" in run["measurements"]["planes"]])
    rows = min(_SHOWN_PLANES, len(firsts[0]["measurements"]["planes"]["data"]["image_indices"]))
    figure = Figure(figsize=(2.3 * len(firsts), 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, len(firsts), squeeze=False)
    for column, run in zip(axes.T, firsts, strict=True):
        planes = run["measurements"]["planes"]["data"]
        maps = decode_map(planes["class_maps"])
        for axis, class_map, images in zip(column, maps, planes["image_indices"], strict=False):
            axis.imshow(
                class_map,
                cmap=class_colors(run["facts"]["data"]["num_classes"]),
                vmin=-1.5,
                vmax=run["facts"]["data"]["num_classes"] - 0.5,
                interpolation="nearest",
                origin="lower",
            )
            axis.set_title(f"{run['variant']} (seed {run['seed']})", fontsize=8)
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
    figure = Figure(figsize=(7, 4.5 if table.empty else 6.5), layout="constrained")
    if table.empty:
        upper = figure.subplots()
    else:
        upper, lower = figure.subplots(2, 1, height_ratios=(2.2, 1))
        _draw_forest(lower, table, baseline)
    for seed, epochs in trajectory(results, baseline).groupby("seed"):
        label = f"{baseline}, its epochs (seed {seed})"
        upper.plot(epochs["accuracy"], epochs["density"], "-", color="0.7", label=label)
    for variant in in_order(points["variant"]):
        ours = points[points["variant"] == variant]
        upper.plot(ours["accuracy"], ours["density"], "o", label=f"{variant} (n = {len(ours)})")
    upper.set_yscale("log")
    upper.yaxis.set_major_formatter("{x:.3g}")
    upper.yaxis.set_minor_formatter("{x:.3g}")
    upper.set_xlabel("test accuracy (%), a dot for each network")
    upper.set_ylabel("boundary density on planes\nbetween test images (1 / input unit)")
    upper.legend(fontsize=7)
    return figure


def _draw_forest(axis: Any, table: pd.DataFrame, baseline: str) -> None:
    has_interval = table["low"].notna()
    for number, (_, row) in enumerate(table.iterrows()):
        if not np.isnan(row["low"]):
            axis.plot([row["low"], row["high"]], [number, number], "-", color="#1f4e79")
        axis.plot(row["ratio"], number, "o", color="#1f4e79", label=table.index[number])
    labels = [f"{variant} (n = {row['networks']:.0f})" for variant, row in table.iterrows()]
    axis.set_yticks(range(len(table)), labels)
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.axvline(1, color="0.7", lw=1)
    interval = ", simultaneous 95 % interval" if has_interval.any() else ", no interval"
    axis.set_xlabel(f"density / that of an equally accurate {baseline} on its way{interval}")


def spectrum_figure(results: Results) -> Figure:
    """Draws the singular values of every layer, from the lowest to the highest quantile."""
    firsts = _firsts([run for run in results if "spectra" in run["measurements"]])
    figure = Figure(figsize=(2.6 * len(firsts), 3.4), layout="constrained")
    axes = figure.subplots(1, len(firsts), squeeze=False, sharey=True)[0]
    for axis, run in zip(axes, firsts, strict=True):
        layers = run["measurements"]["spectra"]["quantiles"]
        for number, quantiles in enumerate(layers.values()):
            shade = 0.15 + 0.75 * number / max(len(layers) - 1, 1)
            values = np.clip(quantiles, 1e-3, None)
            axis.plot(np.linspace(0, 1, len(values)), values, color=(0.1, shade * 0.7, shade))
        axis.set_yscale("log")
        axis.set_title(f"{run['variant']} (seed {run['seed']})", fontsize=8)
        axis.set_xlabel("quantile", fontsize=8)
    axes[0].set_ylabel("singular values, a line for each layer (dark: first)", fontsize=8)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _random_maps(run: dict[str, Any]) -> dict[str, Any]:
    return run["measurements"]["planes"]["random"]["class_maps"]


def _with_numbers(df: pd.DataFrame, variants: pd.Index) -> list[str]:
    """Writes how many networks stand behind each name."""
    networks = df.drop_duplicates(["variant", "seed", "fingerprint"])["variant"].value_counts()
    return [f"{variant}\n(n = {networks[variant]})" for variant in variants]


def _firsts(results: Results) -> Results:
    """Returns the run of the lowest seed of each variant."""
    return [
        min((run for run in results if run["variant"] == variant), key=lambda run: run["seed"])
        for variant in _variants(results)
    ]


def _variants(results: Results) -> list[str]:
    return in_order(run["variant"] for run in results)
