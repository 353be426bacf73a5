import hashlib
import json

import pytest
import yaml

from regularizer_collection.__main__ import main
from regularizer_collection.runtime.last_checkpoint import LastCheckpoint

TINY = {
    "model": {"init_args": {"backbone": {"class_path": "tests.cases.tiny.TinyNet"}}},
    "data": {
        "class_path": "Shapes100DataModule",
        "init_args": {"train_size": 300, "test_size": 100},
    },
    "trainer": {
        "max_epochs": 2,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
    },
    "evaluation": {"num_planes": 1, "resolution": 10, "zoom_levels": [0.01]},
    "robustness": {"num_images": 2, "num_steps": 1, "distance_steps": 1},
    "calibration": {"num_foreign": 10},
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder that holds ``tiny.yaml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path


@pytest.fixture
def run(here):
    """Runs a command of tiny.yaml below ``runs`` and returns its exit code."""

    def run(command, *args, config="no_reg.yaml"):
        configs = ("--config", config, "--config", "tiny.yaml")
        name = ("--variant", config.removesuffix(".yaml"))
        return main([command, *configs, *name, *args, "--allow_imports", "tests"])

    return run


def shorten(monkeypatch, epochs):
    """Has a training end after so many epochs as if it were killed there, in this process."""
    end = LastCheckpoint.on_train_epoch_end

    def end_and_stop(self, trainer, pl_module):
        end(self, trainer, pl_module)
        if trainer.current_epoch + 1 == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(LastCheckpoint, "on_train_epoch_end", end_and_stop)


def results(folder):
    return json.loads((folder / "results.json").read_text())


def snapshot(folder):
    """Hashes of all files below a folder but the lock, which says which process came last."""
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
