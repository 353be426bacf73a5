"""What a report says, in two sentences."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from regularizer_collection.experiments.tables import BASELINE

_CHANCE_FACTOR = 2
"""A network below so many times chance has learnt too little for its boundaries to mean much."""


def answer(table: pd.DataFrame, results: Sequence[dict[str, Any]], baseline: str = BASELINE) -> str:
    """Says how dense each variant's boundaries are beside a baseline's, and how sure that is.

    Args:
        table: Result of :func:`density_table`.
        results: Loaded results.
        baseline: Variant that the table compares with.
    """
    if "ratio" not in table:
        return (
            f"No comparison: it needs {baseline} and another variant, measured between images; "
            "--baseline names another one to compare with."
        )
    compared = table.drop(index=baseline).iterrows()
    (first, its_ratio), *others = ((f"{variant}'s", _ratio(row)) for variant, row in compared)
    sentences = [
        f"On these {int(table['networks'].sum())} networks, {first} boundaries are {its_ratio} as "
        f"dense as {baseline}'s{''.join(f', {name} {ratio}' for name, ratio in others)}."
    ]
    alone = [name for name, row in table.iterrows() if row["networks"] < 2]
    if alone:
        sentences.append(
            f"One seed of {', '.join(map(str, alone))}: "
            "this says nothing about the regularizer yet."
        )
    else:
        sentences.append("In brackets 95 % intervals over networks; 1 inside means not decided.")
    if weak := _near_chance(results):
        sentences.append(f"Near chance, so that a smooth boundary means little: {', '.join(weak)}.")
    return "\n".join(sentences)


def _ratio(row: pd.Series) -> str:
    if math.isnan(row["ratio"]):
        return "an unknown number of times (a network has none)"
    interval = "" if math.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['ratio']:.2f} times{interval}"


def _near_chance(results: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(
        {
            run["variant"]
            for run in results
            if run["test"]["accuracy"] * run["facts"]["data"]["num_classes"] < _CHANCE_FACTOR
        }
    )
