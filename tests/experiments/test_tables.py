import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regularizer_collection.experiments import (
    accuracy_table,
    collect_results,
    density_table,
    tv_table,
)
from regularizer_collection.experiments.source_experiment import VARIANTS
from regularizer_collection.experiments.study import SEEDS
from regularizer_collection.experiments.tables import (
    agreement_table,
    interval_text,
    mean_table,
    ratio_text,
)
from regularizer_collection.functional.statistics import (
    compare_networks,
    confidence_interval,
    holm,
    log_of_means,
)


@pytest.fixture
def study(leave, tmp_path):
    """The results of the whole study, made up."""
    for variant in VARIANTS:
        for seed in SEEDS:
            leave(variant, seed)
    return collect_results(tmp_path)


def notebook_interval(values):
    """The source experiment's formula."""
    return stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)


def accuracies(df, variant):
    runs = df[df["variant"] == variant].drop_duplicates("seed").sort_values("seed")
    return (100 * runs["test_accuracy"]).to_numpy()


def test_accuracies_have_the_notebooks_interval(study):
    table = accuracy_table(study)
    assert list(table.index) == list(VARIANTS)
    for variant in VARIANTS:
        values = accuracies(study, variant)
        mean, half_width = values.mean(), notebook_interval(values)
        assert table.loc[variant, "mean"] == pytest.approx(mean)
        assert table.loc[variant, "conf_interval"] == pytest.approx(half_width)
        text = f"{round(mean, 3):.10g} +/- {round(half_width, 3):.10g}"
        assert table.loc[variant, "test accuracy"] == text


def test_intervals_are_written_as_the_source_writes_them():
    assert interval_text(45.19, 0.785, 3) == "45.19 +/- 0.785"
    assert interval_text(np.float64(27.15), 1.0, 1) == "27.1 +/- 1"  # below 27.15
    assert interval_text(49.80204, 0.41649, 3) == "49.802 +/- 0.416"


def test_a_single_seed_has_a_mean_and_no_interval(leave, tmp_path):
    leave("svb", 0)
    table = accuracy_table(collect_results(tmp_path))
    assert np.isnan(table.loc["svb", "conf_interval"])
    assert table.loc["svb", "test accuracy"].endswith("(1 seed, no interval)")


def random_means(df, variant, zoom, measure):
    """The mean over planes of each network, by a naive loop."""
    rows = df[(df["variant"] == variant) & (df["zoom"] == zoom)]
    return np.array([rows.loc[rows["seed"] == seed, measure].mean() for seed in SEEDS])


def test_intervals_of_planes_are_over_networks(study):
    table = tv_table(study, "tv_isotropic")
    for variant in VARIANTS:
        for zoom in (0.025, 0.01):
            means = random_means(study, variant, zoom, "tv_isotropic")
            assert table.loc[variant, (zoom, "mean")] == pytest.approx(means.mean())
            expected = notebook_interval(means)
            assert table.loc[variant, (zoom, "conf_interval")] == pytest.approx(expected)


def test_distances_that_were_not_reached_count_as_the_half_width_and_are_told(study):
    table = tv_table(study, "boundary_distance")
    filled = study.assign(boundary_distance=study["boundary_distance"].fillna(1 / study["zoom"]))
    for zoom in (0.025, 0.01):
        means = random_means(filled, "svb", zoom, "boundary_distance")
        assert table.loc["svb", (zoom, "mean")] == pytest.approx(means.mean())
        assert table.loc["svb", (zoom, "not_reached")] == pytest.approx(1 / 6)


def test_accuracies_differ_by_welchs_interval(study):
    table = accuracy_table(study)
    assert np.isnan(table.loc["no_reg", "difference"])
    for variant in VARIANTS[1:]:
        ours, theirs = accuracies(study, variant), accuracies(study, "no_reg")
        low, high = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
        assert table.loc[variant, "difference"] == pytest.approx((low + high) / 2)
        assert table.loc[variant, "difference_interval"] == pytest.approx((high - low) / 2)


def densities(df, variant):
    """Values [networks, planes]."""
    rows = df[(df["variant"] == variant) & (df["kind"] == "data")]
    return rows.sort_values(["seed", "plane"])["boundary_density"].to_numpy().reshape(5, -1)


