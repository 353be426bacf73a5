"""What a report says beside its tables: what was run, and how to read it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from regularizer_collection.experiments.collect import per_network
from regularizer_collection.experiments.excess_smoothness import (
    DENSITY,
    network_points,
    trajectory,
)
from regularizer_collection.experiments.robustness_tables import measured
from regularizer_collection.experiments.source_experiment import DIFFERENCES, is_on_its_data
from regularizer_collection.experiments.tables import in_order
from regularizer_collection.runtime.identity import NOT_RECORDED


def what_was_run(results: list[dict[str, Any]]) -> str:
    """Names the data, the planes, and which networks each machine trained."""
    data = " and ".join(sorted({run["facts"]["data"]["name"] for run in results}))
    protocols = " and ".join(sorted({run["protocol"] for run in results}))
    epochs = " and ".join(str(n) for n in sorted({run["facts"]["epochs"] for run in results}))
    kinds = sorted({kind for run in results for kind in run["measurements"]["planes"]})
    planes = ", ".join(
        f"{_numbers_of_planes(results, kind)} {_KINDS.get(kind, f'{kind} planes')}"
        for kind in kinds
    )
    runs_on: dict[str, list[dict[str, Any]]] = {}
    for run in results:
        runs_on.setdefault(_machine(run["facts"]), []).append(run)
    trained = " and ".join(f"{on} ({_seeds(runs)})" for on, runs in sorted(runs_on.items()))
    name = data.replace("DataModule", "")
    return f"{name}, {protocols} protocol, {epochs} epochs, {planes}, trained on {trained}."


def _machine(facts: dict[str, Any]) -> str:
    gpu = [] if facts["device"] in ("cpu", NOT_RECORDED) else [facts["device"]]
    recorded = facts["versions"] != NOT_RECORDED
    torch = [f"torch {facts['versions']['torch']}"] if recorded else []
    return ", ".join([facts["host"], *gpu, *torch])


def _seeds(runs: list[dict[str, Any]]) -> str:
    """Lists the seeds of each variant, and variants of the same seeds together."""
    variants_of: dict[str, list[str]] = {}
    for variant in in_order(run["variant"] for run in runs):
        seeds = sorted(run["seed"] for run in runs if run["variant"] == variant)
        variants_of.setdefault(", ".join(map(str, seeds)), []).append(variant)
    return "; ".join(
        f"{', '.join(variants)}: seed{'s' if ',' in seeds else ''} {seeds}"
        for seeds, variants in variants_of.items()
    )


_KINDS = {
    "random": "random planes",
    "data": "planes between test images",
    "segments": "segments between test images",
    "adversarial": "planes through the nearest other class",
}


def _numbers_of_planes(results: list[dict[str, Any]], kind: str) -> str:
    sets = [run["measurements"]["planes"].get(kind) for run in results]
    numbers = {len(planes["image_indices"]) for planes in sets if planes is not None}
    return " or ".join(str(number) for number in sorted(numbers))


def reading_notes(df: pd.DataFrame, results: list[dict[str, Any]], baseline: str) -> list[str]:
    """Tells what intervals and tests are of, and what not to conclude.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        results: Loaded results.
        baseline: Variant that the others are compared with.
    """
    notes = []
    if any(sum(r["variant"] == run["variant"] for r in results) == 1 for run in results):
        notes.append(
            "A variant with a single seed has a mean and no interval: nothing is known of how far "
            "another seed would lie from it, so nothing follows about its regularizer."
        )
    notes.append(
        "Every interval is over networks trained from different seeds (n of each variant stands "
        "beside its name). The one family of tests is boundary density on planes between test "
        f'images against {baseline}, corrected by Holm, its verdicts "equal within 10 %" for '
        "themselves; everything else has an interval and no p-value."
    )
    notes += _differences_in_making(results)
    notes += _best_on_validation(df)
    notes += _what_equal_accuracy_leaves_out(results, baseline)
    notes += _bounds(results)
    attacked = measured(results, "robustness")
    notes += [*masking_notes(attacked), *first_version_notes(attacked)]
    notes.append("Total variation depends on how classes are numbered; boundary length does not.")
    if not is_on_its_data(results):
        return notes
    if any(run["protocol"] != "source" for run in results):
        notes.append("The source clipped no gradients; some of these runs or all did.")
    return [*notes, *DIFFERENCES]


def _differences_in_making(results: list[dict[str, Any]]) -> list[str]:
    """Names what belongs to no setting and still differs between the networks of a report."""
    notes = []
    for key in ("commit", "precision", "world_size", "global_batch"):
        runs_with: dict[str, list[dict[str, Any]]] = {}
        for run in results:
            runs_with.setdefault(str(run["facts"].get(key, NOT_RECORDED)), []).append(run)
        if len(runs_with.keys() - {NOT_RECORDED}) > 1:
            texts = [f"{value} ({_seeds(runs)})" for value, runs in sorted(runs_with.items())]
            notes.append(f"Networks differ in {key.replace('_', ' ')}: {'; '.join(texts)}.")
    return notes


def _best_on_validation(df: pd.DataFrame) -> list[str]:
    """Names the variant that images which nobody trained or tested on speak for."""
    of_variants = per_network(df).groupby("variant")["val_accuracy"]
    means = of_variants.agg(lambda accuracies: accuracies.mean(skipna=False))
    if len(means) < 2 or means.isna().any():
        return []
    best = " and ".join(means.index[means == means.max()])
    return [
        f"Chosen by mean accuracy on held-out images, in which the test images had no say: "
        f"{best} ({100 * means.max():.2f} %)."
    ]


def _what_equal_accuracy_leaves_out(results: list[dict[str, Any]], baseline: str) -> list[str]:
    """Says of how many networks the epochs are, and which networks these say nothing of."""
    ours = [run for run in results if run["variant"] == baseline]
    if not any(DENSITY in run["history"] for run in ours):
        return []
    seeds = trajectory(results, baseline)["seed"].nunique()
    if not seeds:
        return [
            f"{baseline}'s epochs have boundary densities and no test accuracy, as data.val_size "
            "holds images out; nothing is compared at equal accuracy."
        ]
    points = network_points(results, baseline)
    left_out = points[points["excess"].isna()].to_dict("records")
    beyond = (
        f" Left out, as their accuracies are beyond those of these epochs: {_seeds(left_out)}."
        if left_out
        else ""
    )
    return [
        f"At equal accuracy, networks are compared with the epochs of {seeds} of {len(ours)} "
        f"networks of {baseline}.{beyond}"
    ]


def _bounds(results: list[dict[str, Any]]) -> list[str]:
    """Says how much boundary the maps may have missed, where runs have recorded it."""
    worst: dict[str, float] = {}
    for run in results:
        for kind, planes in run["measurements"]["planes"].items():
            bounds = planes.get("bounds_95", {})
            of_zooms = {kind: bounds} if "missed_length" in bounds else bounds
            for name, bound in of_zooms.items():
                worst[name] = max(worst.get(name, 0.0), bound["missed_length"])
    if not worst:
        return []
    text = ", ".join(
        f"{length:.3g} ({name.replace('_', ' ')})" for name, length in sorted(worst.items())
    )
    return [
        "Maps are filled in where a coarse grid saw one class. From the sample of what was filled "
        "in, all maps of a network together, the mean boundary length of a map lacks at most so "
        f"many pixel edges (95 %, the worst network): {text}."
    ]


def first_version_notes(results: Sequence[dict[str, Any]]) -> list[str]:
    """Says what was wrong with how the first version measured; no report mixes it with others.

    Args:
        results: Results with a robustness section.
    """
    settings = [run["measurements"]["robustness"].get("settings", {}) for run in results]
    first = [of_run for of_run in settings if "version" not in of_run]
    if not first:
        return []
    return [
        f"Robustness of {len(first)} networks is of the first version: its fog is rougher than the "
        "published one, its flatness counts images that no search moved as 0, and its search for "
        "the nearest image of another class missed some, which count as infinitely far in medians "
        "and are left out of ratios."
    ]


def masking_notes(results: Sequence[dict[str, Any]]) -> list[str]:
    """Says of which networks the accuracies under attack cannot be believed, and why."""
    return [
        f"{run['variant']}, seed {run['seed']}: accuracies under attack are no measure of "
        f"robustness, as {'; '.join(signs)}."
        for run in results
        if (signs := run["measurements"]["robustness"]["signs_of_gradient_masking"])
    ]
