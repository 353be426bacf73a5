import pytest

from regularizer_collection.experiments import collect_results
from regularizer_collection.experiments.collect import load_results


def test_there_is_a_row_for_each_run_zoom_level_and_plane(leave, tmp_path):
    for seed in (0, 1):
        leave("svb", seed)
    df = collect_results(tmp_path)
    assert len(df) == 2 * 2 * 6
    results = load_results(tmp_path)[1]
    row = df[(df["seed"] == 1) & (df["zoom"] == 0.01) & (df["plane"] == 12)].iloc[0]
    measures = results["evaluation"]["zoom_levels"]["zoom_0.01"]
    assert row["boundary_length"] == measures["boundary_length"][2]
    assert row["test_accuracy"] == results["test_accuracy"]


def test_a_file_that_is_not_whole_is_named_and_skipped(leave, tmp_path):
    leave("svb", 0)
    broken = leave("svb", 1)
    broken.write_text(broken.read_text()[:100])
    with pytest.warns(UserWarning, match=r"svb/seed_1/results.json is not a whole results file"):
        assert [run["seed"] for run in load_results(tmp_path)] == [0]


def test_no_results_at_all_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no results.json below .*; give the folder"):
        load_results(tmp_path)


def test_another_schema_version_is_refused_by_name(leave, tmp_path):
    leave("svb", 0)
    leave("svb", 1, schema_version=99)
    with pytest.raises(ValueError, match=r"seed_1/results.json has schema version 99"):
        load_results(tmp_path, allow_mixed=True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epochs": 15}, r"seed_1/results.json has epochs 15, .*seed_0/results.json has 50"),
        ({"num_classes": 10}, "has num_classes 10"),
        ({"data": "Shapes100DataModule"}, 'has data "Shapes100DataModule"'),
        ({"num_planes": 5}, "has planes "),
        ({"config_hash": "other"}, 'has config_hash "other"'),
    ],
)
def test_what_does_not_belong_together_is_refused_by_name_unless_allowed(
    overrides, message, leave, tmp_path
):
    leave("svb", 0)
    leave("svb", 1, **overrides)
    with pytest.raises(ValueError, match=message):
        collect_results(tmp_path)
    assert collect_results(tmp_path, allow_mixed=True)["seed"].nunique() == 2


def test_variants_differ_in_their_configs(leave, tmp_path):
    leave("svb", 0)
    leave("l2", 0)
    assert len(load_results(tmp_path)) == 2
