import json
import math
import os
from pathlib import Path

import pytest

from regularizer_collection.experiments import collect_results
from regularizer_collection.experiments.collect import load_results
from regularizer_collection.experiments.run import PROJECT
from regularizer_collection.runtime.identity import Identity


def test_there_is_a_row_for_each_run_plane_and_zoom_level(leave, tmp_path):
    for seed in (0, 1):
        leave("svb", seed)
    df = collect_results(tmp_path)
    assert df["kind"].value_counts().to_dict() == {
        "random": 2 * 2 * 6,
        "data": 2 * 4,
        "segments": 2 * 2,
    }
    results = load_results(tmp_path)[1]
    row = df[(df["seed"] == 1) & (df["zoom"] == 0.01) & (df["plane"] == 12)].iloc[0]
    measures = results["measurements"]["planes"]["random"]["zoom_levels"]["zoom_0.01"]
    assert row["boundary_length"] == measures["boundary_length"][2]
    assert row["test_accuracy"] == results["test"]["accuracy"]


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
        ({"epochs": 15}, r"seed_1/results.json and .*seed_0/results.json .* epochs 15 here and 50"),
        ({"data": {"name": "CIFAR100DataModule", "num_classes": 10}}, "classes 10 here and 100"),
        ({"data": {"name": "Shapes100", "num_classes": 100}}, 'data "Shapes100" here'),
        ({"num_planes": 5}, "image_indices of random planes .* here and "),
        ({"protocol": "stable"}, 'protocol "stable" here and "source" there'),
        ({"fingerprint": "other"}, "settings of fingerprint other here and fingerprint of svb"),
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


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_images_of_the_same_name_do_not_belong_together(split, leave, tmp_path):
    data = {"name": "ImageFolderDataModule", "num_classes": 100, "train": "a", "test": "b"}
    leave("svb", 0, data=data)
    leave("l2", 0, data=data | {split: "c"})
    with pytest.raises(ValueError, match=f'{split} images "{data[split]}" here and "c" there'):
        load_results(tmp_path)


def test_images_are_compared_with_those_of_the_first_run_that_recorded_them(leave, tmp_path):
    data = {"name": "CIFAR100DataModule", "num_classes": 100}
    leave("jacobi", 0, data=data)
    leave("l2", 0, data=data | {"test": "a"})
    leave("svb", 0, data=data | {"test": "b"})
    with pytest.raises(ValueError, match=r'svb.* and .*l2.* test images "b" here and "a" there'):
        load_results(tmp_path)


@pytest.mark.parametrize("key", ["calibration.num_foreign", "calibration.seed"])
def test_other_foreign_images_do_not_belong_together(key, leave, tmp_path):
    def identity(variant, value):
        return Identity(variant, 0, {}, evaluation={key: value}).to_dict()

    leave("l2", 0, identity=identity("l2", 1))
    leave("svb", 0, identity=identity("svb", 2))
    with pytest.raises(ValueError, match=f"{key} 2 here and 1 there"):
        load_results(tmp_path)


def test_what_is_held_out_may_differ_between_seeds(leave, tmp_path):
    data = {"name": "CIFAR100DataModule", "num_classes": 100, "test": "a"}
    leave("svb", 0, data=data | {"val": "b", "train": "c"})
    leave("svb", 1, data=data | {"val": "d", "train": "e"})
    assert len(load_results(tmp_path)) == 2


def test_one_variant_with_images_held_out_and_one_without_do_not_belong_together(leave, tmp_path):
    def identity(variant, value):
        return Identity(variant, 0, {"data.init_args.val_size": value}).to_dict()

    leave("no_reg", 0, identity=identity("no_reg", 0))
    leave("svb", 0, identity=identity("svb", 200))
    with pytest.raises(ValueError, match="val_size 200 here and 0 there"):
        load_results(tmp_path)
    assert len(load_results(tmp_path, allow_mixed=True)) == 2


@pytest.mark.parametrize(("step", "is_known"), [(7499, True), (5999, False)])
def test_the_validation_accuracy_is_that_of_the_last_weights(step, is_known, leave, tmp_path):
    path = leave("svb", 0, history={"val/accuracy": [[step, 0.25]]})
    results = json.loads(path.read_text())
    results["facts"]["steps"] = 7500
    path.write_text(json.dumps(results))
    (accuracy,) = collect_results(tmp_path)["val_accuracy"].unique()
    assert accuracy == 0.25 if is_known else math.isnan(accuracy)


