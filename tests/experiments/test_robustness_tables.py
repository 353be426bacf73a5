import math

import numpy as np
import pytest

from regularizer_collection.experiments.report_notes import first_version_notes, masking_notes
from regularizer_collection.experiments.robustness_tables import (
    CALIBRATION,
    ROBUSTNESS,
    distance_table,
    means_table,
    measured,
)
from regularizer_collection.functional.statistics import compare_networks, confidence_interval
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


def distances(run, *values):
    run["measurements"]["robustness"]["values"]["distance"] = list(values)


def test_distances_are_compared_on_the_images_that_all_networks_are_right_about(results):
    svb, no_reg = results[:3], results[3:]
    for number, run in enumerate(svb):  # right about a hard image more, and not about the last
        distances(run, 0.4, 0.6 + 0.1 * number, 0.01, None, 0.5, 0.0)
    for number, run in enumerate(no_reg):
        distances(run, 0.2, 0.3 + 0.1 * number, 0.0, 0.5, 0.4, None)
    table = distance_table(results)
    common = [0, 1, 4]
    svb_logs, no_reg_logs = (
        np.log(
            [
                [run["measurements"]["robustness"]["values"]["distance"][n] for n in common]
                for run in group
            ]
        )
        for group in (svb, no_reg)
    )
    expected = compare_networks(svb_logs, no_reg_logs)
    assert list(table.index) == ["svb"]
    assert table.loc["svb", ["networks", "images", "right, not moved"]].tolist() == [3, 3, 1]
    assert np.log(table.loc["svb", "ratio"]) == pytest.approx(expected.difference)
    width = np.log(table.loc["svb", "high"] / table.loc["svb", "low"])
    assert width == pytest.approx(2 * expected.half_width)


def test_networks_that_no_image_is_common_to_have_no_ratio(results):
    for run in results[:3]:
        distances(run, 0.4, 0.0, 0.0, 0.0, 0.0, None)
    for run in results[3:]:
        distances(run, 0.0, 0.4, 0.4, 0.4, 0.4, 0.4)
    assert distance_table(results).empty


def test_images_are_told_by_their_place_in_the_test_split_after_a_cut_off_test_too(results):
    record = results[0]["measurements"]["robustness"]
    record["image_indices"] = record["image_indices"][3:]
    record["values"]["distance"] = record["values"]["distance"][3:]
    assert distance_table(results).loc["svb", "images"] == 3


def test_without_a_baseline_there_is_no_ratio(results):
    assert distance_table(results[:3]).empty


def test_only_what_was_measured_is_read(results):
    del results[0]["measurements"]["robustness"]
    results[1]["measurements"]["robustness"] = {}
    assert len(measured(results, "robustness")) == 4


def test_what_the_first_version_measured_is_told(results):
    for run in results:
        run["measurements"]["robustness"]["settings"] = {"version": 2}
    assert first_version_notes(results) == []
    del results[1]["measurements"]["robustness"]["settings"]["version"]
    (note,) = first_version_notes(results)
    assert note.startswith("Robustness of 1 networks is of the first version: its fog")


def test_signs_of_masking_stand_beside_the_networks_name(results):
    assert masking_notes(results) == []
    results[4]["measurements"]["robustness"]["signs_of_gradient_masking"] = ["a", "b"]
    (note,) = masking_notes(results)
    assert note.startswith("no_reg, seed 1: ")
    assert note.endswith("as a; b.")