def test_densities_are_compared_as_ratios_with_the_network_as_unit(study):
    table = density_table(study)
    baseline = densities(study, "no_reg")
    raw = {}
    for variant in VARIANTS[1:]:
        comparison = compare_networks(
            log_of_means(densities(study, variant)), log_of_means(baseline)
        )
        row = table.loc[variant]
        assert row["networks"] == 5
        assert row["mean"] == pytest.approx(densities(study, variant).mean())
        logs = [np.log(densities(study, name).mean(1)).mean() for name in (variant, "no_reg")]
        assert row["ratio"] == pytest.approx(np.exp(logs[0] - logs[1]))
        assert row["high"] / row["ratio"] == pytest.approx(np.exp(comparison.half_width))
        raw[variant] = comparison.p_value
    adjusted = dict(zip(raw, holm(raw.values()), strict=True))
    assert table["p (Holm)"].dropna().to_dict() == pytest.approx(adjusted)


def test_one_network_has_a_ratio_and_nothing_follows(leave, tmp_path):
    leave("no_reg", 0)
    leave("svb", 0)
    row = density_table(collect_results(tmp_path)).loc["svb"]
    assert np.isfinite(row["ratio"])
    assert row[["low", "high", "p (Holm)"]].isna().all()
    assert row["verdict"] == "one network: nothing follows about the regularizer"


@pytest.mark.parametrize(
    ("factor", "verdict"), [(2.0, "denser"), (0.5, "smoother"), (1.0, "equal within 10 %")]
)
def test_verdicts_in_words(factor, verdict):
    rng = np.random.default_rng(0)
    planes = rng.uniform(1, 2, 40)
    rows = [
        {"variant": v, "seed": s, "fingerprint": v, "kind": "data", "plane": p}
        | {"boundary_density": scale * planes[p] * rng.normal(1, 0.02)}
        for v, scale in (("no_reg", 1.0), ("svb", factor))
        for s in range(5)
        for p in range(40)
    ]
    assert density_table(pd.DataFrame(rows)).loc["svb", "verdict"] == verdict


def test_equality_allows_for_all_comparisons_too():
    """What is equal within 10 % by a test of its own need not be so among three."""

    def verdicts(*variants):
        rows = [
            {"variant": v, "seed": s, "fingerprint": v, "kind": "data", "plane": p}
            | {"boundary_density": level * (1 + p / 1000)}
            for v in ("no_reg", *variants)
            for s, level in enumerate((0.9375, 0.982, 1.018, 1.0625))
            for p in range(20)
        ]
        return set(density_table(pd.DataFrame(rows))["verdict"].dropna())

    assert verdicts("svb") == {"equal within 10 %"}
    assert verdicts("svb", "l2", "jacobi") == {"not decided"}


def test_what_is_called_equal_has_an_interval_that_is():
    """At few networks the test of equality looks at a far narrower interval than is shown."""
    rng = np.random.default_rng(0)
    equal = 0
    for _ in range(100):
        levels = rng.normal(1, 0.025, (2, 2))
        rows = [
            {"variant": v, "seed": s, "fingerprint": v, "kind": "data", "plane": p}
            | {"boundary_density": levels[number, s] * (1 + p / 1000)}
            for number, v in enumerate(("no_reg", "svb"))
            for s in range(2)
            for p in range(5)
        ]
        row = density_table(pd.DataFrame(rows)).loc["svb"]
        if row["verdict"] == "equal within 10 %":
            equal += 1
            assert 1 / 1.1 <= row["low"] < row["high"] <= 1.1
    assert equal


def test_networks_that_differ_among_themselves_decide_nothing():
    """Every plane of two networks each says the same, and still there are only two networks."""
    levels = {"no_reg": (1.0, 2.0), "svb": (1.5, 4.0)}
    rows = [
        {"variant": v, "seed": s, "fingerprint": v, "kind": "data", "plane": p}
        | {"boundary_density": level * (1 + p / 1000)}
        for v in levels
        for s, level in enumerate(levels[v])
        for p in range(200)
    ]
    row = density_table(pd.DataFrame(rows)).loc["svb"]
    assert row["verdict"] == "not decided"
    assert row["p (Holm)"] > 0.3