def test_a_folder_that_cannot_be_read_is_named_and_skipped(leave, tmp_path, monkeypatch):
    leave("svb", 0)
    closed = leave("svb", 1).parent
    scandir = os.scandir

    def refuse(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(UserWarning, match=r"svb/seed_1 cannot be read \(Permission denied\), skip"):
        assert [run["seed"] for run in load_results(tmp_path)] == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_images": 5}, "num_images of robustness 5 here and 6 there"),
        ({"settings": {"version": 2}}, "version of robustness 2 here and null there"),
        ({"settings": {"num_steps": 9}}, "num_steps of robustness 9 here and null there"),
    ],
    ids=["images", "meaning", "attacks"],
)
def test_other_attacks_or_on_other_images_do_not_belong_together(change, message, leave, tmp_path):
    def measured(variant, seed, change):
        path = leave(variant, seed)
        results = json.loads(path.read_text())
        results["measurements"]["robustness"] |= change
        path.write_text(json.dumps(results))
        return path, results

    # The first, in the order of paths, was not attacked at all.
    path, results = measured("l2", 0, {})
    del results["measurements"]["robustness"]
    path.write_text(json.dumps(results))
    leave("l2", 1)
    measured("svb", 0, change)
    with pytest.raises(ValueError, match=message):
        load_results(tmp_path)


def test_variants_differ_in_their_configs(leave, tmp_path):
    leave("svb", 0)
    leave("l2", 0)
    assert len(load_results(tmp_path)) == 2


def test_settings_that_differ_are_named(leave, tmp_path):
    def identity(rate):
        settings = {"model.init_args.optimizer.init_args.lr": rate}
        return Identity("svb", 0, settings).to_dict()

    leave("svb", 0, identity=identity(0.1))
    leave("svb", 1, identity=identity(0.2), fingerprint="other")
    with pytest.raises(ValueError, match=r"optimizer.init_args.lr is 0.2 here and 0.1 there"):
        load_results(tmp_path)


def test_the_same_run_twice_is_refused_though_a_version_between_knew_more_settings(leave, tmp_path):
    def identity(**settings):
        settings = {f"data.init_args.{key}": value for key, value in settings.items()}
        settings["data.class_path"] = "datamodules.Shapes100DataModule"
        return Identity("svb", 0, settings)

    ours, older = identity(batch_size=100, val_size=0.0), identity(batch_size=100)
    leave("svb", 0, identity=older.to_dict(), fingerprint=older.fingerprint)
    (tmp_path / "svb" / "seed_0").rename(tmp_path / "svb" / "seed_0_run_2")
    leave("svb", 0, identity=ours.to_dict(), fingerprint=ours.fingerprint)
    with pytest.raises(ValueError, match="are the same run, svb with seed 0, made twice"):
        load_results(tmp_path)


def test_the_same_run_twice_is_refused_even_if_mixes_are_allowed(leave, tmp_path):
    twin = leave("svb", 0).parent.rename(tmp_path / "svb" / "seed_0_run_2")
    leave("svb", 0)
    with pytest.raises(ValueError, match="are the same run, svb with seed 0, made twice"):
        load_results(tmp_path, allow_mixed=True)
    assert twin.exists()


def test_links_to_folders_are_followed_and_a_circle_ends(leave, tmp_path):
    leave("svb", 0)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "svb")
    (tmp_path / "svb" / "up").symlink_to(tmp_path / "svb")
    assert [run["variant"] for run in load_results(tmp_path / "root")] == ["svb"]


def test_results_of_the_first_schema_are_read_and_say_what_they_do_not_know(tmp_path):
    (tmp_path / "results.json").write_text(
        (PROJECT / "tests/runtime/data/schema_1_results.json").read_text()
    )
    (run,) = load_results(tmp_path)
    assert run["facts"]["commit"] == "not recorded"
    assert run["facts"]["epochs"] == 15
    assert run["test"]["accuracy"] == pytest.approx(0.406)


def test_runs_with_and_without_planes_between_images_stand_together(leave, tmp_path):
    path = leave("svb", 0)
    results = json.loads(path.read_text())
    del results["measurements"]["planes"]["data"]
    path.write_text(json.dumps(results))
    leave("svb", 1)
    df = collect_results(tmp_path)
    assert set(df.loc[df["kind"] == "data", "seed"]) == {1}


def test_other_planes_between_images_are_refused(leave, tmp_path):
    path = leave("svb", 0)
    results = json.loads(path.read_text())
    results["measurements"]["planes"]["data"]["resolution"] = 7
    path.write_text(json.dumps(results))
    leave("svb", 1)
    with pytest.raises(ValueError, match=r"resolution of data planes 6 here and 7 there"):
        collect_results(tmp_path)


def test_a_distance_that_was_not_reached_is_not_a_number(leave, tmp_path):
    leave("svb", 0)
    df = collect_results(tmp_path)
    first = df[(df["kind"] == "random") & (df["plane"] == 10)]
    assert first["boundary_distance"].isna().all()
