"""Whole studies. All that start Ray are here: two at a time on a machine wait for each other."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from regularizer_collection.__main__ import main
from regularizer_collection.experiments import accuracy_table, collect_results, tv_table
from regularizer_collection.experiments.run import PROJECT, Run
from regularizer_collection.experiments.study import _planned_runs, _tell_outcome
from tests.experiments.conftest import made_up
from tests.experiments.test_ray_engine import free_port

TINY = (
    *("--overlay", "smoke.yaml", "--data.train_size", "60", "--data.test_size", "40"),
    *("--data.batch_size", "20", "--evaluation.num_planes", "2", "--evaluation.resolution", "9"),
    *("--model.backbone", "tests.cases.tiny.TinyNet", "--allow_imports", "tests"),
)


def command(root, variants="no_reg,svb", seeds="0,1"):
    return ["study", "--variants", variants, "--seeds", seeds, "--root", str(root), *TINY]


@pytest.fixture(scope="module")
def study(tmp_path_factory, preloaded):
    root = tmp_path_factory.mktemp("study of two")
    assert main([*command(root), "--jobs", "1"]) == 0
    return root


def numbers(path):
    results = json.loads(path.read_text())
    return {key: results[key] for key in ("test", "measurements")}


def test_every_run_leaves_its_results_and_its_log(study):
    for variant in ("no_reg", "svb"):
        for seed in (0, 1):
            folder = study / variant / f"seed_{seed}"
            results = json.loads((folder / "results.json").read_text())
            assert (results["variant"], results["seed"]) == (variant, seed)
            assert (folder / "run.log").stat().st_size > 0


def test_finished_runs_are_skipped(study, capsys):
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*") if path.is_file()}
    assert main(command(study)) == 0
    printed = capsys.readouterr().out
    assert "4 runs, 4 of them finished before" in printed
    assert shlex.split(printed.split("python cli.py ")[1]) == ["report", str(study)]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_study_that_goes_on_gives_each_run_the_threads_of_before(study, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "regularizer_collection.experiments.study.number_of_jobs",
        lambda jobs, runs: asked.append(len(runs)) or 1,
    )
    assert main(command(study)) == 0  # of which nothing is left to do
    assert asked == [4]


def test_a_study_side_by_side_that_was_killed_ends_with_the_same_tables(study, tmp_path):
    log = (tmp_path / "log").open("w")
    side_by_side = [*command(tmp_path), "--jobs", "2"]
    process = subprocess.Popen([sys.executable, str(PROJECT / "cli.py"), *side_by_side], stdout=log)
    second = tmp_path / "svb" / "seed_0" / "checkpoints" / "last.ckpt"
    while not second.exists():
        assert process.poll() is None
        time.sleep(0.02)
    printed = (tmp_path / "log").read_text()  # a file shows each epoch while the study runs
    process.send_signal(signal.SIGKILL)
    process.wait()
    log.close()
    assert "4 runs, 0 of them finished before" in printed
    assert not (tmp_path / "svb" / "seed_0" / "results.json").exists()
    assert main(side_by_side) == 0
    for table in (accuracy_table, tv_table):
        pd.testing.assert_frame_equal(
            table(collect_results(tmp_path)), table(collect_results(study)), check_exact=True
        )


def test_a_run_that_fails_is_reported_and_the_others_go_on(tmp_path, capsys, preloaded):
    args = command(tmp_path, "no_reg,jacobi", "0")
    assert main([*args, "--model.lambda_jacobian", "0.1"]) == 1
    printed = capsys.readouterr().out
    log = tmp_path / "no_reg" / "seed_0" / "run.log"
    assert f"failed: no_reg seed 0, see {log}" in printed
    assert "lambda_jacobian" in log.read_text()
    assert (tmp_path / "jacobi" / "seed_0" / "results.json").exists()


def test_ray_gives_the_same_numbers(study, tmp_path):
    pytest.importorskip("ray")
    # Ray gives a task as many threads as CPUs, and the number of threads is part of the rounding.
    threads = ("--cpus_per_run", str(torch.get_num_threads()))
    args = [*command(tmp_path, "svb", "0"), "--engine", "ray", *threads]
    # In a process of its own: Ray leaves threads and sockets that a test must not inherit.
    subprocess.run([sys.executable, str(PROJECT / "cli.py"), *args], check=True, timeout=480)
    results = "svb/seed_0/results.json"
    assert numbers(tmp_path / results) == numbers(study / results)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def head():
    """A cluster of one CPU that ``ray start --head`` made; yields its address."""
    pytest.importorskip("ray")
    port = free_port()
    # Below /tmp: the paths of Ray's sockets may have 107 characters.
    folder = f"/tmp/ray_{os.getpid()}_{port}"
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=1"),
        *(f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false", "--block"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    while not answers(port):
        if process.poll() is not None or time.monotonic() - started > 120:
            process.kill()
            pytest.skip("ray start --head makes no cluster on this machine")
        time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait()
    subprocess.run(["pkill", "-KILL", "-f", folder], check=False)
    subprocess.run(["rm", "-rf", folder], check=True)


KILL_THE_FIRST_WORKER = """
import os, signal, sys
from pathlib import Path
from regularizer_collection.experiments import ray_engine
from regularizer_collection.experiments.run import Run

