"""Excess smoothness at equal accuracy, on networks whose answer is known."""

import math

import numpy as np
import pytest

from regularizer_collection.experiments.excess_smoothness import (
    excess_table,
    network_points,
    trajectory,
)


def network(variant, seed, accuracy, density, epochs=()):
    """A run; ``epochs`` are the accuracies and densities on its way."""
    steps = range(1, len(epochs) + 1)
    return {
        "variant": variant,
        "seed": seed,
        "test": {"accuracy": accuracy},
        "history": {
            "test_curve/accuracy": [[s, a] for s, (a, _) in zip(steps, epochs, strict=True)],
            "test_curve/boundary_density/data": [
                [s, d] for s, (_, d) in zip(steps, epochs, strict=True)
            ],
        },
        "measurements": {"planes": {"data": {"values": {"boundary_density": [density] * 3}}}},
    }


WAY = [(0.1, 1.0), (0.2, 2.0), (0.4, 8.0)]


def test_the_way_of_no_reg_is_what_was_measured_of_its_epochs():
    band = trajectory([network("no_reg", 3, 0.4, 8.0, WAY), network("l2", 0, 0.4, 8.0, WAY)])
    assert band.to_dict("list") == {
        "seed": [3] * 3,
        "accuracy": [10.0, 20.0, 40.0],
        "density": [1.0, 2.0, 8.0],
    }


def test_a_network_that_is_only_less_trained_has_no_excess():
    runs = [network("no_reg", 0, 0.4, 8.0, WAY), network("jacobi", 0, 0.3, 4.0)]
    points = network_points(runs).set_index("variant")
    assert points.loc["jacobi", "excess"] == pytest.approx(0)  # log-linear from 2 to 8
    assert points.loc["no_reg", "excess"] == pytest.approx(0)


def test_half_the_density_at_equal_accuracy_is_an_excess_of_a_half():
    runs = [network("no_reg", 0, 0.4, 8.0, WAY), network("jacobi", 0, 0.2, 1.0)]
    table = excess_table(network_points(runs))
    assert table.loc["jacobi", "ratio"] == pytest.approx(0.5)
    assert math.isnan(table.loc["jacobi", "low"])  # one network tells no spread


def test_where_no_reg_had_an_accuracy_several_times_their_mean_counts():
    up_and_down = [(0.1, 1.0), (0.3, 4.0), (0.2, 16.0)]
    runs = [network("no_reg", 0, 0.2, 16.0, up_and_down), network("jacobi", 0, 0.25, 1.0)]
    points = network_points(runs).set_index("variant")
    assert points.loc["jacobi", "excess"] == pytest.approx(-math.log(2) * (1.5 + 3) / 2)


def test_variants_are_compared_with_the_networks_of_no_reg_not_with_its_way_alone():
    runs = [network("no_reg", s, 0.4, density, WAY) for s, density in enumerate((10.0, 12.0))]
    runs += [network("svb", s, 0.4, density) for s, density in enumerate((5.0, 6.0))]
    table = excess_table(network_points(runs))
    assert table["ratio"].to_dict() == pytest.approx({"no_reg": 1, "svb": 0.5})
    assert table.loc["svb", "low"] * table.loc["svb", "high"] == pytest.approx(0.25)


def test_where_no_reg_ended_beyond_its_epochs_there_is_no_ratio_to_its_networks():
    runs = [network("no_reg", 0, 0.45, 8.0, WAY), network("jacobi", 0, 0.2, 1.0)]
    table = excess_table(network_points(runs))
    assert table.loc["jacobi", "to its epochs"] == pytest.approx(0.5)
    assert math.isnan(table.loc["jacobi", "ratio"])


@pytest.mark.parametrize("accuracy", [0.05, 0.5])
def test_beyond_what_no_reg_reached_nothing_is_said(accuracy):
    runs = [network("no_reg", 0, 0.4, 8.0, WAY), network("l2", 0, accuracy, 1.0)]
    points = network_points(runs)
    assert points.loc[points["variant"] == "l2", "excess"].isna().all()
    assert "l2" not in excess_table(points).index


def test_intervals_hold_for_all_variants_at_once():
    rng = np.random.default_rng(0)
    runs = [network("no_reg", s, 0.4, 8.0 * rng.normal(1, 0.05), WAY) for s in range(4)]
    for variant, factor in (("jacobi", 0.5), ("svb", 1.0)):
        runs += [network(variant, s, 0.2, 2 * factor * rng.normal(1, 0.05)) for s in range(4)]
    table = excess_table(network_points(runs))
    assert table.loc["jacobi", "high"] < 1
    assert table.loc["svb", "low"] < 1 < table.loc["svb", "high"]


def test_there_is_no_interval_unless_all_networks_of_no_reg_were_measured_on_their_way():
    def table(ways):
        runs = [network("no_reg", s, 0.4, 8.0 + s, way) for s, way in enumerate(ways)]
        return excess_table(network_points(runs + [network("svb", s, 0.2, 2.0) for s in (0, 1)]))

    assert table([WAY, WAY])["low"].notna().tolist() == [False, True]
    some = table([WAY, ()])
    assert some["low"].isna().all()
    assert some["high"].isna().all()
    assert some["ratio"].notna().all()


def test_without_a_way_of_no_reg_there_are_points_and_no_excess():
    points = network_points([network("no_reg", 0, 0.4, 8.0), network("l2", 0, 0.4, 8.0)])
    assert len(points) == 2
    assert excess_table(points).empty
