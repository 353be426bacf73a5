import pytest

from regularizer_collection.experiments.answer import answer
from regularizer_collection.experiments.collect import tabulate
from regularizer_collection.experiments.tables import density_table
from tests.experiments.conftest import made_up


def said(results):
    return answer(density_table(tabulate(results)), results)


def test_one_seed_each_is_told_to_say_nothing():
    results = [made_up(variant, 0) for variant in ("no_reg", "jacobi", "svb")]
    first, second = said(results).split("\n")
    ratios = density_table(tabulate(results))["ratio"]
    assert first == (
        f"On these 3 networks, jacobi's boundaries are {ratios['jacobi']:.2f} times as dense as "
        f"no_reg's, svb's {ratios['svb']:.2f} times."
    )
    assert second == (
        "One seed of no_reg, jacobi, svb: this says nothing about the regularizer yet."
    )


def test_several_seeds_have_an_interval():
    results = [made_up(variant, seed) for variant in ("no_reg", "svb") for seed in range(3)]
    table = density_table(tabulate(results))
    low, high, verdict = table.loc["svb", ["low", "high", "verdict"]]
    assert f"times [{low:.2f}, {high:.2f}] as dense as no_reg's ({verdict})." in said(results)
    assert "intervals over networks" in said(results)


def test_networks_without_an_interval_are_told():
    results = [made_up(variant, seed) for variant in ("no_reg", "svb") for seed in range(2)]
    for run in results:
        planes = run["measurements"]["planes"]["data"]
        planes["image_indices"] = planes["image_indices"][:1]
        planes["values"] = {key: values[:1] for key, values in planes["values"].items()}
    assert said(results).endswith("times as dense as no_reg's (no interval).")


@pytest.mark.parametrize("variants", [("svb",), ("no_reg",)])
def test_without_a_baseline_or_another_variant_there_is_no_answer(variants):
    assert said([made_up(variant, 0) for variant in variants]).startswith("No comparison: it needs")


@pytest.mark.parametrize(
    ("num_classes", "weak", "learnt"), [(100, 0.015, 0.021), (10, 0.18, 0.2), (2, 0.54, 0.56)]
)
def test_a_network_near_chance_is_named(num_classes, weak, learnt):
    results = [made_up(variant, 0) for variant in ("no_reg", "svb")]
    for run, accuracy in zip(results, (learnt, weak), strict=True):
        run["test"]["accuracy"] = accuracy
        run["facts"]["data"]["num_classes"] = num_classes
    assert said(results).endswith("Near chance, so that a smooth boundary means little: svb.")


def test_a_network_that_was_not_measured_between_images_is_left_out():
    results = [made_up(variant, seed) for variant in ("no_reg", "svb") for seed in range(3)]
    del results[5]["measurements"]["planes"]["data"]
    assert said(results).startswith("On these 5 networks, svb's boundaries are ")


def test_a_network_whose_logits_are_not_finite_is_named():
    results = [made_up(variant, seed) for variant in ("no_reg", "svb") for seed in range(2)]
    planes = results[3]["measurements"]["planes"]["data"]
    planes["values"]["non_finite"] = [0] * 3 + [7]
    assert "At points of the planes of svb (seed 1) the logits are not finite" in said(results)
    planes["values"]["non_finite"] = [0] * 4
    assert "not finite" not in said(results)


def test_a_network_without_boundaries_has_no_ratio():
    results = [made_up(variant, 0) for variant in ("no_reg", "svb")]
    values = results[1]["measurements"]["planes"]["data"]["values"]
    values["boundary_density"] = [0.0] * len(values["boundary_density"])
    assert "svb's boundaries are an unknown number of times (a network has none) as dense" in said(
        results
    )
