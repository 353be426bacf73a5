import numpy as np
import pytest
from scipy import stats

from regularizer_collection.experiments import accuracy_table, collect_results, tv_table
from regularizer_collection.experiments.study import SEEDS, VARIANTS
from regularizer_collection.experiments.tables import difference_table, interval_text


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
    assert interval_text(45.19, 0.785, 3, "1 seed") == "45.19 +/- 0.785"
    assert interval_text(49.80204, 0.41649, 3, "1 seed") == "49.802 +/- 0.416"


def test_a_single_seed_has_a_mean_and_no_interval(leave, tmp_path):
    leave("svb", 0)
    table = accuracy_table(collect_results(tmp_path))
    assert np.isnan(table.loc["svb", "conf_interval"])
    assert table.loc["svb", "test accuracy"].endswith("(1 seed, no interval)")


@pytest.mark.parametrize("measure", ["tv_isotropic", "boundary_distance"])
def test_planes_are_averaged_over_seeds_first(measure, study):
    table = tv_table(study, measure)
    for variant in VARIANTS:
        for zoom in (0.025, 0.01):
            rows = study[(study["variant"] == variant) & (study["zoom"] == zoom)]
            planes = rows.groupby("plane")[measure].mean()
            assert table.loc[variant, (zoom, "mean")] == pytest.approx(planes.mean())
            expected = notebook_interval(planes)
            assert table.loc[variant, (zoom, "conf_interval")] == pytest.approx(expected)


def test_differences_are_paired_and_corrected(study):
    table = difference_table(study, "test_accuracy", "seed")
    assert list(table.index) == [name for name in VARIANTS if name != "no_reg"]
    baseline = accuracies(study, "no_reg")
    tests = {v: stats.ttest_rel(accuracies(study, v), baseline) for v in table.index}
    ordered = sorted(tests, key=lambda variant: tests[variant].pvalue)
    expected, highest = {}, 0.0
    for rank, variant in enumerate(ordered):
        highest = max(highest, min(1, (4 - rank) * tests[variant].pvalue))
        expected[variant] = highest
    for variant in table.index:
        difference = accuracies(study, variant) - baseline
        row = table.loc[variant]
        assert row["pairs"] == 5
        assert row["difference"] == pytest.approx(difference.mean())
        assert row["conf_interval"] == pytest.approx(notebook_interval(difference))
        assert row["effect size"] == pytest.approx(difference.mean() / difference.std(ddof=1))
        assert row["p (Holm)"] == pytest.approx(expected[variant])


def test_planes_are_paired_by_image_and_seed(study):
    row = difference_table(study, "boundary_length", "plane").loc[("l2", 0.01)]
    at = study[study["zoom"] == 0.01].set_index(["variant", "seed", "plane"])["boundary_length"]
    per_plane = (at["l2"] - at["no_reg"]).groupby("plane").mean()
    assert row["pairs"] == 6
    assert row["difference"] == pytest.approx(per_plane.mean())
    per_seed = (at["l2"] - at["no_reg"]).groupby("seed").mean()
    row = difference_table(study, "boundary_length", "seed").loc[("l2", 0.01)]
    assert (row["pairs"], row["conf_interval"]) == (5, pytest.approx(notebook_interval(per_seed)))


def test_only_common_seeds_are_paired(leave, tmp_path):
    for variant, seeds in (("no_reg", (0, 1, 2)), ("svb", (1, 2, 3)), ("l2", (7,))):
        for seed in seeds:
            leave(variant, seed)
    table = difference_table(collect_results(tmp_path), "test_accuracy", "seed")
    assert table["pairs"].to_dict() == {"svb": 2}


def test_a_single_pair_has_a_difference_and_nothing_more(leave, tmp_path):
    leave("no_reg", 0)
    leave("svb", 0)
    row = difference_table(collect_results(tmp_path), "test_accuracy", "seed").loc["svb"]
    assert np.isfinite(row["difference"])
    assert row[["conf_interval", "effect size", "p (Holm)"]].isna().all()


def test_a_variant_of_ones_own_follows_those_of_the_study(leave, tmp_path):
    for variant in ("mine", "svb", "no_reg"):
        leave(variant, 0)
    assert list(accuracy_table(collect_results(tmp_path)).index) == ["no_reg", "svb", "mine"]
