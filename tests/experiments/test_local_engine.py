import subprocess
import sys
from pathlib import Path

import pytest

from regularizer_collection.experiments import local_engine
from regularizer_collection.experiments.local_engine import number_of_jobs, run_side_by_side
from regularizer_collection.experiments.run import Run

GB = 2**30


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


def test_one_run_on_a_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert number_of_jobs(None) == 1


def test_too_little_memory_is_said(monkeypatch, capsys):
    monkeypatch.setattr(local_engine, "free_memory", lambda: 5 * GB)
    assert number_of_jobs(9) == 2
    assert "5.0 GB of memory carry 2 runs side by side, not 9" in capsys.readouterr().out


def test_less_than_one_is_refused():
    with pytest.raises(ValueError, match="jobs is 0; give 1 or more"):
        number_of_jobs(0)


class Sleeping(Run):
    """Writes when it begins and ends, and is finished then."""

    def start(self, threads=None):
        self.folder.mkdir(parents=True)
        program = (
            "import sys, time; p = open(sys.argv[1] + '/times', 'w');"
            "p.write(f'{time.time()} '); time.sleep(0.5); p.write(f'{time.time()} {sys.argv[2]}')"
        )
        return subprocess.Popen([sys.executable, "-c", program, str(self.folder), str(threads)])

    def is_finished(self):
        return (self.folder / "times").exists()

    def times(self):
        began, ended, threads = (self.folder / "times").read_text().split()
        return float(began), float(ended), threads


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2)])
def test_no_more_than_so_many_runs_at_a_time_share_the_cores(jobs, most, tmp_path, monkeypatch):
    monkeypatch.setattr(local_engine, "usable_cores", lambda: 6)
    runs = [Sleeping("x", seed, Path(tmp_path)) for seed in range(4)]
    assert run_side_by_side(runs, jobs) == {}
    times = [run.times() for run in runs]
    at_a_time = [sum(b <= began < e for b, e, _ in times) for began, _, _ in times]
    assert max(at_a_time) == most
    assert {threads for _, _, threads in times} == {str(6 // jobs)}
