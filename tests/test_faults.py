"""What can go wrong around a run: each ends it with one clear line and loses nothing finished."""

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from regularizer_collection.__main__ import main
from regularizer_collection.datamodules import Shapes100DataModule
from tests.conftest import fill
from tests.preloaded import FORK_SERVER

THIS = __name__


class TinyNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 100))


TINY = (
    *("--model.backbone", f"{THIS}.TinyNet", "--allow_imports", "tests"),
    *("--data.train_size", "60", "--data.test_size", "40", "--data.batch_size", "20"),
    *("--evaluation.num_planes", "1", "--evaluation.resolution", "9"),
)


def cli(args, output, memory):
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if memory:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    sys.exit(main(args))


@pytest.fixture
def fit(tmp_path):
    """Runs ``cli.py fit`` in a process of its own; returns the exit code and the lines it wrote."""

    def fit(root, *args, memory=None):
        command = [
            *("fit", "--config", "no_reg.yaml", "--config", "smoke.yaml", *TINY),
            *("--trainer.default_root_dir", str(root)),
            *("--trainer.enable_progress_bar", "false"),
            *args,
        ]
        output = tmp_path / "output"
        process = FORK_SERVER.Process(target=cli, args=(command, output, memory))
        process.start()
        process.join(100)
        return process.exitcode, output.read_text().splitlines()

    return fit


@pytest.fixture
def error(fit):
    """Runs a ``cli.py fit`` that must fail, and returns its one line."""

    def error(*args, **limits):
        code, lines = fit(*args, **limits)
        assert code == 2, lines
        assert not any("Traceback" in line or "Exception" in line for line in lines)
        (line,) = [line for line in lines if line.startswith("error: ")]
        return line

    return error


def load(run_folder):
    return torch.load(run_folder / "checkpoints/last.ckpt", weights_only=True)


class FillTheDisk(Callback):
    """Leaves too little for a checkpoint in the second epoch, or for the results after the test."""

    def __init__(self, during_test: bool):
        self.during_test = during_test

    def on_train_epoch_start(self, trainer, pl_module):
        mark = Path(trainer.default_root_dir) / "was_full"
        if trainer.current_epoch == 1 and not self.during_test and not mark.exists():
            mark.touch()
            fill(Path(trainer.default_root_dir), free=16_384)

    def on_test_end(self, trainer, pl_module):
        if self.during_test:
            fill(Path(trainer.default_root_dir))


def fill_the_disk(during_test):
    return (
        *("--trainer.callbacks", f"{THIS}.FillTheDisk"),
        *("--trainer.callbacks.during_test", str(during_test)),
    )


@pytest.mark.parametrize(("during_test", "epoch"), [(False, 0), (True, 1)])
def test_a_full_disk_ends_the_run_in_one_line(during_test, epoch, error, small_disk):
    folder = small_disk / "no_reg/seed_0"
    line = error(small_disk, *fill_the_disk(during_test))
    assert f"cannot write to {folder} (No space left on device); make room, then continue" in line
    assert load(folder)["epoch"] == epoch
    assert not list(folder.rglob("*.tmp"))


def test_a_run_that_found_the_disk_full_goes_on_when_there_is_room(fit, error, small_disk):
    folder = small_disk / "no_reg/seed_0"
    error(small_disk, *fill_the_disk(during_test=False))
    filler = fill(small_disk, free=4096)  # for the file of events, which comes first
    config = (folder / "config.yaml").read_text()
    longer = ("--evaluation.zoom_levels", str(list(range(1, 1000))))
    resume = (*fill_the_disk(during_test=False), "--ckpt_path", "last")
    error(small_disk, *resume, *longer)
    assert (folder / "config.yaml").read_text() == config
    filler.unlink()
    (folder / "filler").unlink()
    code, lines = fit(small_disk, *resume)
    assert code == 0, lines[-3:]
    assert load(folder)["epoch"] == 1
    assert (folder / "results.json").exists()


def test_a_read_only_folder_is_named(error, small_disk):
    (small_disk / "no_reg/seed_0").mkdir(parents=True)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    line = error(small_disk)
    assert f"{small_disk}/no_reg/seed_0 cannot be written to (Read-only file system)" in line


