"""What a report says, in two sentences."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from regularizer_collection.experiments.tables import BASELINE, ratio_text

_LEARNT = 0.1
"""A network that is right about less than this share of what chance gets wrong, or below twice
chance, has learnt too little for its boundaries to mean much."""


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
    first, *others = ((f"{variant}'s", _ratio(row), _in_words(row)) for variant, row in compared)
    sentences = [
        f"On these {int(table['networks'].sum())} networks, {first[0]} boundaries are {first[1]} "
        f"as dense as {baseline}'s{first[2]}"
        f"{''.join(f', {name} {ratio}{words}' for name, ratio, words in others)}."
    ]
    alone = [name for name, row in table.iterrows() if row["networks"] < 2]
    if alone:
        sentences.append(
            f"One seed of {', '.join(map(str, alone))}: "
            "this says nothing about the regularizer yet."
        )
    if table["low"].notna().any():
        sentences.append(
            "In brackets 95 % intervals over networks, each for itself; the words allow for all "
            "comparisons at once (Holm)."
        )
    if without := _without_class(results):
        sentences.append(
            f"At points of the planes of {', '.join(without)} the logits are not finite, which "
            "counts as a class of its own; its boundaries are no measure."
        )
    if weak := _near_chance(results):
        sentences.append(f"Near chance, so that a smooth boundary means little: {', '.join(weak)}.")
    return "\n".join(sentences)


def _ratio(row: pd.Series) -> str:
    if math.isnan(row["ratio"]):
        return "an unknown number of times (a network has none)"
    ratio, *interval = ratio_text(row).split(" ", 1)
    return " ".join([f"{ratio} times", *interval])


def _in_words(row: pd.Series) -> str:
    if math.isnan(row["low"]) and row["networks"] > 1 and not math.isnan(row["ratio"]):
        return " (no interval)"
    return "" if math.isnan(row["low"]) else f" ({row['verdict']})"


def _without_class(results: Sequence[dict[str, Any]]) -> list[str]:
    between_images = ((run, run["measurements"]["planes"].get("data")) for run in results)
    return [
        f"{run['variant']} (seed {run['seed']})"
        for run, planes in between_images
        if planes is not None and any(planes["values"].get("non_finite", ()))
    ]


def _near_chance(results: Sequence[dict[str, Any]]) -> list[str]:
    weak = set()
    for run in results:
        chance = 1 / run["facts"]["data"]["num_classes"]
        if run["test"]["accuracy"] < chance + min(chance, _LEARNT * (1 - chance)):
            weak.add(run["variant"])
    return sorted(weak)
