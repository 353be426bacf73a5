"""The table that stands in a readme."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from regularizer_collection.experiments.collect import network_counts, tabulate
from regularizer_collection.experiments.page import markdown_table
from regularizer_collection.experiments.report_notes import what_was_run
from regularizer_collection.experiments.report_tables import count_variants
from regularizer_collection.experiments.robustness_tables import ROBUSTNESS, means_table, measured
from regularizer_collection.experiments.source_experiment import is_on_its_data, source_accuracy
from regularizer_collection.experiments.tables import (
    BASELINE,
    accuracy_table,
    density_table,
    interval_text,
    ratio_text,
    tv_table,
)

_PGD = "PGD 1/255 (%)"


def summary(results: list[dict[str, Any]], baseline: str = BASELINE) -> str:
    """Writes accuracy, density and total variation of each variant as one Markdown table.

    Args:
        results: Loaded results.
        baseline: Variant that the others are compared with.
    """
    df, networks = tabulate(results), count_variants(results)
    accuracy = accuracy_table(df)
    columns: dict[str, Any] = {"test accuracy (%)": accuracy["test accuracy"]}
    if "data" in set(df["kind"]):
        table = density_table(df, baseline)
        if "ratio" in table:
            ratios = table.apply(
                lambda row: "" if pd.isna(row["ratio"]) else ratio_text(row), axis=1
            )
            columns[f"boundary density / {baseline}'s"] = _with_numbers(
                ratios, table["networks"], networks
            )
    if attacked := measured(results, "robustness"):
        survivors = _interval_column(means_table(attacked, ROBUSTNESS)[_PGD], 1)
        columns[_PGD] = _with_numbers(survivors, count_variants(attacked), networks)
    if is_on_its_data(results):
        columns["source: 50 epochs, 5 seeds (%)"] = source_accuracy()
    random = df[df["kind"] == "random"]
    if not random.empty:
        variation = tv_table(df)
        for zoom in sorted(random["zoom"].unique(), reverse=True):
            columns[f"isotropic TV, zoom {zoom:g}"] = _with_numbers(
                _interval_column(variation[zoom], 0), network_counts(random), networks
            )
    rows = pd.DataFrame(columns).reindex(accuracy.index).fillna("")
    return f"{what_was_run(results)}\n\n{markdown_table(rows)}"


def _interval_column(table: pd.DataFrame, digits: int) -> pd.Series:
    """Writes means and their intervals; what is not known stays empty."""
    return table.apply(
        lambda row: (
            "" if pd.isna(row["mean"]) else interval_text(row["mean"], row["conf_interval"], digits)
        ),
        axis=1,
    )


def _with_numbers(
    column: pd.Series, numbers: Mapping[str, int], networks: Mapping[str, int]
) -> pd.Series:
    """Adds how many networks were measured, where a variant has others."""
    noted = {}
    for variant, text in column.items():
        number = numbers[variant]
        is_part = 0 < number < networks[variant] and "(1 seed" not in text
        seeds = f"({number} seed{'s' if number > 1 else ''})"
        noted[variant] = f"{text} {seeds}".strip() if is_part else text
    return pd.Series(noted)
