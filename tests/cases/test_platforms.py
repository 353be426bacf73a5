"""Section B of cases.md: file systems, devices and schedulers; those not at hand are imitated."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch

from regularizer_collection.experiments.run import python_path
from regularizer_collection.functional.singular_values import (
    bound_singular_values_,
    singular_values,
)
from tests.cases.conftest import results

FOLDER = "runs/no_reg/seed_0"


def test_a_file_system_without_hard_links_keeps_both_checkpoints(run, here, monkeypatch):
    def link(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    assert run("fit") == 0
    kept = here / FOLDER / "checkpoints"
    assert {path.name for path in kept.iterdir()} == {"last.ckpt", "previous.ckpt"}
    epochs = [
        torch.load(kept / f"{n}.ckpt", weights_only=True)["epoch"] for n in ("previous", "last")
    ]
    assert epochs == [0, 1]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_gone_without_and_said(number, run, here, monkeypatch):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(UserWarning, match="has no locks"):
        assert run("fit", "--trainer.max_epochs", "1") == 0
    assert results(here / FOLDER)["facts"]["epochs"] == 1


class WithoutFloat64(torch.Tensor):
    """A weight that says it is on MPS, and refuses what MPS refuses while it does."""

    @property
    def device(self):
        return torch.device("mps")

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        plain = [a.as_subclass(torch.Tensor) if isinstance(a, cls) else a for a in args]
        if func.__name__ == "double" or (func.__name__ == "to" and torch.float64 in plain):
            if "cpu" not in map(str, plain):
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
            return func(*plain, **(kwargs or {}))
        result = func(*plain, **(kwargs or {}))
        is_tensor = isinstance(result, torch.Tensor) and func.__name__ in ("flatten", "t", "detach")
        return result.as_subclass(cls) if is_tensor else result


def test_a_device_without_float64_leaves_it_to_the_cpu():
    weight = torch.randn(6, 4)
    there = weight.clone().as_subclass(WithoutFloat64)
    torch.testing.assert_close(singular_values(there), singular_values(weight))
    with pytest.raises(TypeError, match="MPS"):
        there.double()
    bound_singular_values_(there, 0.05)
    sigma = torch.linalg.svdvals(there.as_subclass(torch.Tensor))
    assert sigma.max() <= 1.05 + 1e-4


def start(here, *args, **variables):
    """Starts a long training as a process of its own."""
    command = ["fit", "--config", "no_reg.yaml", "--config", "tiny.yaml", "--variant", "no_reg"]
    return start_command(here, [*command, "--allow_imports", "tests", *args], **variables)


def start_command(here, command, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "regularizer_collection", *command],
        cwd=here,
        env=os.environ | {"PYTHONPATH": python_path()} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_ends_a_run_with_the_code_that_schedulers_expect(number, code, run, here):
    process = start(here, "--trainer.max_epochs", "4000", RANK="1")  # which a shell may have
    last = here / FOLDER / "checkpoints/last.ckpt"
    wait_for(last, process)
    sent = time.time()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert not (here / FOLDER / "results.json").exists()
    if number == signal.SIGTERM:
        assert last.stat().st_mtime >= sent - 0.5
    steps = torch.load(last, weights_only=True)["global_step"]
    more = str(steps // 3 + 2)
    assert run("fit", "--trainer.max_epochs", more, "--ckpt_path", "last") == 0
    assert results(here / FOLDER)["facts"]["epochs"] == int(more)


def test_a_signal_ends_a_study_with_a_checkpoint_of_each_run(here):
    command = ["study", "--variants", "no_reg", "--seeds", "0", "--overlay", "tiny.yaml"]
    command += ["--root", "runs", "--epochs", "4000", "--allow_imports", "tests"]
    process = start_command(here, command)
    last = here / FOLDER / "checkpoints/last.ckpt"
    wait_for(last, process)
    sent = time.time()
    process.send_signal(signal.SIGTERM)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert printed.endswith("stopped; the same command continues\n")
    assert "stopped by SIGTERM" in (here / FOLDER / "run.log").read_text()
    assert last.stat().st_mtime >= sent - 0.5


def test_slurms_requeue_continues_the_run(here, run, monkeypatch):
    scontrol = here / "scontrol"
    scontrol.write_text("#!/bin/sh\nexit 0\n")
    scontrol.chmod(0o755)
    slurm = {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "study",
        "SLURM_NTASKS": "1",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_LOCALID": "0",
        "SLURM_PROCID": "0",
        "SLURM_NODEID": "0",
        "PATH": f"{here}:{os.environ['PATH']}",
    }
    process = start(here, "--trainer.max_epochs", "60", **slurm)
    wait_for(here / FOLDER / "checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGUSR1)
    wait_for(here / FOLDER / "hpc_ckpt_1.ckpt", process)
    time.sleep(0.2)
    process.kill()
    process.communicate()
    at = torch.load(here / FOLDER / "hpc_ckpt_1.ckpt", weights_only=True)["global_step"]
    again = start(here, "--trainer.max_epochs", "60", "--trainer.log_every_n_steps", "1", **slurm)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert not (here / "runs/no_reg/seed_0_run_2").exists()
    history = json.loads((here / FOLDER / "history.json").read_text())
    # Lightning's handler may stand between an optimizer step and the count of its batch.
    assert history["train/loss"][0][0] >= at - 1 > 0
    tested = results(here / FOLDER)
    assert tested["facts"]["epochs"] == 60
    assert tested["test"]["accuracy"] == pytest.approx(history["test_curve/accuracy"][-1][1])
    assert tested["test"]["loss"] == pytest.approx(history["test_curve/loss"][-1][1])