def test_a_network_without_boundaries_has_no_ratio(leave, tmp_path):
    leave("no_reg", 0)
    path = leave("svb", 0)
    results = json.loads(path.read_text())
    results["measurements"]["planes"]["data"]["values"]["boundary_density"] = [0.0] * 4
    path.write_text(json.dumps(results))
    row = density_table(collect_results(tmp_path)).loc["svb"]
    assert row["verdict"] == "a network without boundaries has no ratio"


def test_several_networks_on_one_plane_are_not_called_one_network(leave, tmp_path):
    for variant in ("no_reg", "svb"):
        for seed in range(2):
            leave(variant, seed)
    df = collect_results(tmp_path)
    row = density_table(df[df["plane"] == 0]).loc["svb"]
    assert row["verdict"] == "one plane, or no spread: nothing follows about the regularizer"


def adversarial(*networks):
    return pd.DataFrame(
        [
            {"variant": "svb", "seed": s, "fingerprint": "f", "kind": "adversarial", "distance": d}
            for s, distances in enumerate(networks)
            for d in distances
        ]
    )


def test_distances_that_were_not_found_are_left_out_and_told():
    row = mean_table(adversarial([None, 2.0, 3.0], [1.0, 2.0, 6.0]), "adversarial", "distance")
    mean, half_width = confidence_interval([2.5, 3.0])
    assert row.loc["svb"].tolist() == pytest.approx([mean, half_width, 1 / 6])
    whole = mean_table(adversarial([1.0], [2.0]), "adversarial", "distance")
    assert list(whole.columns) == ["mean", "conf_interval"]


def test_a_network_of_which_no_distance_was_found_leaves_its_variant_without_a_mean():
    row = mean_table(adversarial([None, None], [1.0, 2.0]), "adversarial", "distance").loc["svb"]
    assert row[["mean", "conf_interval"]].isna().all()
    assert row["not_reached"] == 0.5


def test_planes_that_a_network_lacks_are_left_out_of_the_comparison(study):
    lacks = (study["variant"] == "svb") & (study["seed"] == 2) & (study["kind"] == "data")
    table = density_table(study[~(lacks & (study["plane"] == 3))])
    kept = {v: densities(study, v)[:, :3] for v in ("svb", "no_reg")}
    logs = [np.log(kept[v].mean(1)).mean() for v in ("svb", "no_reg")]
    assert table.loc["svb", "ratio"] == pytest.approx(np.exp(logs[0] - logs[1]))


def test_agreement_is_the_share_of_equal_points_over_pairs_of_networks_of_different_seeds():
    rng = np.random.default_rng(0)
    maps = [("no_reg", seed, rng.integers(-1, 2, (3, 4, 4))) for seed in range(3)]
    maps.append(("svb", 1, rng.integers(-1, 2, (3, 4, 4))))
    for *_, map_ in maps:
        map_[0, 0, 0] = -1  # where logits are not finite there is no class
    table = agreement_table(maps)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([(maps[a][2] == maps[b][2]).mean() for a, b in pairs])
    assert table.loc["no_reg", "no_reg"] == pytest.approx(expected)
    expected = np.mean([(maps[n][2] == maps[3][2]).mean() for n in (0, 2)])
    assert table.loc["no_reg", "svb"] == table.loc["svb", "no_reg"] == pytest.approx(expected)
    assert np.isnan(table.loc["svb", "svb"])


def test_a_variant_of_ones_own_follows_those_of_the_study(leave, tmp_path):
    for variant in ("mine", "svb", "no_reg"):
        leave(variant, 0)
    assert list(accuracy_table(collect_results(tmp_path)).index) == ["no_reg", "svb", "mine"]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.93, 0.996, "0.96 [0.93, 0.996]"),
        (0.999, 1.0004, "0.96 [0.999, 1.0004]"),
        (0.9, 1.0, "0.96 [0.90, 1.00]"),
        (np.nan, np.nan, "0.96"),
    ],
)
def test_an_interval_that_leaves_1_out_does_not_end_at_1(low, high, text):
    assert ratio_text(pd.Series({"ratio": 0.96, "low": low, "high": high})) == text
