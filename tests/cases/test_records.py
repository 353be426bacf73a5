"""Section A of cases.md: a record is what ran, and no command overwrites another's."""

import json
import math
import os
import re
import shutil
import sys
from itertools import product

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from regularizer_collection.__main__ import main
from regularizer_collection.callbacks import DataPlanes, Measurement
from regularizer_collection.callbacks.attack_protocol import VERSION
from regularizer_collection.experiments import run as run_module
from regularizer_collection.experiments.collect import collect_results, load_results
from regularizer_collection.functional.weights import weights_hash
from regularizer_collection.runtime.checkpoint_io import SafeCheckpointIO
from regularizer_collection.runtime.last_checkpoint import LastCheckpoint
from regularizer_collection.runtime.launch import launch
from regularizer_collection.runtime.results_file import num_missing
from tests.cases.conftest import TINY, results, shorten, snapshot

RUN = "no_reg/seed_0"
TINY_NET = ("--model.backbone", "tests.cases.tiny.TinyNet")
LAST = f"runs/{RUN}/checkpoints/last.ckpt"
TRUSTED = ("--allow_imports", "tests")
KEPT = (
    "--trainer.callbacks=ModelCheckpoint",
    *("--trainer.callbacks.save_top_k=-1", "--trainer.callbacks.filename={epoch}"),
)
ONE_CYCLE = ("--lr_scheduler=torch.optim.lr_scheduler.OneCycleLR", "--lr_scheduler.max_lr=0.1")
STOPS_EARLY = (
    *("--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=lr"),
    *("--trainer.callbacks.patience=1", "--optimizer.lr=0.0"),
)


pytestmark = pytest.mark.usefixtures("preloaded")


def last_line(capfd):
    (line,) = (o for o in capfd.readouterr().err.splitlines() if o.startswith("error: "))
    return line


def study_of(overlay):
    """Returns the command line of a study of one run, below ``s``."""
    one = ["study", "--variants", "no_reg", "--seeds", "0", "--overlay", overlay]
    return [*one, "--root", "s", *TRUSTED]


