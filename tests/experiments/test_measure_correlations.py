import numpy as np
import pytest
from scipy.stats import kendalltau

from regularizer_collection.experiments.measure_correlations import (
    MEASURES,
    OUTCOMES,
    correlated,
    correlation_tables,
)
from tests.experiments.conftest import made_up

VARIANTS = ("no_reg", "l2", "svb")


@pytest.fixture
def results():
    return [made_up(variant, seed) for variant in VARIANTS for seed in range(4)]


def tau(table, measure="boundary density, data planes", outcome="PGD 1/255"):
    text = table.loc[measure, outcome]
    value, low, high = text.replace("[", "").replace("]", "").replace(",", "").split()
    return float(value), float(low), float(high)


def read(results, name, variant=None):
    of = {**MEASURES, **OUTCOMES}[name]
    return np.array([of(run) for run in results if variant in (None, run["variant"])])


def test_within_is_the_mean_of_each_variants_tau(results):
    table = correlation_tables(results)["within variants"]
    each = [
        kendalltau(
            read(results, "boundary density, data planes", variant),
            read(results, "PGD 1/255", variant),
        ).statistic
        for variant in VARIANTS
    ]
    assert tau(table)[0] == pytest.approx(np.mean(each), abs=0.006)


def test_between_is_the_tau_of_the_variants_means(results):
    table = correlation_tables(results)["between variants"]
    means = [
        [read(results, name, variant).mean() for variant in VARIANTS]
        for name in ("boundary density, data planes", "PGD 1/255")
    ]
    assert tau(table)[0] == pytest.approx(kendalltau(*means).statistic, abs=0.006)


def test_given_accuracy_is_the_partial_tau(results):
    table = correlation_tables(results)["given accuracy"]
    x, y, z = (
        read(results, name) for name in ("boundary density, data planes", "PGD 1/255", "accuracy")
    )
    xy, xz, yz = (kendalltau(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert tau(table)[0] == pytest.approx(expected, abs=0.006)


def test_an_interval_holds_its_estimate_and_is_the_same_again(results):
    first, second = correlation_tables(results), correlation_tables(results)
    for kind, table in first.items():
        assert table.equals(second[kind])
        value, low, high = tau(table)
        assert -1 <= low <= value <= high <= 1


def test_a_measure_in_the_order_of_accuracy_has_nothing_left_once_that_is_given(results):
    for run in results:
        densities = run["measurements"]["planes"]["data"]["values"]["boundary_density"]
        densities[:] = [run["test"]["accuracy"]] * len(densities)
    tables = correlation_tables(results)
    row = tables["given accuracy"].loc["boundary density, data planes"]
    assert set(row) == {"not known"}
    assert (
        tables["within variants"].loc["boundary density, data planes", "accuracy"].startswith("1")
    )


def test_two_variants_of_three_networks_are_needed(results):
    assert correlation_tables(results[:6]) == {}
    assert correlation_tables(results[:8]) != {}


def test_accuracy_given_accuracy_is_no_correlation(results):
    tables = correlation_tables(results)
    assert "accuracy" in tables["within variants"]
    assert list(tables["given accuracy"]) == [name for name in OUTCOMES if name != "accuracy"]


def test_what_is_not_known_of_a_network_is_left_out_and_the_rest_is_as_without_it(results):
    whole = correlation_tables(results)
    results[5]["measurements"]["robustness"]["flatness"] = None
    del results[6]["measurements"]["robustness"]["accuracy"]["pgd"]["1_255"]
    for kind, table in correlation_tables(results).items():
        assert "flatness" not in table.index
        assert "PGD 1/255" not in table
        left = whole[kind].drop(index="flatness", columns="PGD 1/255")
        assert table.map(lambda text: text.split()[0]).equals(
            left.map(lambda text: text.split()[0])
        )


def test_only_variants_of_three_networks_are_correlated(results):
    assert len(correlated(results[:10])) == 8


def test_networks_whose_robustness_is_not_known_do_not_count(results):
    for run in results[:8]:
        del run["measurements"]["robustness"]
    assert correlation_tables(results) == {}
