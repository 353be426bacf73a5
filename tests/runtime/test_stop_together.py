"""Two processes of one run, to which signals come in the middle of a batch or a measurement."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch

from regularizer_collection.experiments.run import PROJECT


@pytest.fixture
def start(tmp_path):
    """Starts runs of two processes, each in a group of its own, of which none outlives the test."""
    started = []

    def start_one(*options, variables=None):
        command = [
            *(sys.executable, "cli.py", "fit", "--config", "no_reg.yaml", "--config", "smoke.yaml"),
            *("--trainer.devices", "2", "--trainer.accelerator", "cpu"),
            *("--trainer.default_root_dir", str(tmp_path), "--allow_imports", "tests"),
            *("--model.backbone", "tests.cases.tiny.TinyNet", *options),
        ]
        with (tmp_path / "out").open("a") as out, (tmp_path / "err").open("a") as err:
            process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=os.environ | (variables or {}),
                stdout=out,
                stderr=err,
                start_new_session=True,
                # A shell's background jobs ignore Ctrl-C, and so would what they start.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def second_process(process):
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return int(children.stdout.split()[-1])


def wait_until(is_so, process):
    while not is_so():
        assert process.poll() is None, "ended too early"
        time.sleep(0.02)


def send(number, to, process):
    if to == "both":
        os.killpg(process.pid, number)
    else:
        os.kill(second_process(process) if to == "second" else process.pid, number)


# A hang lasts gloo's 30 minutes.
def end_of(process):
    return process.wait(timeout=60)


def said(tmp_path, name="err"):
    return (tmp_path / name).read_text()


SHORT = ("--trainer.max_epochs", "30", "--test", "false")


def stop(process, to, tmp_path):
    """Sends SIGTERM when there is a checkpoint; returns the one that it leaves."""
    last = tmp_path / "no_reg/seed_0/checkpoints/last.ckpt"
    wait_until(last.exists, process)
    sent = time.time()
    send(signal.SIGTERM, to, process)
    assert end_of(process) == 128 + signal.SIGTERM, said(tmp_path)
    assert said(tmp_path).count("stopped by SIGTERM") == 1
    assert "Traceback" not in said(tmp_path)
    assert last.stat().st_mtime >= sent - 0.5
    return torch.load(last, weights_only=True)


@pytest.mark.parametrize("to", ["second", "both"])
def test_sigterm_ends_all_processes_with_a_checkpoint(to, start, tmp_path):
    assert 0 < stop(start(*SHORT), to, tmp_path)["global_step"] < 30 * 4


def test_after_sigterm_the_run_goes_on_as_if_uninterrupted(start, tmp_path):
    stop(start(*SHORT), "first", tmp_path)
    for more in (("--ckpt_path", "last"), ("--variant", "uninterrupted")):
        assert end_of(start(*SHORT, *more)) == 0, said(tmp_path)
    continued, uninterrupted = (
        torch.load(tmp_path / variant / "seed_0/checkpoints/last.ckpt", weights_only=True)
        for variant in ("no_reg", "uninterrupted")
    )
    assert continued["global_step"] == uninterrupted["global_step"] == 30 * 4
    for name, weight in uninterrupted["state_dict"].items():
        assert torch.equal(weight, continued["state_dict"][name]), name


@pytest.mark.parametrize("to", ["second", "both"])
def test_ctrl_c_ends_all_processes(to, start, tmp_path):
    process = start("--trainer.max_epochs", "4000")
    wait_until((tmp_path / "no_reg/seed_0/checkpoints/last.ckpt").exists, process)
    send(signal.SIGINT, to, process)
    assert end_of(process) == 128 + signal.SIGINT, said(tmp_path)
    assert said(tmp_path).endswith("\nstopped\n")
    assert not list(tmp_path.rglob("error*.log"))


LONG = (
    *("--evaluation.num_planes", "10", "--evaluation.resolution", "400"),
    *("--evaluation.mode", "exact"),
)


def starts_random_planes(tmp_path):
    return "class_changes/segments" in said(tmp_path)


def test_sigterm_ends_a_test(start, tmp_path):
    process = start(*LONG)
    wait_until(partial(starts_random_planes, tmp_path), process)
    send(signal.SIGTERM, "first", process)
    assert end_of(process) == 128 + signal.SIGTERM, said(tmp_path)
    assert not list(tmp_path.rglob("results.json"))


def test_ctrl_c_in_a_test_keeps_what_all_processes_have_measured(start, tmp_path):
    process = start(*LONG)
    wait_until(partial(starts_random_planes, tmp_path), process)
    send(signal.SIGINT, "both", process)
    assert end_of(process) == 0, said(tmp_path)
    results = json.loads((tmp_path / "no_reg/seed_0/results.json").read_text())
    planes = results["measurements"]["planes"]
    assert planes["segments"]["missing_planes"] == 0
    assert "random" not in planes or planes["random"]["missing_planes"] > 0
    assert said(tmp_path).count("interrupted: ") == 1
    assert results["measurements"]["calibration"]


def test_slurms_requeue_of_two_tasks(start, tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\nexit 0\n")
    scontrol.chmod(0o755)

    def tasks():
        shared = {
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
        return [
            start(
                *SHORT,
                variables=shared | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            )
            for rank in "01"
        ]

    folder = tmp_path / "no_reg/seed_0"
    first, second = tasks()
    wait_until((folder / "checkpoints/last.ckpt").exists, first)
    for process in (second, first):
        process.send_signal(signal.SIGUSR1)
    wait_until((folder / "hpc_ckpt_1.ckpt").exists, first)
    for process in (first, second):
        process.kill()
        process.wait()
    at = torch.load(folder / "hpc_ckpt_1.ckpt", weights_only=True)
    assert [end_of(process) for process in tasks()] == [0, 0], said(tmp_path)
    assert not (tmp_path / "no_reg/seed_0_run_2").exists()
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert 0 < at["global_step"] < last["global_step"] == 30 * 4