def test_a_data_file_that_is_cut_off_is_named(error, tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for split in ("train", "test"):
        content = {"data": np.zeros((20, 3072), np.uint8), "fine_labels": list(range(20))}
        (folder / split).write_bytes(pickle.dumps(content, 2))
    os.truncate(folder / "train", 10_000)
    data = ("--data", "CIFAR100DataModule", "--data.data_dir", str(tmp_path))
    line = error(tmp_path, *data, "--data.verify", "false")
    assert f"{folder / 'train'} is not a readable data file" in line
    assert "download it again" in line


class NaNInTheFifthBatch(Shapes100DataModule):
    def normalize(self, images):
        batch = super().normalize(images)
        if self.trainer.training and self.trainer.global_step == 4:
            batch[0, 0, 0, 0] = float("nan")
        return batch


def test_a_nan_in_a_batch_stops_the_run_and_keeps_the_last_good_checkpoint(error, tmp_path):
    line = error(tmp_path, "--data", f"{THIS}.NaNInTheFifthBatch", *TINY)
    assert "the loss is not finite at step 5" in line
    checkpoint = load(tmp_path / "no_reg/seed_0")
    assert checkpoint["epoch"] == 0
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


class TakesMuchMemory(Callback):
    def __init__(self, through: str):
        self.take = {"torch": torch.ones, "numpy": np.ones, "python": bytearray}[through]

    def on_train_start(self, trainer, pl_module):
        self.take(2**30)


@pytest.mark.parametrize(
    ("through", "message"),
    [
        ("torch", "can't allocate memory"),
        ("numpy", "Unable to allocate"),
        ("python", "MemoryError"),
    ],
)
def test_a_run_that_gets_no_more_memory_says_what_to_do(through, message, error, tmp_path):
    callback = ("--trainer.callbacks", f"{THIS}.TakesMuchMemory")
    line = error(tmp_path, *callback, "--trainer.callbacks.through", through, memory=2**29)
    assert message in line
    assert line.endswith("; give a smaller --data.batch_size, or more memory")


class KillItselfOnce(Callback):
    """Does what the kernel does to a process for which there is no memory left."""

    def on_train_epoch_start(self, trainer, pl_module):
        epochs = Path(trainer.default_root_dir) / "epochs"
        with epochs.open("a") as file:
            print(trainer.current_epoch, file=file, end=" ")
        if "no_reg" in epochs.parts and epochs.read_text() == "0 1 ":
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_killed_for_memory_is_named_with_its_cause_and_goes_on_later(
    tmp_path, capsys, preloaded
):
    study = ["study", "--variants", "no_reg,l2", "--seeds", "0", "--root", str(tmp_path)]
    study += ["--overlay", "smoke.yaml", *TINY, "--trainer.callbacks", f"{THIS}.KillItselfOnce"]
    killed, other = tmp_path / "no_reg/seed_0", tmp_path / "l2/seed_0"
    assert main(study) == 1
    cause = "was killed by signal 9, likely out of memory"
    assert f"failed: no_reg seed 0 {cause}, see {killed}/run.log" in capsys.readouterr().out
    assert (other / "results.json").exists()
    assert not (killed / "results.json").exists()
    assert main(study) == 0
    assert (killed / "results.json").exists()
    assert (killed / "epochs").read_text() == "0 1 1 "
    assert (other / "epochs").read_text() == "0 1 "


class ClockJumps(Callback):
    """Sets the clock this process reads an hour back in the second epoch, and on for the test."""

    def __init__(self):
        self.time = time.time

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            time.time = lambda: self.time() - 3600

    def on_test_start(self, trainer, pl_module):
        time.time = lambda: self.time() + 3600


def test_a_clock_that_jumps_changes_neither_curve_nor_wall_time(fit, tmp_path):
    started = time.monotonic()
    assert fit(tmp_path, "--trainer.callbacks", f"{THIS}.ClockJumps")[0] == 0
    results = json.loads((tmp_path / "no_reg/seed_0/results.json").read_text())
    assert 0 < results["facts"]["train_seconds"] < time.monotonic() - started
    assert [step for step, _ in results["history"]["test_curve/accuracy"]] == [2, 5]
