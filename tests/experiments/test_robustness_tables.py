import math

import numpy as np
import pytest

from regularizer_collection.experiments.robustness_tables import (
    CALIBRATION,
    ROBUSTNESS,
    distance_table,
    masking_notes,
    means_table,
    measured,
)
from regularizer_collection.functional.statistics import confidence_interval
from tests.experiments.conftest import made_up


@pytest.fixture
def results():
    return [made_up(variant, seed) for variant in ("svb", "no_reg") for seed in range(3)]


def test_means_and_intervals_are_over_networks(results):
    table = means_table(results, ROBUSTNESS)
    assert list(table.index) == ["no_reg", "svb"]
    shares = [
        100 * run["measurements"]["robustness"]["accuracy"]["pgd"]["1_255"]
        for run in results
        if run["variant"] == "svb"
    ]
    found = table.loc["svb", "PGD 1/255 (%)"]
    assert tuple(found) == pytest.approx(confidence_interval(shares))


def test_a_single_network_has_no_interval_and_an_unknown_value_no_mean(results):
    alone = results[0]
    alone["measurements"]["robustness"]["flatness"] = None
    del alone["measurements"]["robustness"]["accuracy"]["fgsm"]
    table = means_table([alone], ROBUSTNESS)
    assert math.isnan(table.loc["svb", ("clean (%)", "conf_interval")])
    assert math.isnan(table.loc["svb", ("flatness", "mean")])
    assert math.isnan(table.loc["svb", ("FGSM 1/255 (%)", "mean")])


def test_calibration_averages_the_foreign_kinds(results):
    scores = results[0]["measurements"]["calibration"]
    scores["foreign_images"] = {
        kind: {"logsumexp": {"auroc": area}} for kind, area in (("a", 0.5), ("b", 0.9))
    }
    table = means_table(results[:1], CALIBRATION)
    title = "foreign images told apart (AUROC)"
    assert table.loc["svb", (title, "mean")] == pytest.approx(0.7)
    scores["foreign_images"] = {}
    assert math.isnan(means_table(results[:1], CALIBRATION).loc["svb", (title, "mean")])


def test_distances_are_compared_as_ratios_of_geometric_means(results):
    table = distance_table(results)
    assert list(table.index) == ["svb"]
    logs = {
        variant: np.log(
            [
                run["measurements"]["robustness"]["median_distance_if_right"]
                for run in results
                if run["variant"] == variant
            ]
        )
        for variant in ("svb", "no_reg")
    }
    expected = np.exp(logs["svb"].mean() - logs["no_reg"].mean())
    assert table.loc["svb", "ratio"] == pytest.approx(expected)
    assert table.loc["svb", "low"] < expected < table.loc["svb", "high"]


def test_without_a_baseline_there_is_no_ratio(results):
    assert distance_table(results[:3]).empty


def test_only_what_was_measured_is_read(results):
    del results[0]["measurements"]["robustness"]
    results[1]["measurements"]["robustness"] = {}
    assert len(measured(results, "robustness")) == 4


def test_signs_of_masking_stand_beside_the_networks_name(results):
    assert masking_notes(results) == []
    results[4]["measurements"]["robustness"]["signs_of_gradient_masking"] = ["a", "b"]
    (note,) = masking_notes(results)
    assert note.startswith("no_reg, seed 1: ")
    assert note.endswith("as a; b.")
