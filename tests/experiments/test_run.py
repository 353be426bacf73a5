"""One run of a study."""

import json
import subprocess
from dataclasses import replace

import pytest

from regularizer_collection.experiments import run as run_module
from regularizer_collection.experiments.run import Run
from regularizer_collection.runtime.history import read_history
from regularizer_collection.runtime.launch import config_of
from regularizer_collection.runtime.run_record import read_config, read_record, write_record

CONFIG = "{trainer: {max_epochs: 15}, data: {}, model: {}}"


@pytest.fixture
def run(tmp_path):
    made = Run("no_reg", 0, tmp_path)
    made.folder.mkdir(parents=True)
    return made


def test_progress_is_epochs_done_and_to_do_and_the_last_accuracy(run):
    assert run.progress() == (0, None, None)
    (run.folder / "config.yaml").write_text(CONFIG)
    curve = {"test_curve/accuracy": [[10, 0.1], [20, 0.2]]}
    (run.folder / "history.json").write_text(json.dumps(curve))
    assert run.progress() == (2, 15, 0.2)


@pytest.mark.parametrize(
    ("config", "history"),
    [
        *(("", "{}"), ("a: [", "{}"), ("seed_everything:", "{}"), ("trainer:", "{}")),
        *((CONFIG, '{"a": [[1,'), (CONFIG, "null")),
    ],
)
def test_damaged_files_of_a_run_end_no_study(run, config, history):
    (run.folder / "config.yaml").write_text(config)
    (run.folder / "history.json").write_text(history)
    assert run.progress() == (0, None, None)


def test_damaged_files_are_named(run):
    (run.folder / "config.yaml").write_text("")
    with pytest.raises(ValueError, match=r"config\.yaml holds no whole config; move the run's"):
        read_config(run.folder)
    (run.folder / "history.json").write_text('{"a": [[1,')
    with pytest.raises(ValueError, match=r"history\.json is damaged; move the run's folder"):
        read_history(run.folder)
    (run.folder / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run\.json is damaged \(KeyError\('identity'\)\); move"):
        read_record(run.folder)


@pytest.mark.parametrize(
    ("data", "hashed"),
    [
        (("--data.verify", "true"), 0),
        (("--data.verify", "false"), 1),
        (("--data", "Shapes100DataModule"), 0),
        (("--data", "MNISTDataModule"), 1),
    ],
)
def test_images_that_may_have_changed_are_hashed_once_for_all_runs(
    data, hashed, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(run_module, "data_of", lambda args: asked.append(args) or {"test": "b"})
    hashes = {}
    for variant in ("no_reg", "l2"):
        run = Run(variant, 0, tmp_path, data)
        config = json.dumps(config_of([*run.arguments]), default=str)
        write_record(run.folder, replace(run.identity, data={"test": "a"}), {}, config)
        named = ["data, test split is b here and a there"]
        assert run.obstacles(hashes) == named[:hashed]
    assert len(asked) == hashed


@pytest.mark.parametrize(("tasks", "seen"), [("4", None), ("1", "1")])
def test_a_run_is_no_task_of_slurms_that_waits_for_others(run, tasks, seen, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", tasks)
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **options: started.append(options))
    run.start()
    assert started[0]["env"].get("SLURM_NTASKS") == seen
