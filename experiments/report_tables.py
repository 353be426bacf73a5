"""The tables of a report, each with the number of networks that it is of."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from regularizer_collection.experiments.collect import PLANE_KEYS, network_counts
from regularizer_collection.experiments.excess_smoothness import excess_table, network_points
from regularizer_collection.experiments.measure_correlations import correlated, correlation_tables
from regularizer_collection.experiments.page import column_title
from regularizer_collection.experiments.robustness_tables import (
    CALIBRATION,
    ROBUSTNESS,
    distance_table,
    means_table,
    measured,
)
from regularizer_collection.experiments.source_experiment import is_on_its_data, source_accuracy
from regularizer_collection.experiments.tables import (
    accuracy_table,
    agreement_table,
    density_table,
    mean_table,
    tv_table,
)
from regularizer_collection.functional.packed_maps import decode_map
from regularizer_collection.functional.total_variation import expected_anisotropic_tv

DENSITY = "Boundary density on planes between test images (1 / input unit)"
"""Name of the table of the primary measure."""


class CountedTable(NamedTuple):
    """A table, and how many networks stand behind each row; None where rows are not variants."""

    table: pd.DataFrame
    networks: Mapping[str, int] | None

    def flat(self) -> pd.DataFrame:
        """Has one name for each column, and a column for the number."""
        flat = self.table.set_axis([column_title(name) for name in self.table.columns], axis=1)
        if self.networks is not None and "networks" not in flat:
            flat.insert(0, "networks", [self.networks.get(row) for row in flat.index])
        return flat

    def shown(self) -> pd.DataFrame:
        """Writes their number beside the name of each row."""
        if self.networks is None:
            return self.table
        return self.table.rename(index=lambda row: f"{row} (n = {self.networks[row]})")


def report_tables(
    df: pd.DataFrame, results: list[dict[str, Any]], baseline: str
) -> dict[str, CountedTable]:
    """Makes every table that the results are enough for, by its name.

    Args:
        df: Rows of :func:`experiments.collect_results`.
        results: Loaded results.
        baseline: Variant that the others are compared with.
    """
    accuracy = accuracy_table(df, baseline)
    if is_on_its_data(results):
        accuracy = accuracy.join(source_accuracy())
    tables = {"Test accuracy (%)": CountedTable(accuracy, network_counts(df))}
    measured_on = {kind: network_counts(df[df["kind"] == kind]) for kind in df["kind"].unique()}
    if "data" in measured_on:
        density = density_table(df, baseline)
        tables[DENSITY] = CountedTable(density, density["networks"])
        tables["Fragments on planes between test images (regions of one class)"] = CountedTable(
            mean_table(df, "data", "num_fragments"), measured_on["data"]
        )
        same = _same_planes(results)
        agreement = agreement_table(
            (variant, seed, decode_map(planes["class_maps"])) for variant, seed, planes in same
        )
        name = "Agreement of class maps between networks (share of points)"
        tables[name] = CountedTable(agreement, Counter(variant for variant, *_ in same))
        excess = excess_table(network_points(results, baseline), baseline)
        if not excess.empty:
            name = f"Boundary density at equal accuracy (ratio to {baseline}'s final networks)"
            tables[name] = CountedTable(excess, excess["networks"])
    if "adversarial" in measured_on:
        # No plane leads to a class that was not found, so that it has no boundary to count.
        is_found = df["distance"].notna()
        found = df.assign(boundary_density=df["boundary_density"].where(is_found))
        for measure, unit in (("boundary_density", "1 / input unit"), ("distance", "input units")):
            name = f"{measure.replace('_', ' ').capitalize()} on adversarial planes ({unit})"
            table = mean_table(found, "adversarial", measure)
            tables[name] = CountedTable(table, measured_on["adversarial"])
    if "segments" in measured_on:
        tables["Class changes on segments between test images (changes)"] = CountedTable(
            mean_table(df, "segments", "class_changes"), measured_on["segments"]
        )
    tables |= _robustness_tables(results, baseline)
    if "random" in measured_on:
        of_random = {name: tv_table(df, measure) for name, measure in _RANDOM_MEASURES.items()}
        classes = results[0]["facts"]["data"]["num_classes"]
        name = "Anisotropic total variation, mean over class numberings (class indices)"
        of_random[name] = tv_table(df, "boundary_length").map(
            lambda value: expected_anisotropic_tv(value, classes)
        )
        tables |= {
            f"{name}, random planes": CountedTable(table, measured_on["random"])
            for name, table in of_random.items()
        }
    return tables


def _same_planes(results: list[dict[str, Any]]) -> list[tuple[str, int, dict[str, Any]]]:
    """Returns variant, seed and planes between images of the runs with the first's planes."""
    measured_runs = [
        (run["variant"], run["seed"], run["measurements"]["planes"]["data"])
        for run in results
        if "data" in run["measurements"]["planes"]
    ]
    *_, first = measured_runs[0]
    return [
        (variant, seed, planes)
        for variant, seed, planes in measured_runs
        if all(planes[key] == first[key] for key in PLANE_KEYS)
    ]


def _robustness_tables(results: list[dict[str, Any]], baseline: str) -> dict[str, CountedTable]:
    tables = {}
    if attacked := measured(results, "robustness"):
        n = attacked[0]["measurements"]["robustness"]["num_images"]
        means = means_table(attacked, ROBUSTNESS)
        tables[f"Robustness ({n} test images)"] = CountedTable(means, count_variants(attacked))
        distances = distance_table(attacked, baseline)
        if not distances.empty:
            name = f"Distance of right images from another class (ratio to {baseline})"
            tables[name] = CountedTable(distances, distances["networks"])
    if calibrated := measured(results, "calibration"):
        means = means_table(calibrated, CALIBRATION)
        tables["Calibration (all test images)"] = CountedTable(means, count_variants(calibrated))
    for kind, table in correlation_tables(results).items():
        name = f"What boundary measures go along with, {kind}"
        compared = count_variants(correlated(results))
        is_of_means = kind == "between variants"
        number = f"{len(compared)} variants" if is_of_means else f"{compared.total()} networks"
        tables[f"{name} (Kendall's tau, n = {number})"] = CountedTable(table, None)
    return tables


def count_variants(results: list[dict[str, Any]]) -> Counter[str]:
    """Counts the networks of each variant."""
    return Counter(run["variant"] for run in results)


_RANDOM_MEASURES = {
    "Isotropic total variation (class indices)": "tv_isotropic",
    "Anisotropic total variation (class indices)": "tv_anisotropic",
    "Boundary length (pixel edges)": "boundary_length",
    "Boundary density (1 / input unit)": "boundary_density",
    "Boundary distance (input units, restricted mean up to the half-width)": "boundary_distance",
}
