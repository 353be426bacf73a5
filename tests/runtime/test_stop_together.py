"""Two processes of one run, to which signals come in the middle of a batch or a measurement."""

import json
import os
import signal
import subprocess
import sys
from functools import partial

import pytest
import torch
from pytorch_lightning import Callback

from regularizer_collection.callbacks import RandomPlanes
from regularizer_collection.experiments.run import PROJECT


class Sends(Callback):
    """Sends its process the signal ``number`` in a batch, or while it measures a random plane."""

    def __init__(self):
        told = json.loads(os.environ.get("SENDS", "{}"))
        self.ranks = told.get("ranks", [0, 1])
        self.number = told.get("number")
        self.at_step = told.get("at_step")
        self.at_planes = told.get("at_planes", [])
        self.times = told.get("times", 1)
        self.is_at_end = told.get("is_at_end", False)

    def _send(self, trainer):
        if trainer.global_rank in self.ranks:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.at_step:
            self._send(trainer)

    def on_train_end(self, trainer, pl_module):
        if self.is_at_end:
            self._send(trainer)

    def on_test_start(self, trainer, pl_module):
        measure = RandomPlanes.measure

        def measure_and_send(plane_set, subject, plane, number):
            if number in self.at_planes:
                self._send(trainer)
            return measure(plane_set, subject, plane, number)

        RandomPlanes.measure = measure_and_send


def command(tmp_path, *options):
    return [
        *(sys.executable, "cli.py", "fit", "--config", "no_reg.yaml", "--config", "smoke.yaml"),
        *("--trainer.devices", "2", "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", str(tmp_path), "--allow_imports", "tests"),
        *("--model.backbone", "tests.cases.tiny.TinyNet"),
        *("--trainer.callbacks", "tests.runtime.test_stop_together.Sends", *options),
    ]


def start(tmp_path, *options, variables=None, **sends):
    with (tmp_path / "said").open("a") as said:
        return subprocess.Popen(
            command(tmp_path, *options),
            cwd=PROJECT,
            env=os.environ | {"SENDS": json.dumps(sends)} | (variables or {}),
            stdout=said,
            stderr=subprocess.STDOUT,
            # A shell's background jobs ignore Ctrl-C, and so would what they start.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )


def run(tmp_path, *options, **sends):
    """Runs to the end, in 12 steps unless told otherwise; returns the exit code."""
    process = start(tmp_path, "--trainer.max_epochs", "3", *options, **sends)
    try:
        return process.wait(timeout=100)  # a hang lasts gloo's 30 minutes
    finally:
        process.kill()


def said(tmp_path):
    return (tmp_path / "said").read_text()


def checkpoint(tmp_path, variant="no_reg", name="checkpoints/last.ckpt"):
    return torch.load(tmp_path / variant / "seed_0" / name, weights_only=True)


UNTESTED = ("--test", "false")
MANY_PLANES = ("--evaluation.num_planes", "10")


@pytest.mark.parametrize("ranks", [[1], [0, 1]])
def test_sigterm_stops_all_processes_at_the_end_of_the_batch(ranks, tmp_path):
    code = run(tmp_path, *UNTESTED, number=signal.SIGTERM, at_step=5, ranks=ranks)
    assert code == 128 + signal.SIGTERM, said(tmp_path)
    assert checkpoint(tmp_path)["global_step"] == 6
    assert said(tmp_path).count("stopped by SIGTERM") == 1
    assert "Traceback" not in said(tmp_path)


def test_after_sigterm_the_run_goes_on_as_if_uninterrupted(tmp_path):
    code = run(tmp_path, *UNTESTED, number=signal.SIGTERM, at_step=5, ranks=[0])
    assert code == 128 + signal.SIGTERM, said(tmp_path)
    assert checkpoint(tmp_path)["global_step"] == 6
    for more in (("--ckpt_path", "last"), ("--variant", "uninterrupted")):
        assert run(tmp_path, *UNTESTED, *more) == 0, said(tmp_path)
    continued, whole = checkpoint(tmp_path), checkpoint(tmp_path, "uninterrupted")
    assert continued["global_step"] == whole["global_step"] == 12
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, continued["state_dict"][name]), name


def test_sigterm_after_the_last_batch_stops_all_before_the_test(tmp_path):
    code = run(tmp_path, number=signal.SIGTERM, is_at_end=True, ranks=[1])
    assert code == 128 + signal.SIGTERM, said(tmp_path)
    assert checkpoint(tmp_path)["global_step"] == 12
    assert not list(tmp_path.rglob("results.json"))


@pytest.mark.parametrize("ranks", [[1], [0, 1]])
def test_ctrl_c_ends_all_processes(ranks, tmp_path):
    code = run(tmp_path, *UNTESTED, number=signal.SIGINT, at_step=5, ranks=ranks)
    assert code == 128 + signal.SIGINT, said(tmp_path)
    assert said(tmp_path).endswith("\nstopped\n")
    assert checkpoint(tmp_path)["global_step"] == 4
    assert not list(tmp_path.rglob("error*.log"))


def test_sigterm_ends_a_test(tmp_path):
    code = run(tmp_path, *MANY_PLANES, number=signal.SIGTERM, at_planes=[4], ranks=[0])
    assert code == 128 + signal.SIGTERM, said(tmp_path)
    assert not list(tmp_path.rglob("results.json"))


def test_ctrl_c_in_a_test_keeps_what_all_processes_have_measured(tmp_path):
    """Planes 4 and 5 are the third ones of the two processes, and their last."""
    assert run(tmp_path, *MANY_PLANES, number=signal.SIGINT, at_planes=[4, 5]) == 0, said(tmp_path)
    results = json.loads((tmp_path / "no_reg/seed_0/results.json").read_text())
    planes = results["measurements"]["planes"]
    assert planes["segments"]["missing_planes"] == 0
    assert planes["random"]["missing_planes"] == 4
    assert results["measurements"]["calibration"]


def test_a_second_ctrl_c_in_a_test_ends_the_plane(tmp_path):
    sends = {"number": signal.SIGINT, "at_planes": [4, 5], "times": 2}
    assert run(tmp_path, *MANY_PLANES, **sends) == 0, said(tmp_path)
    results = json.loads((tmp_path / "no_reg/seed_0/results.json").read_text())
    assert results["measurements"]["planes"]["random"]["missing_planes"] == 6
    assert results["measurements"]["calibration"]


def test_slurms_signal_saves_and_requeues_once_for_all_tasks_and_ends_nothing(tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/requeued\n")
    scontrol.chmod(0o755)
    variables = {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "study",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(20000 + os.getpid() % 10000),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    sends = {"number": signal.SIGUSR1, "at_step": 5, "at_planes": [3], "ranks": [1]}
    tasks = [
        start(
            tmp_path,
            *(*MANY_PLANES, "--trainer.max_epochs", "3"),
            variables=variables | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            **sends,
        )
        for rank in "01"
    ]
    assert [task.wait(timeout=100) for task in tasks] == [0, 0], said(tmp_path)
    assert (tmp_path / "requeued").read_text().splitlines() == ["requeue 1"] * 2
    assert checkpoint(tmp_path, name="hpc_ckpt_1.ckpt")["global_step"] == 6
    results = json.loads((tmp_path / "no_reg/seed_0/results.json").read_text())
    assert results["measurements"]["planes"]["random"]["missing_planes"] == 0
    assert results["measurements"]["calibration"]