class TestPaths:
    """A path means the same wherever it is written."""

    @pytest.mark.parametrize("written", ["~/case_runs", "$PLACE/case_runs", "${PLACE}/case_runs"])
    def test_in_a_config_is_expanded_for_all_that_a_run_leaves(
        self, written, run, here, monkeypatch
    ):
        monkeypatch.setenv("HOME", str(here / "home"))
        monkeypatch.setenv("PLACE", str(here / "home"))
        (here / "root.yaml").write_text(yaml.safe_dump({"trainer": {"default_root_dir": written}}))
        assert run("fit", "--config", "root.yaml") == 0
        folder = here / "home/case_runs" / RUN
        assert {"config.yaml", "run.json", "history.json", "results.json"} <= {
            path.name for path in folder.iterdir()
        }
        assert {path.name for path in here.iterdir()} == {"home", "tiny.yaml", "root.yaml"}

    def test_that_is_lightnings_default_means_ours(self, run, here):
        args = ("--trainer.default_root_dir", "null", "--trainer.max_epochs", "1")
        assert run("fit", *args) == 0
        assert results(here / "runs" / RUN)["facts"]["epochs"] == 1

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            ("s3://bucket/runs", "s3://bucket/runs is not on a file system"),
            ("$NOWHERE/runs", "names the variable NOWHERE, which is not set"),
            ("~nobody-here/runs", "names the home of nobody-here, who is no user"),
        ],
    )
    def test_that_leads_nowhere_is_refused(self, written, message, run, capfd):
        assert run("fit", "--trainer.default_root_dir", written) == 2
        assert message in last_line(capfd)


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".", ".."])
def test_a_variant_is_the_name_of_one_folder(name, run, here, capfd):
    assert run("fit", "--variant", name) == 2
    assert last_line(capfd) == (
        f"error: variant is {name!r}; give the name of a folder, which has no slash"
    )
    assert [path.name for path in here.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("seed", ["true", "false", "-1", "4294967296"])
def test_a_run_without_a_seed_is_refused(seed, run, capfd):
    assert run("fit", "--seed_everything", seed) == 2
    assert f"seed_everything is {seed.capitalize()}; give a number" in last_line(capfd)


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    configs = ("--config", "no_reg.yaml", "--config", str(folder / "tiny.yaml"))
    root = ("--trainer.default_root_dir", str(folder / "runs"))
    assert main(["fit", *configs, "--variant", "no_reg", *root, *TRUSTED]) == 0
    return folder / "runs"


@pytest.fixture
def finished(finished_runs, here):
    """The folder of a finished run."""
    shutil.copytree(finished_runs, here / "runs")
    return here / "runs" / RUN


class TestContinuing:
    """Only the same run is continued."""

    def test_another_run_is_refused_and_stays_as_it_is(self, finished, run, here, capfd):
        before = snapshot(here / "runs")
        args = ("--variant", "finetuned", "--seed_everything", "7", "--ckpt_path", LAST)
        assert run("fit", *args, "--trainer.max_epochs", "5") == 2
        line = last_line(capfd)
        assert "seed is 7 here and 0 there; variant is finetuned here and no_reg there" in line
        assert line.endswith("to begin with its weights give --initial_weights")
        assert snapshot(here / "runs") == before

    @pytest.mark.counted
    def test_with_other_options_is_refused_by_name(self, finished, run, here, capfd):
        before = snapshot(here / "runs")
        args = ("--ckpt_path", "last", "--trainer.max_epochs", "3", "--optimizer.lr", "0.5")
        assert run("fit", *args) == 2
        assert "optimizer.init_args.lr is 0.5 here and 0.1 there" in last_line(capfd)
        assert snapshot(here / "runs") == before

    @pytest.mark.counted
    @pytest.mark.parametrize(
        ("length", "message"),
        [
            (("--trainer.max_epochs", "1"), "trainer.max_epochs is 1, and the run has 2 behind"),
            (("--trainer.max_steps", "3"), "trainer.max_steps is 3, and the run has 6 behind"),
        ],
    )
    def test_shorter_than_it_is_already_is_refused(
        self, length, message, finished, run, here, capfd
    ):
        before = snapshot(here / "runs")
        assert run("fit", "--ckpt_path", "last", *length) == 2
        assert re.search(message, last_line(capfd))
        assert snapshot(here / "runs") == before

    @pytest.mark.counted
    @pytest.mark.parametrize("older", ["epoch=0.ckpt", "previous.ckpt"])
    def test_from_an_older_checkpoint_no_run_is_made_shorter_than_it_is(
        self, older, run, here, capfd
    ):
        assert run("fit", *KEPT, "--trainer.max_epochs", "3") == 0
        before = snapshot(here / "runs")
        checkpoint = f"runs/{RUN}/checkpoints/{older}"
        assert run("fit", *KEPT, "--trainer.max_epochs", "2", "--ckpt_path", checkpoint) == 2
        assert last_line(capfd) == (
            "error: trainer.max_epochs is 2, and the run has 3 behind it; a run can be made "
            "longer, not shorter"
        )
        assert snapshot(here / "runs") == before

    @pytest.mark.counted
    def test_with_a_schedule_that_is_made_for_one_length_is_refused_at_another(
        self, run, here, capfd
    ):
        assert run("fit", *ONE_CYCLE) == 0
        before = snapshot(here / "runs")
        longer = ("--ckpt_path", "last", "--trainer.max_epochs", "5")
        assert run("fit", *ONE_CYCLE, *longer) == 2
        assert last_line(capfd) == (
            "error: the schedule of the checkpoint is made for 6 steps, and trainer.max_epochs is "
            "5 here and 2 there; leave --ckpt_path out to train anew at that length"
        )
        assert snapshot(here / "runs") == before

    @pytest.mark.parametrize(
        ("cls", "method"),
        [(LastCheckpoint, "on_train_epoch_end"), (SafeCheckpointIO, "save_checkpoint")],
    )
    def test_that_fails_before_its_first_checkpoint_leaves_a_finished_run_as_it_is(
        self, cls, method, finished, run, monkeypatch
    ):
        before = snapshot(finished)

        def fail(*_, **options):
            raise RuntimeError("out of order")

        monkeypatch.setattr(cls, method, fail)
        assert run("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4") == 2
        after = snapshot(finished)
        changed = {path.name for path in before if after[path] != before[path]}
        assert changed == {"history.json"}  # where a continuation writes over what failed

    def test_from_a_named_checkpoint_does_not_read_a_damaged_one(self, finished, run, here):
        shutil.copy(here / LAST, finished / "checkpoints" / "kept.ckpt")
        for name in ("last.ckpt", "previous.ckpt"):
            (finished / "checkpoints" / name).write_bytes(b"?")
        kept = ("--ckpt_path", str(finished / "checkpoints" / "kept.ckpt"))
        assert run("fit", *kept, "--trainer.max_epochs", "3") == 0
        assert results(finished)["facts"]["epochs"] == 3

    def test_a_run_that_stopped_early_is_measured_again_and_trains_nothing(self, run, here):
        stopped = (*STOPS_EARLY, "--trainer.max_epochs", "9")
        assert run("fit", *stopped) == 0
        folder = here / "runs" / RUN
        before = results(folder)
        checkpoint = (here / LAST).read_bytes()
        assert run("fit", *stopped, "--ckpt_path", "last", "--evaluation.resolution", "9") == 0
        after = results(folder)
        assert (after["facts"], after["test"]) == (before["facts"], before["test"])
        assert after["history"] == before["history"]
        assert after["measurements"]["planes"]["random"]["resolution"] == 9
        assert yaml.safe_load((folder / "config.yaml").read_text())["evaluation"]["resolution"] == 9
        assert (here / LAST).read_bytes() == checkpoint

    def test_other_measures_never_replace_those_of_a_run_that_an_older_version_recorded(
        self, finished, run
    ):
        path = finished / "run.json"
        record = json.loads(path.read_text())
        known = record["identity"]["evaluation"]
        record["identity"]["evaluation"] = {k: v for k, v in known.items() if "." not in k}
        path.write_text(json.dumps(record))
        before = snapshot(finished)
        assert run("test", "--ckpt_path", LAST, "--robustness.num_images", "0") == 0
        after = {path: hash_ for path, hash_ in snapshot(finished).items() if path in before}
        assert after == before

    def test_a_finished_run_keeps_its_facts(self, finished, run):
        before = json.loads((finished / "run.json").read_text())
        assert run("fit", "--ckpt_path", "last", "--evaluation.resolution", "9") == 0
        after = json.loads((finished / "run.json").read_text())
        assert after["facts"] == before["facts"] == results(finished)["facts"]

    def test_where_it_runs_and_what_it_shows_may_differ(self, finished, run):
        neutral = ("--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu")
        args = ("--ckpt_path", "last", "--trainer.max_epochs", "3", *neutral)
        assert run("fit", *args) == 0
        assert results(finished)["facts"]["epochs"] == 3

    def test_longer_follows_the_schedule_of_the_new_length_and_says_both(self, run, here):
        every = ("--trainer.log_every_n_steps", "1")
        assert run("fit", "--trainer.max_epochs", "3", *every) == 0
        assert run("fit", "--trainer.max_epochs", "9", "--ckpt_path", "last", *every) == 0
        folder = here / "runs" / RUN
        history = json.loads((folder / "history.json").read_text())
        rates = dict(history["lr"])
        assert [round(rates[step], 9) for step in (8, 9, 17, 18, 26)] == [
            *(0.001, 0.01, 0.01, 0.001, 0.001)
        ]
        facts = results(folder)["facts"]
        assert (facts["planned_epochs"], facts["epochs"], facts["steps"]) == ([3, 9], 9, 27)

    def test_a_copy_elsewhere_begins_in_a_folder_of_its_own(self, finished, run, here):
        before = snapshot(finished)
        shutil.copy(here / LAST, here / "copy.ckpt")
        args = ("--ckpt_path", "copy.ckpt", "--trainer.max_epochs", "3")
        assert run("fit", *args, "--trainer.default_root_dir", "other") == 0
        assert snapshot(finished) == before
        assert results(here / "other" / RUN)["facts"]["epochs"] == 3

    @pytest.mark.parametrize("length", ["2", "3"])
    def test_a_run_that_was_moved_takes_its_history_along(self, length, finished, run, here):
        curve = results(finished)["history"]["test_curve/accuracy"]
        (here / "runs").rename(here / "archive")
        checkpoint = LAST.replace("runs", "archive", 1)
        assert run("fit", "--ckpt_path", checkpoint, "--trainer.max_epochs", length) == 0
        goes_on = results(here / "runs" / RUN)["history"]["test_curve/accuracy"]
        assert goes_on[:2] == curve
        assert len(goes_on) == int(length)

    def test_in_a_root_behind_a_link_goes_on_in_its_folder(self, finished, run, here):
        (here / "linked").symlink_to(here / "runs")
        more = ("--trainer.max_epochs", "3", "--ckpt_path", str(here / LAST))
        assert run("fit", *more, "--trainer.default_root_dir", "linked") == 0
        assert len(results(finished)["history"]["test_curve/accuracy"]) == 3
        assert [path.name for path in finished.parent.iterdir()] == ["seed_0"]

    def test_of_a_checkpoint_behind_a_link_goes_on_in_its_folder(self, finished, run, here):
        (here / "resume.ckpt").symlink_to(here / LAST)
        assert run("fit", "--trainer.max_epochs", "3", "--ckpt_path", "resume.ckpt") == 0
        assert len(results(finished)["history"]["test_curve/accuracy"]) == 3
        assert [path.name for path in finished.parent.iterdir()] == ["seed_0"]

    def test_of_a_checkpoints_folder_behind_a_link_goes_on_beside_it(self, finished, run, here):
        (finished / "checkpoints").rename(here / "scratch")
        (finished / "checkpoints").symlink_to(here / "scratch")
        assert run("fit", "--trainer.max_epochs", "3", "--ckpt_path", str(here / LAST)) == 0
        assert len(results(finished)["history"]["test_curve/accuracy"]) == 3
        assert [path.name for path in finished.parent.iterdir()] == ["seed_0"]

    @pytest.mark.parametrize("named", [True, False])
    def test_goes_on_where_a_folder_of_a_lower_number_was_removed(self, named, finished, run, here):
        again = finished.rename(finished.with_name("seed_0_run_2"))
        path = str(again / "checkpoints/last.ckpt") if named else "last"
        assert run("fit", "--trainer.max_epochs", "3", "--ckpt_path", path) == 0
        assert len(results(again)["history"]["test_curve/accuracy"]) == 3
        assert not finished.exists()
        assert run("fit") == 0  # anew, in the first place that is free
        assert results(finished)["facts"]["epochs"] == 2

    def test_takes_the_run_that_was_cut_off_not_a_shorter_one(
        self, finished, run, here, monkeypatch
    ):
        before = snapshot(finished)
        with monkeypatch.context() as patch:
            shorten(patch, 2)
            assert run("fit", "--trainer.max_epochs", "4") == 130
        assert run("fit", "--trainer.max_epochs", "4", "--ckpt_path", "last") == 0
        again = finished.with_name("seed_0_run_2")
        assert results(again)["facts"]["planned_epochs"] == [4]
        assert len(results(again)["history"]["test_curve/accuracy"]) == 4
        assert snapshot(finished) == before

    def test_last_is_the_runs_own_whatever_else_callbacks_keep(self, run, here):
        kept = [f"--trainer.callbacks{rest}" for rest in ("=ModelCheckpoint", ".save_last=true")]
        kept.append(f"--trainer.callbacks.dirpath={here / 'kept'}")
        assert run("fit", *kept) == 0
        before = results(here / "runs" / RUN)
        assert run("fit", *kept, "--seed_everything", "1") == 0
        assert run("test", *kept, "--ckpt_path", "last") == 0
        after = results(here / "runs" / RUN)
        assert after["test"] == before["test"]

    def test_what_another_run_left_as_it_crashed_begins_no_run(self, finished, run, here):
        (here / "crashed").mkdir()
        shutil.copy(here / LAST, here / "crashed/on_exception.ckpt")
        callback = "pytorch_lightning.callbacks.OnExceptionCheckpoint"
        crashed = (f"--trainer.callbacks={callback}", "--trainer.callbacks.dirpath=crashed")
        assert run("fit", *crashed, "--seed_everything", "1") == 0
        other = results(here / "runs/no_reg/seed_1")
        assert len(other["history"]["test_curve/accuracy"]) == 2

    def test_a_damaged_checkpoint_beside_a_good_one_is_passed_over(self, finished, run, here):
        whole = (here / LAST).read_bytes()
        for number, size in enumerate((100, 5_000, len(whole) // 2), start=1):
            (finished / f"hpc_ckpt_{number}.ckpt").write_bytes(whole[:size])
        assert run("fit", "--trainer.max_epochs", "3", "--ckpt_path", "last") == 0
        assert results(finished)["facts"]["epochs"] == 3

    def test_best_is_told_to_have_no_meaning(self, finished, run, capfd):
        for command in ("fit", "test"):
            assert run(command, "--ckpt_path", "best") == 2
            assert "give last or a path" in last_line(capfd)


class TestInitialWeights:
    """Weights to begin with make a new run, which says which."""

    @pytest.mark.parametrize("form", ["checkpoint", "state dict"])
    def test_are_taken_and_recorded(self, form, finished, run, here):
        weights = torch.load(here / LAST, weights_only=True)["state_dict"]
        path = LAST
        if form == "state dict":
            path = "weights.pth"
            plain = {name.removeprefix("backbone."): w for name, w in weights.items()}
            older = ("accuracy", "num_batches_tracked")  # which torch did not always write
            torch.save({n: w for n, w in plain.items() if not n.endswith(older)}, path)
        args = ("--initial_weights", path, "--variant", "tuned", "--optimizer.lr", "0.0")
        assert run("fit", *args, "--trainer.max_epochs", "1") == 0
        tuned = torch.load(here / "runs/tuned/seed_0/checkpoints/last.ckpt", weights_only=True)
        assert torch.equal(tuned["state_dict"]["backbone.fc.weight"], weights["backbone.fc.weight"])
        assert (
            len(results(here / "runs/tuned/seed_0")["identity"]["settings"]["initial_weights"])
            == 16
        )

    def test_are_the_same_wherever_they_lie(self, finished, here, capfd):
        args = study_of("tiny.yaml")
        assert main([*args, f"--options=[--initial_weights={LAST}]"]) == 0
        shutil.copy(here / LAST, here / "copy.ckpt")
        assert main([*args, "--options=[--initial_weights=copy.ckpt]"]) == 0
        assert "1 of them finished before" in capfd.readouterr().out
        assert main(args) == 2
        assert "initial_weights is None here and" in last_line(capfd)

    def test_that_are_missing_are_told(self, run, here, capfd):
        assert run("fit", "--initial_weights", "nowhere.pth") == 2
        assert f"no file {here / 'nowhere.pth'}; give" in last_line(capfd)

    @pytest.mark.counted
    def test_of_another_network_are_refused(self, finished, run, capfd):
        wide = ("--model.backbone.width", "8", "--variant", "wide")
        assert run("fit", "--initial_weights", LAST, *wide) == 2
        assert "has another shape of conv.weight, which TinyNet needs" in last_line(capfd)


def test_a_seed_of_data_or_model_alone_is_refused(run, capfd):
    for option in ("--data.seed", "--model.init_args.seed=3", "--data.init_args.seed"):
        assert run("fit", *option.partition("=")[:1], "7") == 2
        assert "is always the run's seed; give --seed_everything" in last_line(capfd)


def test_a_data_module_that_takes_no_seed_has_the_runs(here):
    args = ["fit", "--config", "no_reg.yaml", "--config", "tiny.yaml", "--variant", "own"]
    args += ["--data", "tests.cases.tiny.TinyData", "--seed_everything", "3", *TRUSTED]
    cli = launch([*args, "--trainer.fast_dev_run", "true"])
    assert cli.datamodule.seed == cli.model.seed == 3


class TestTesting:
    """Only a run's own final weights on its own data and planes renew its results."""

    @pytest.mark.counted
    def test_the_same_again_gives_the_same_results(self, finished, run):
        before = results(finished)
        assert run("test", "--ckpt_path", LAST) == 0
        assert results(finished) == before

    def test_however_much_is_measured_at_a_time_renews_them(self, finished, run):
        (finished / "results.json").write_text("{}")
        assert run("test", "--ckpt_path", LAST, "--robustness.chunk_size", "1") == 0
        assert results(finished)["measurements"]["robustness"]["num_images"] == 2
        assert not list(finished.rglob("test.json"))

    def test_a_run_that_cannot_be_written_to_is_tested_in_the_root(
        self, finished, run, here, monkeypatch
    ):
        before = snapshot(finished)
        access = os.access
        monkeypatch.setattr(
            os, "access", lambda path, mode: path != finished and access(path, mode)
        )
        args = ("--ckpt_path", str(here / LAST), "--trainer.default_root_dir", "mine")
        assert run("test", *args) == 0
        assert snapshot(finished) == before
        (path,) = (here / "mine/no_reg/tests").glob("*/test.json")
        tested = json.loads(path.read_text())
        assert tested["test"] == results(finished)["test"]

    @pytest.mark.parametrize("root", [(), ("--trainer.default_root_dir", "fresh_root")])
    def test_a_moved_checkpoint_has_results_of_its_own(self, root, finished, run, here):
        (here / "moved").mkdir()
        shutil.copy(here / LAST, here / "moved/model.ckpt")
        before = snapshot(finished)
        assert run("test", "--ckpt_path", "moved/model.ckpt", *root) == 0
        assert snapshot(finished) == before
        (own,) = (here / (root[1] if root else "runs")).rglob("test.json")
        facts = json.loads(own.read_text())["facts"]
        assert facts["tested"] == str(here / "moved/model.ckpt")
        assert facts["weights_sha256"] == results(finished)["facts"]["weights_sha256"]

    def test_of_weights_of_another_training_says_what_that_was(self, finished, run, here):
        shutil.copy(here / LAST, here / "model.ckpt")
        stable = ("--variant", "other", "--config", "stable.yaml", "--seed_everything", "7")
        assert run("test", "--ckpt_path", "model.ckpt", *stable) == 0
        (own,) = (here / "runs").rglob("test.json")
        trained_as = json.loads(own.read_text())["facts"]["trained_as"]
        trained = results(finished)["identity"]
        assert trained_as == trained
        assert (trained_as["variant"], trained_as["seed"]) == ("no_reg", 0)
        bare = torch.load("model.ckpt", weights_only=True)
        del bare["identity"]
        torch.save(bare, "bare.ckpt")
        assert run("test", "--ckpt_path", "bare.ckpt", "--trainer.default_root_dir", "bare") == 0
        (own,) = (here / "bare").rglob("test.json")
        assert json.loads(own.read_text())["facts"]["trained_as"] is None

    @pytest.mark.filterwarnings("ignore:interrupted")
    @pytest.mark.parametrize("is_complete", [True, False])
    def test_a_ctrl_c_replaces_no_results_that_miss_less(
        self, is_complete, finished, run, capfd, monkeypatch
    ):
        path = finished / "results.json"
        before = results(finished)
        if not is_complete:
            del before["measurements"]["planes"]["random"]
            path.write_text(json.dumps(before))
        measure = DataPlanes.measure

        def interrupted(self, subject, plane, number):
            if number == 6:
                raise KeyboardInterrupt
            return measure(self, subject, plane, number)

        monkeypatch.setattr(DataPlanes, "measure", interrupted)
        assert run("test", "--ckpt_path", LAST) == 0
        assert (results(finished) == before) == is_complete
        line = f"Kept: {path}, of which this test was interrupted with less"
        assert (line in capfd.readouterr().out) == is_complete

    @pytest.mark.filterwarnings("ignore:interrupted")
    def test_what_a_ctrl_c_kept_from_being_measured_at_all_is_told(self, run, here, monkeypatch):
        measure_each = Measurement.measure_each

        def interrupted(self, title, items, measure, *others):
            def interrupt(item, number):
                raise KeyboardInterrupt

            is_cut_off = title == "Parts of calibration"
            return measure_each(self, title, items, interrupt if is_cut_off else measure, *others)

        monkeypatch.setattr(Measurement, "measure_each", interrupted)
        assert run("fit") == 0
        measurements = results(here / "runs" / RUN)["measurements"]
        assert measurements["cut_off"] == ["calibration"]
        assert num_missing(measurements) == math.inf
        monkeypatch.setattr(Measurement, "measure_each", measure_each)
        assert run("test", "--ckpt_path", LAST) == 0
        measurements = results(here / "runs" / RUN)["measurements"]
        assert "calibration" in measurements
        assert num_missing(measurements) == 0

    @pytest.mark.counted
    def test_a_part_of_the_images_is_no_new_test_of_a_finished_run(
        self, finished, run, here, capfd
    ):
        before = snapshot(here / "runs")
        assert run("fit", "--ckpt_path", "last", "--trainer.limit_test_batches", "1") == 2
        assert last_line(capfd) == (
            "error: trainer.limit_test_batches is 1 here and None there, and the run has its "
            "results; test in place of fit keeps those of a part apart"
        )
        assert snapshot(here / "runs") == before
        shutil.copytree(here / "runs", here / "s")
        before = snapshot(here / "s")
        assert main([*study_of("tiny.yaml"), "--trainer.limit_test_batches", "1"]) == 2
        assert "trainer.limit_test_batches is 1 here and None there" in last_line(capfd)
        assert snapshot(here / "s") == before

    @pytest.mark.parametrize(
        "other",
        [
            ("--data.data_seed", "99"),
            ("--data.test_size", "50"),
            ("--trainer.limit_test_batches", "1"),
            ("--trainer.precision", "64-true"),
            ("--trainer.plugins", "DoublePrecision"),
            ("--evaluation.resolution", "12"),
        ],
        ids=" ".join,
    )
    def test_on_other_terms_has_results_of_its_own_that_no_report_mixes_in(
        self, other, finished, run, here
    ):
        before = snapshot(finished)
        assert run("test", "--ckpt_path", LAST, *other) == 0
        after = snapshot(finished)
        assert {path: after[path] for path in before} == before
        (own,) = finished.rglob("test.json")
        assert json.loads(own.read_text())["facts"]["tested"] == str(here / LAST)
        assert len(load_results(here / "runs")) == 1

    def test_a_second_measurement_of_one_kind_is_refused(self, run, here, capfd):
        given = ("--trainer.callbacks", "Evaluation", "--trainer.callbacks.num_planes", "2")
        assert run("fit", *given) == 2
        assert last_line(capfd).endswith("leave it out and give --evaluation.*")
        assert not (here / "runs").exists()

    def test_a_validation_leaves_everything_as_it_is(self, finished, run):
        before = snapshot(finished)
        assert run("validate", "--ckpt_path", LAST, "--trainer.logger", "true") == 0
        assert snapshot(finished) == before

    @pytest.mark.counted
    @pytest.mark.parametrize("command", ["test", "predict"])
    def test_weights_that_nothing_trained_are_told(self, command, run, capfd):
        assert run(command) == 0
        assert "Nothing has trained these weights" in capfd.readouterr().out

    def test_a_run_that_was_tested_on_a_part_says_so(self, run, here):
        part = ("--trainer.limit_test_batches", "1", "--data.batch_size", "50")
        assert run("fit", *part) == 0
        folder = here / "runs" / RUN
        before = snapshot(folder)
        assert results(folder)["identity"]["evaluation"]["trainer.limit_test_batches"] == 1
        assert run("test", "--ckpt_path", LAST, *part[2:]) == 0  # on all images
        assert {path: snapshot(folder)[path] for path in before} == before
        assert run("fit", *part[2:], "--seed_everything", "1") == 0
        with pytest.raises(ValueError, match="limit of test batches null here and 1 there"):
            load_results(here / "runs")

    def test_a_prediction_of_a_part_is_kept_apart(self, run, here):
        batch = ("--data.batch_size", "50")
        assert run("fit", *batch) == 0
        assert run("predict", "--ckpt_path", LAST, *batch) == 0
        before = snapshot(here / "runs")
        part = ("--trainer.limit_predict_batches", "1")
        assert run("predict", "--ckpt_path", LAST, *batch, *part) == 0
        assert {path: snapshot(here / "runs")[path] for path in before} == before

    def test_a_checkpoint_in_the_middle_of_a_run_has_results_of_its_own(self, run, here):
        every = ("--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.save_top_k", "-1")
        middle = ("--trainer.callbacks.dirpath", "kept", "--trainer.callbacks.filename", "{epoch}")
        assert run("fit", *every, *middle) == 0
        before = snapshot(here / "runs")
        assert run("test", "--ckpt_path", "kept/epoch=0.ckpt", *every, *middle) == 0
        after = snapshot(here / "runs")
        assert {path: after[path] for path in before} == before


class TestFacts:
    """Results say what happened, not what was planned."""

    @pytest.mark.parametrize(
        ("args", "epochs", "steps", "stopped_by"),
        [
            (("--trainer.max_steps", "1", "--trainer.max_epochs", "50"), 0.333, 1, "max_steps"),
            (("--trainer.max_epochs", "-1", "--trainer.max_steps", "4"), 1.333, 4, "max_steps"),
            (("--trainer.max_epochs", "2"), 2, 6, "max_epochs"),
            (("--trainer.max_epochs", "0"), 0, 0, "max_epochs"),
            (("--trainer.limit_train_batches", "0"), 0, 0, "a callback"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_of_the_length(self, args, epochs, steps, stopped_by, run, here):
        assert run("fit", *args) == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert (facts["epochs"], facts["steps"], facts["stopped_by"]) == (epochs, steps, stopped_by)
        assert main(["report", "runs"]) == 0

    def test_of_a_part_of_the_images_are_a_part_of_the_epochs(self, run, here):
        assert run("fit", "--trainer.max_epochs", "4", "--trainer.limit_train_batches", "1") == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert (facts["epochs"], facts["max_epochs"]) == (1.333, 4)

    @pytest.mark.filterwarnings("ignore")  # jsonargparse's and Lightning's own
    def test_of_averaged_weights_count_no_pass_for_statistics(self, run, here):
        averaging = ("=StochasticWeightAveraging", ".swa_lrs=0.05", ".swa_epoch_start=1")
        assert run("fit", *(f"--trainer.callbacks{rest}" for rest in averaging)) == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert (facts["epochs"], facts["planned_epochs"]) == (2, [2])

    def test_of_a_stream_are_there(self, run, here):
        stream = ("--data", "tests.cases.tiny.StreamData", "--trainer.max_epochs", "-1")
        assert run("fit", *stream, "--trainer.max_steps", "4") == 0
        assert results(here / "runs" / RUN)["facts"]["steps"] == 4

    def test_of_a_stream_that_ends_have_its_epochs(self, run, here):
        steady = ("--lr_scheduler", "torch.optim.lr_scheduler.ConstantLR")
        assert run("fit", "--data", "tests.cases.tiny.ShortStreamData", *steady) == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert (facts["epochs"], facts["steps"]) == (2, 24)

    def test_of_the_weights_are_those_that_are_tested(self, run, here):
        assert run("fit", "--model", "tests.cases.tiny.MovedAtTheEnd", *TINY_NET) == 0
        tested = results(here / "runs" / RUN)
        saved = torch.load(here / LAST, weights_only=True)["state_dict"]
        assert tested["facts"]["weights_sha256"] != weights_hash(saved)
        saved["backbone.fc.bias"] += 1.0
        assert tested["facts"]["weights_sha256"] == weights_hash(saved)

    @pytest.mark.filterwarnings("ignore")
    def test_of_averaged_weights_whose_test_is_made_up_for(self, run, here):
        averaging = ("--trainer.callbacks", "EMAWeightAveraging")
        assert run("fit", *averaging) == 0
        whole = results(here / "runs" / RUN)
        (here / "runs" / RUN / "results.json").unlink()
        assert run("fit", *averaging, "--ckpt_path", "last") == 0
        again = results(here / "runs" / RUN)
        assert (again["test"], again["facts"]) == (whole["test"], whole["facts"])

    def test_of_a_time_limit(self, run, here):
        assert run("fit", "--trainer.max_time", "00:00:00:01", "--trainer.max_epochs", "5000") == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert facts["stopped_by"] == "max_time"
        assert 0 < facts["epochs"] < 5000

    def test_of_early_stopping(self, run, here):
        assert run("fit", *STOPS_EARLY, "--trainer.max_epochs", "9") == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert (facts["stopped_by"], facts["epochs"]) == ("early stopping", 2)

    def test_of_early_stopping_is_told(self, run, capsys):
        early = ("--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "lr")
        assert run("fit", *early, "--trainer.callbacks.stopping_threshold", "9") == 0
        assert "\nStopped by early stopping after 3 steps.\n" in capsys.readouterr().out
        assert run("fit", "--variant", "whole") == 0
        assert "Stopped" not in capsys.readouterr().out

    def test_of_early_stopping_in_the_first_epoch(self, run, here):
        early = ("--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "lr")
        args = (*early, "--trainer.callbacks.stopping_threshold", "9", "--trainer.max_epochs", "3")
        assert run("fit", *args) == 0
        facts = results(here / "runs" / RUN)["facts"]
        assert (facts["stopped_by"], facts["epochs"]) == ("early stopping", 1)

    def test_of_the_optimizer_are_those_of_the_last_step(self, run, here):
        decay = ("--model.weight_decay", "0.03", "--trainer.max_epochs", "1")
        assert run("fit", *decay, config="l2.yaml") == 0
        optimizer = results(here / "runs/l2/seed_0")["facts"]["optimizer"]
        assert optimizer["weight_decay"] == 0.03
        assert optimizer["lr"] == pytest.approx(0.001)

    def test_of_the_machine_and_the_code(self, finished):
        facts = results(finished)["facts"]
        assert (facts["world_size"], facts["global_batch"], facts["device"]) == (1, 100, "cpu")
        assert facts["precision"] == "32-true"
        assert facts["commit"]
        assert 0 < facts["train_seconds"] < 60

    @pytest.mark.parametrize("logger", ["false", "CSVLogger", "[CSVLogger, TensorBoardLogger]"])
    def test_of_the_course_are_there_with_any_logger(self, logger, run, here):
        loggers = [name.strip() for name in logger.strip("[]").split(",")]
        if logger != "false":
            given = [{"class_path": n, "init_args": {"save_dir": "logs"}} for n in loggers]
            (here / "logger.yaml").write_text(yaml.safe_dump({"trainer": {"logger": given}}))
        args = ("--config", "logger.yaml") if logger != "false" else ("--trainer.logger", "false")
        assert run("fit", *args) == 0
        curve = results(here / "runs" / RUN)["history"]["test_curve/accuracy"]
        assert [step for step, _ in curve] == [2, 5]


class TestRepeating:
    """The same run made twice is no second network."""

    def test_is_kept_apart_and_refused_by_the_report(self, finished, run, here, capfd):
        before = snapshot(finished)
        assert run("fit") == 0
        assert snapshot(finished) == before
        assert results(here / "runs/no_reg/seed_0_run_2")["test"] == results(finished)["test"]
        with pytest.raises(ValueError, match="are the same run, no_reg with seed 0, made twice"):
            collect_results(here / "runs")

    def test_in_a_study_under_other_options_is_refused_by_name(self, here, capfd):
        args = study_of("tiny.yaml")
        assert main([*args, "--optimizer.lr", "0.1"]) == 0
        before = snapshot(here / "s")
        for change, named in (
            (("--optimizer.lr", "0.0001"), "optimizer.init_args.lr is 0.0001 here and 0.1 there"),
            (("--trainer.max_epochs", "7"), "trainer.max_epochs is 7 here and 2 there"),
        ):
            assert main([*args, *change]) == 2
            assert named in last_line(capfd)
        assert main([*args, "--optimizer.lr", "0.1"]) == 0
        assert "1 of them finished before" in capfd.readouterr().out
        assert snapshot(here / "s") == before

    def test_a_study_goes_on_where_a_longer_run_was_cut_off(self, finished, run, here, monkeypatch):
        longer = ("--trainer.max_epochs", "4")
        with monkeypatch.context() as patch:
            shorten(patch, 3)
            assert run("fit", *longer, "--ckpt_path", "last") == 130
        assert results(finished)["facts"]["epochs"] == 2
        shutil.move(here / "runs", here / "s")
        assert main([*study_of("tiny.yaml"), *longer]) == 0
        assert results(here / "s" / RUN)["facts"]["epochs"] == 4

    def test_a_study_that_measures_otherwise_says_so_and_trains_nothing(self, here, capfd):
        args = study_of("tiny.yaml")
        assert main(args) == 0
        before = results(here / "s" / RUN)
        capfd.readouterr()
        assert main([*args, "--evaluation.resolution", "9"]) == 0
        named = "evaluation.resolution is 9 here and 10 there"
        assert f"no_reg seed 0 is measured again: {named}" in capfd.readouterr().out
        after = results(here / "s" / RUN)
        assert after["measurements"]["planes"]["random"]["resolution"] == 9
        assert after["facts"] == before["facts"]
        assert main([*args, "--evaluation.resolution", "9"]) == 0
        assert "1 of them finished before" in capfd.readouterr().out

    def test_a_study_measures_its_own_runs_again_where_repetitions_stand_beside(
        self, here, capfd, monkeypatch
    ):
        args = study_of("tiny.yaml")
        assert main(args) == 0
        with monkeypatch.context() as patch:
            shorten(patch, 1)
            fit = ["fit", "--config", "no_reg.yaml", "--config", "tiny.yaml", "--variant", "no_reg"]
            assert main([*fit, "--trainer.default_root_dir", "s", *TRUSTED]) == 130
        path = here / "s" / RUN / "results.json"
        older = json.loads(path.read_text())
        del older["measurements"]["robustness"]["settings"]["version"]
        path.write_text(json.dumps(older))
        capfd.readouterr()
        assert main(args) == 0
        named = f"robustness is of version {VERSION} here and None there"
        assert f"no_reg seed 0 is measured again: {named}" in capfd.readouterr().out
        assert results(here / "s" / RUN)["measurements"]["robustness"]["settings"]["version"] == 2
        assert not (here / "s/no_reg/seed_0_run_2/results.json").exists()

    @pytest.mark.counted
    def test_a_study_that_measures_otherwise_what_is_gone_is_refused_by_name(self, here, capfd):
        args = [*study_of("tiny.yaml"), "--trainer.enable_checkpointing", "false"]
        assert main(args) == 0
        before = snapshot(here / "s")
        assert main([*args, "--evaluation.resolution", "9"]) == 2
        assert "evaluation.resolution is 9 here and 10 there" in last_line(capfd)
        assert snapshot(here / "s") == before

    def test_a_study_on_another_folder_of_images_is_refused_by_name(self, here, capfd):
        for name in ("here", "there"):
            draw_pictures(here / name, seed=len(name))
        folder = {"class_path": "ImageFolderDataModule", "init_args": {"data_dir": "here"}}
        (here / "pictures.yaml").write_text(yaml.safe_dump(TINY | {"data": folder}))
        args = study_of("pictures.yaml")
        assert main(args) == 0
        before = snapshot(here / "s")
        assert main([*args, "--data.data_dir", "there"]) == 2
        assert re.search(r"data, test split is \w+ here and \w+ there", last_line(capfd))
        (here / "here").rename(here / "moved")
        assert main([*args, "--data.data_dir", "moved"]) == 0
        assert "1 of them finished before" in capfd.readouterr().out
        assert snapshot(here / "s") == before
        draw_pictures(here / "moved", seed=9)  # in place
        assert main([*args, "--data.data_dir", "moved"]) == 2
        assert re.search(r"data, test split is \w+ here and \w+ there", last_line(capfd))
        assert snapshot(here / "s") == before


PLANES = """
from regularizer_collection.callbacks import DataPlanes

class Own(DataPlanes):
    def __init__(self) -> None:
        super().__init__({num_planes}, resolution=9)
"""
PENALTY = """
from regularizer_collection.regularizers import Penalty

class Norm(Penalty):
    def value(self, logits, images, targets, step):
        return {value}
"""


class TestOwnCode:
    """A regularizer of one's own is what stands in its file, not its name."""

    @pytest.mark.counted
    def test_that_was_edited_is_another_run(self, run, here, capfd):
        def write(value):
            (here / "own_norm.py").write_text(PENALTY.format(value=value))
            sys.modules.pop("own_norm", None)

        def last_is_refused(command):
            assert command == 2
            return re.search(r"own_code.own_norm is \w{16} here and \w{16} there", last_line(capfd))

        write("logits.square().mean()")
        regularizers = {
            "init_args": {
                "regularizers": [
                    {"class_path": "own_norm.Norm", "init_args": {"coefficient": 0.01}}
                ]
            }
        }
        (here / "own.yaml").write_text(
            yaml.safe_dump({"model": {"class_path": "NoRegClassifier"} | regularizers})
        )
        own = ("--allow_imports", "own_norm")
        assert run("fit", *own, config="own.yaml") == 0
        assert run("fit", *own, "--ckpt_path", "last", config="own.yaml") == 0
        before = snapshot(here / "runs")
        write("logits.square().mean() / 2")
        assert last_is_refused(run("fit", *own, "--ckpt_path", "last", config="own.yaml"))
        study = ["study", "--variants", "own.yaml", "--seeds", "0", "--root", "runs"]
        assert last_is_refused(main([*study, "--overlay", "tiny.yaml", *own, *TRUSTED]))
        assert snapshot(here / "runs") == before
        assert run("fit", *own, "--seed_everything", "1", config="own.yaml") == 0
        assert last_is_refused(main(["report", "runs"]))

    def test_that_only_measures_is_measured_with_again(self, here, capfd):
        def write(num_planes):
            (here / "own_planes.py").write_text(PLANES.format(num_planes=num_planes))
            sys.modules.pop("own_planes", None)
            run_module._config_of.cache_clear()

        write(2)
        sets = {"plane_sets": [{"class_path": "own_planes.Own"}]}
        evaluation = {"evaluation": TINY["evaluation"] | sets}
        (here / "own.yaml").write_text(yaml.safe_dump(TINY | evaluation))
        args = [*study_of("own.yaml"), "--allow_imports", "own_planes"]
        assert main(args) == 0
        facts = results(here / "s" / RUN)["facts"]
        write(30)
        assert main(args) == 0
        assert "no_reg seed 0 is measured again: evaluation.own_code is" in capfd.readouterr().out
        again = results(here / "s" / RUN)
        assert again["facts"] == facts
        assert len(again["measurements"]["planes"]["data"]["image_indices"]) == 30
        assert main(args) == 0
        assert "1 of them finished before" in capfd.readouterr().out


def draw_pictures(folder, seed):
    """Leaves folders of two classes, whose pixels are those of the seed."""
    rng = np.random.default_rng(seed)
    for split, name, number in product(("train", "test"), ("ant", "zebra"), range(8)):
        path = folder / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)


@pytest.mark.counted
def test_one_process_is_the_default_on_any_machine(capfd):
    with pytest.raises(SystemExit):
        main(["fit", "--config", "no_reg.yaml", "--print_config"])
    assert yaml.safe_load(capfd.readouterr().out)["trainer"]["devices"] == 1
