"""Pictures over finished runs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from regularizer_collection.callbacks.plane_figure import class_colors
from regularizer_collection.experiments.collect import tabulate
from regularizer_collection.experiments.tables import accuracy_table, tv_table
from regularizer_collection.runtime.results_file import decode_map

Results = list[dict[str, Any]]


def accuracy_figure(df: pd.DataFrame) -> Figure:
    """Draws the mean accuracy of each variant with its interval, and every seed as a dot."""
    table = accuracy_table(df)
    figure, axis = _figure(7, 4)
    axis.bar(table.index, table["mean"], yerr=table["conf_interval"], capsize=4, color="#b8cbe0")
    for position, variant in enumerate(table.index):
        runs = df[df["variant"] == variant].drop_duplicates("seed")
        values = 100 * runs["test_accuracy"]
        offsets = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [0]
        axis.plot(position + np.asarray(offsets), values, "o", color="#1f4e79", markersize=4)
    lowest = 100 * df["test_accuracy"].min()
    axis.set_ylim(bottom=max(0, lowest - 5))
    axis.set_ylabel("test accuracy (%), 95 % interval over seeds")
    return figure


def tv_figure(df: pd.DataFrame, measure: str) -> Figure:
    """Draws a measure of every variant at each zoom level, with the interval over planes."""
    table = tv_table(df, measure)
    zooms = table.columns.levels[0][::-1]
    figure, axis = _figure(7, 4)
    width = 0.8 / len(table)
    for number, variant in enumerate(table.index):
        axis.bar(
            np.arange(len(zooms)) + (number - (len(table) - 1) / 2) * width,
            [table.loc[variant, (zoom, "mean")] for zoom in zooms],
            width,
            yerr=[table.loc[variant, (zoom, "conf_interval")] for zoom in zooms],
            capsize=2,
            label=variant,
        )
    axis.set_xticks(range(len(zooms)), [f"zoom {zoom:g}" for zoom in zooms])
    axis.set_ylabel(f"{measure.replace('_', ' ')}, 95 % interval over planes")
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
            (line,) = axis.plot(steps, values.mean(0), label=f"{variant} ({len(curves)})")
            axis.fill_between(
                steps, values.min(0), values.max(0), alpha=0.2, color=line.get_color()
            )
    axis.set_xlabel("optimizer step")
    axis.set_ylabel("accuracy (%), mean and range of seeds")
    axis.legend(fontsize=8)
    return figure


def class_map_figure(results: Results) -> Figure:
    """Draws the class maps of every variant's first seed on the same plane, side by side."""
    firsts = [
        min((run for run in results if run["variant"] == variant), key=lambda run: run["seed"])
        for variant in _variants(results)
    ]
    zooms = list(firsts[0]["class_maps"])
    figure = Figure(figsize=(2.3 * len(firsts), 2.5 * len(zooms)), layout="constrained")
    axes = figure.subplots(len(zooms), len(firsts), squeeze=False)
    for row, zoom in zip(axes, zooms, strict=True):
        half_width = 1 / float(zoom.removeprefix("zoom_"))
        for axis, run in zip(row, firsts, strict=True):
            axis.imshow(
                decode_map(run["class_maps"][zoom]),
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


def spectrum_figure(results: Results) -> Figure:
    """Draws the singular values of every layer, from the lowest to the highest quantile."""
    variants = _variants(results)
    figure = Figure(figsize=(2.6 * len(variants), 3.4), layout="constrained")
    axes = figure.subplots(1, len(variants), squeeze=False, sharey=True)[0]
    for axis, variant in zip(axes, variants, strict=True):
        run = next(run for run in results if run["variant"] == variant)
        layers = run["singular_value_quantiles"]
        for number, quantiles in enumerate(layers.values()):
            shade = 0.15 + 0.75 * number / max(len(layers) - 1, 1)
            values = np.clip(quantiles, 1e-3, None)
            axis.plot(np.linspace(0, 1, len(values)), values, color=(0.1, shade * 0.7, shade))
        axis.set_yscale("log")
        axis.set_title(f"{variant} (seed {run['seed']})", fontsize=8)
        axis.set_xlabel("quantile", fontsize=8)
    axes[0].set_ylabel("singular values, a line for each layer (dark: first)", fontsize=8)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _variants(results: Results) -> list[str]:
    return list(accuracy_table(tabulate(results)).index)
