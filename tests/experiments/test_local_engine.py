import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from regularizer_collection.experiments import local_engine
from regularizer_collection.experiments.local_engine import (
    number_of_jobs,
    run_side_by_side,
    visible_gpus,
)
from regularizer_collection.experiments.run import Run

GB = 2**30


class Sleeping(Run):
    """Writes when it begins and ends, and is finished then."""

    devices = 1

    def start(self, threads=None, gpus=None):
        self.folder.mkdir(parents=True)
        program = (
            "import sys, time; p = open(sys.argv[1] + '/times', 'w');"
            "p.write(f'{time.time()} '); time.sleep(0.5); p.write(f'{time.time()} {sys.argv[2]}')"
        )
        given = [str(self.folder), f"{threads} {gpus}"]
        return subprocess.Popen([sys.executable, "-c", program, *given])

    def is_finished(self):
        return (self.folder / "times").exists()

    def times(self):
        began, ended, threads, gpu = (self.folder / "times").read_text().split()
        return float(began), float(ended), threads, gpu


@pytest.mark.parametrize(
    ("asked", "cores", "free", "jobs"),
    [
        (None, 8, 64 * GB, 8),
        (None, 8, 7 * GB, 3),
        (3, 2, 64 * GB, 3),
        (4, 8, 1 * GB, 1),
        (None, 8, None, 8),
    ],
)
def test_as_many_runs_as_cores_and_memory_carry(asked, cores, free, jobs, monkeypatch):
    monkeypatch.setattr(local_engine, "usable_cores", lambda: cores)
    monkeypatch.setattr(local_engine, "free_memory", lambda: free)
    assert number_of_jobs(asked) == jobs


@pytest.mark.parametrize(
    ("count", "named", "gpus"),
    [
        (1, None, ["0"]),
        (4, None, ["0", "1", "2", "3"]),
        (2, "5,7", ["5", "7"]),
        (1, "GPU-8932f937", ["GPU-8932f937"]),
        (1, "3,17", ["3"]),
    ],
)
def test_a_run_for_each_gpu_that_this_process_may_use(count, named, gpus, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert visible_gpus() == gpus
    assert number_of_jobs(None) == len(gpus)


def test_a_run_whose_config_is_wrong_is_left_to_say_so_itself(tmp_path):
    assert Run("no_reg", 0, tmp_path, ("--model.lambda_jacobian", "1")).devices == 1


def test_one_run_on_the_gpu_of_a_mac(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert number_of_jobs(None) == 1


def test_each_run_at_a_time_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    runs = [Sleeping("x", seed, tmp_path) for seed in range(5)]
    assert run_side_by_side(runs, 2) == {}
    of_gpus = {}
    for run in runs:
        began, ended, _, gpu = run.times()
        of_gpus.setdefault(gpu, []).append((began, ended))
    assert sorted(of_gpus) == ["0", "1"]
    for times in of_gpus.values():
        assert all(ended <= began for (_, ended), (began, _) in pairwise(sorted(times)))


@pytest.mark.parametrize(
    ("devices", "jobs", "seen"),
    [
        ("1", 4, ["0", "1", "2", "3"]),
        ("2", 2, ["0,1", "2,3"]),
        ("3", 1, ["0,1,2"]),
        ("-1", 1, [None]),
        ("auto", 1, [None]),
    ],
)
def test_runs_on_several_devices_share_the_gpus_out(devices, jobs, seen, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    runs = [Run("no_reg", seed, tmp_path, ("--trainer.devices", devices)) for seed in range(9)]
    assert number_of_jobs(None, runs) == jobs
    started = []
    ended = SimpleNamespace(poll=lambda: 1, returncode=1)

    def start(command, env, **_):
        started.append(env.get("CUDA_VISIBLE_DEVICES"))
        return ended

    monkeypatch.setattr(subprocess, "Popen", start)
    assert set(run_side_by_side(runs[:jobs], jobs).values()) == {1}
    assert started == seen


def test_too_little_memory_is_said(monkeypatch, capsys):
    monkeypatch.setattr(local_engine, "free_memory", lambda: 5 * GB)
    assert number_of_jobs(9) == 2
    assert "5.0 GB of memory carry 2 runs side by side, not 9" in capsys.readouterr().out


def test_less_than_one_is_refused():
    with pytest.raises(ValueError, match="jobs is 0; give 1 or more"):
        number_of_jobs(0)


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2)])
def test_no_more_than_so_many_runs_at_a_time_share_the_cores(jobs, most, tmp_path, monkeypatch):
    monkeypatch.setattr(local_engine, "usable_cores", lambda: 6)
    runs = [Sleeping("x", seed, Path(tmp_path)) for seed in range(4)]
    assert run_side_by_side(runs, jobs) == {}
    times = [run.times() for run in runs]
    at_a_time = [sum(b <= began < e for b, e, *_ in times) for began, *_ in times]
    assert max(at_a_time) == most
    assert {threads for _, _, threads, _ in times} == {str(6 // jobs)}


def test_a_run_that_cannot_be_started_fails_alone(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "seed_0").touch()  # where its folder would be
    runs = [Sleeping("x", seed, tmp_path) for seed in range(3)]
    failed = run_side_by_side(runs, 1)
    assert list(failed) == runs[:1]
    assert "x seed 0: failed: [Errno 17] File exists" in capsys.readouterr().out
    assert all(run.is_finished() for run in runs[1:])


def test_runs_are_ended_whatever_ends_the_study(tmp_path, monkeypatch):
    ended = []

    class Endless(Sleeping):
        def start(self, threads=None, gpus=None):
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            ended.append(process)
            return process

    def broken(self, run):
        raise RuntimeError("no terminal")

    monkeypatch.setattr(local_engine.StudyProgress, "look_at", broken)
    with pytest.raises(RuntimeError, match="no terminal"):
        run_side_by_side([Endless("x", seed, tmp_path) for seed in range(2)], 2)
    assert [process.poll() is not None for process in ended] == [True, True]


def test_one_run_has_all_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(local_engine, "usable_cores", lambda: 8)
    monkeypatch.setattr(local_engine, "free_memory", lambda: None)
    runs = [Sleeping("x", seed, tmp_path) for seed in range(2)]
    assert [number_of_jobs(asked, runs) for asked in (None, 5)] == [2, 2]
    assert number_of_jobs(None, runs[:1]) == 1