def make(run):
    mark = Path(run.root) / "killed"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(run.root) / "made").touch()
    return 0

ray_engine._make = make
sys.exit(len(ray_engine.run_on_ray([Run("svb", 0, Path(sys.argv[1]))], sys.argv[2], 1, 0)))
"""


def test_ray_makes_a_run_again_whose_worker_was_killed(head, tmp_path):
    command = [sys.executable, "-c", KILL_THE_FIRST_WORKER, str(tmp_path), head]
    subprocess.run(command, check=True, timeout=300, cwd=PROJECT)
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("overlay", "name"),
    [("with_mixup.yaml", "l2_mixup"), ("stable.yaml", "l2"), ("wide.yaml", "l2"), (None, "l2")],
)
def test_an_overlay_that_regularizes_adds_to_the_names_of_the_variants(
    overlay, name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide.yaml").write_text("model: {init_args: {backbone: {init_args: {dropout: 0}}}}")
    options = ["--model.backbone.dropout", "0.1"]
    (run,) = _planned_runs(["l2"], [0], None, overlay, tmp_path, [], options)
    assert run.variant == name


def test_a_variant_whose_config_is_wrong_keeps_its_name_and_fails_alone(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("{robustness: null}")
    runs = _planned_runs(["l2", str(bad)], [0], None, "smoke.yaml", tmp_path, [], [])
    assert [run.variant for run in runs] == ["l2", "bad"]


@pytest.mark.counted
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--seeds", "0,0"), "seeds [0] are given more than once"),
        (("--variants", "svb,svb"), "variants ['svb'] are given more than once"),
        (("--variants", "sbv"), "no config sbv.yaml"),
        (("--overlay", "nowhere.yaml"), "no config nowhere.yaml"),
        (("--epoch", "3"), "did you mean epochs?"),
        (
            ("--variants", "no_reg", "--model.regularizers+", "Mixup"),
            "with Mixup, which no_reg is not; give --variants a config that says so",
        ),
        (
            ("--variants", "jacobi", "--overlay", "svb.yaml"),
            "asks for SVBClassifier, which jacobi is not; give --variants a config",
        ),
        (("--seeds", ""), "give at least one of each"),
        (("--variants", ""), "give at least one of each"),
        (("--root", "/dev/null/runs"), "/dev/null/runs is no folder (Not a directory)"),
        (
            ("--trainer.default_root_dir=x",),
            "trainer.default_root_dir is the study's own; give --r",
        ),
        (
            ("--options", "[--seed_everything=3]"),
            "seed_everything is the study's own; give --seeds",
        ),
        (("--options", "[--variant=x]"), "variant is the study's own; give --variants"),
        (("--grid", "seed_everything=5,6"), "seed_everything is the study's own; give --seeds"),
        (("--grid", "variant=a,b"), "variant is the study's own; give --variants"),
        (
            ("--optimizer.lr", "1", "--grid", "optimizer.lr=0.1,0.2"),
            "--optimizer.lr is in the grid and beside it; give it once",
        ),
        (
            ("--epochs", "3", "--trainer.max_epochs", "5"),
            "max_epochs is the study's own; give --ep",
        ),
    ],
)
def test_bad_input_gets_one_line(args, message, tmp_path, capsys):
    assert main(["study", "--root", str(tmp_path), *args]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_cluster_that_was_started_by_hand_lets_us_in_and_makes_the_run(head, tmp_path):
    args = [
        *(sys.executable, str(PROJECT / "cli.py"), *command(tmp_path / "runs", "no_reg", "0")),
        *("--engine", "ray", "--ray_address", head, "--cpus_per_run", "1"),
    ]
    done = subprocess.run(args, capture_output=True, text=True, timeout=480, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no_reg seed 0: finished" in done.stdout
    assert (tmp_path / "runs/no_reg/seed_0/results.json").exists()


def test_a_ray_address_that_does_not_answer_gets_one_line(tmp_path):
    pytest.importorskip("ray")
    args = [*command(tmp_path), "--engine", "ray", "--ray_address", "127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "cli.py"), *args],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "error: no Ray cluster answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_another_length_is_refused(study, capsys):
    assert main([*command(study), "--epochs", "9"]) == 2
    assert "trainer.max_epochs is 9 here and 2 there" in capsys.readouterr().err


def test_variants_that_would_be_filed_under_one_name_are_refused(tmp_path):
    overlay = tmp_path / "smoothed.yaml"
    overlay.write_text(
        "{variant: smoothed, model: {init_args: {regularizers: [{class_path: LabelSmoothing}]}}}"
    )
    with pytest.raises(ValueError, match="no_reg, svb would be filed as smoothed; leave the key"):
        _planned_runs(["no_reg", "svb"], [0], None, str(overlay), tmp_path, [], [])
    (run,) = _planned_runs(["svb"], [0], None, str(overlay), tmp_path, [], [])
    assert run.variant == "smoothed"


def test_results_that_were_kept_alone_are_of_another_run_or_of_this_one(study, tmp_path, capsys):
    kept = tmp_path / "no_reg" / "seed_0" / "results.json"
    kept.parent.mkdir(parents=True)
    kept.write_text((study / "no_reg" / "seed_0" / "results.json").read_text())
    one = command(tmp_path, "no_reg", "0")
    assert main([*one, "--optimizer.lr", "0.05"]) == 2
    assert "lr is 0.05 here and 0.1 there; give another --root" in capsys.readouterr().err
    assert main(one) == 0
    assert "1 runs, 1 of them finished before" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["results.json"]


@pytest.mark.parametrize("section", ["random", "data", "robustness", None])
def test_a_run_that_was_cut_off_while_it_was_measured_is_not_finished(section, tmp_path):
    run = Run("svb", 0, tmp_path)
    run.folder.mkdir(parents=True)
    results = made_up("svb", 0)
    if section == "robustness":
        results["measurements"]["robustness"]["missing_images"] = 3
    elif section:
        results["measurements"]["planes"][section]["missing_planes"] = 3
    (run.folder / "results.json").write_text(json.dumps(results))
    assert run.is_finished() == (section is None)
    if section == "data":  # and the planes that come after it were never begun
        del results["measurements"]["planes"]["random"]
        (run.folder / "results.json").write_text(json.dumps(results))
        assert not run.is_finished()


def test_a_run_continues_from_its_checkpoint(tmp_path):
    run = Run("svb", 3, tmp_path)
    assert "--ckpt_path" not in run.command
    (run.folder / "checkpoints").mkdir(parents=True)
    (run.folder / "checkpoints" / "last.ckpt").touch()
    assert run.command[-2:] == ["--ckpt_path", "last"]


def test_a_run_that_is_not_tested_is_told_and_tested_by_the_next_study(tmp_path, capsys, preloaded):
    one = command(tmp_path, "no_reg", "0")
    assert main([*one, "--options=[--test=false]"]) == 1
    log = tmp_path / "no_reg" / "seed_0" / "run.log"
    assert f"failed: no_reg seed 0 left no results, see {log}" in capsys.readouterr().out
    assert "Not tested, so there are no results yet" in log.read_text()
    assert main(one) == 0


def test_each_point_of_a_grid_is_a_variant_of_its_own(tmp_path, capsys, preloaded):
    args = command(tmp_path, "svb", "0")
    assert main([*args, "--grid", "model.eps=0.1,0.5", "--trainer.max_epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "svb_eps=0.1 seed 0: finished, test accuracy" in printed
    df = collect_results(tmp_path)
    assert set(df["variant"]) == {"svb_eps=0.1", "svb_eps=0.5"}
    record = json.loads((tmp_path / "svb_eps=0.5/seed_0/run.json").read_text())
    assert record["identity"]["settings"]["model.init_args.eps"] == 0.5


def test_a_variant_that_is_a_path_stays_below_the_root(tmp_path, preloaded):
    config = tmp_path / "elsewhere" / "mine.yaml"
    config.parent.mkdir()
    config.write_text("model:\n  class_path: L2Classifier\n")
    assert main([*command(tmp_path / "root", str(config), "0"), "--trainer.max_steps", "1"]) == 0
    assert (tmp_path / "root/mine/seed_0/results.json").exists()
    assert {path.name for path in config.parent.iterdir()} == {"mine.yaml"}


def test_a_run_without_a_number_of_epochs_is_made(tmp_path, preloaded):
    args = [*command(tmp_path, "no_reg", "0"), "--trainer.max_epochs", "null"]
    assert main([*args, "--trainer.max_steps", "4"]) == 0
    results = json.loads((tmp_path / "no_reg/seed_0/results.json").read_text())
    assert results["facts"]["stopped_by"] == "max_steps"


def test_what_a_cluster_has_not_is_refused_at_once(head, tmp_path):
    asked = ("--ray_address", head, "--cpus_per_run", "1", "--gpus_per_run", "3")
    args = [*command(tmp_path), "--engine", "ray", *asked]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "cli.py"), *args],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2
    assert "error: a run asks for 1 CPUs and 3 GPUs, the machines of the cluster have" in (
        done.stderr
    )


def test_a_config_of_ones_own_classes_is_filed_as_fit_would(tmp_path):
    config = tmp_path / "own.yaml"
    arguments = "{backbone: tests.cases.tiny.TinyNet}"
    config.write_text(f"model: {{class_path: NoRegClassifier, init_args: {arguments}}}")
    trusted = ["--allow_imports", "tests"]
    (run,) = _planned_runs([str(config)], [0], None, "with_mixup.yaml", tmp_path, [], trusted)
    assert run.variant == "own_mixup"


def test_results_of_another_run_than_was_asked_for_are_told(tmp_path, capsys):
    run = Run("svb", 0, tmp_path)
    run.folder.mkdir(parents=True)
    identity = run.identity.to_dict()
    identity["settings"]["model.own_code"] = "edited"
    results = made_up("svb", 0) | {"identity": identity}
    (run.folder / "results.json").write_text(json.dumps(results))
    _tell_outcome([run], {run: 0}, str(tmp_path))
    assert "svb seed 0 left results of another run than was asked for: " in capsys.readouterr().out
