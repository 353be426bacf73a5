import socket
import sys
from types import SimpleNamespace

import pytest

from regularizer_collection.experiments import ray_engine
from regularizer_collection.experiments.ray_engine import run_on_ray
from regularizer_collection.experiments.run import Run


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class FakeRay:
    """Runs tasks at once, in this process."""

    exceptions = SimpleNamespace(RayError=OSError)

    def __init__(self, refuses=False, machines=({"CPU": 2.0},)):
        self.refuses, self.machines, self.shut_down = refuses, machines, False

    def init(self, address, **options):
        if self.refuses:
            raise RuntimeError("token is missing")
        self.address, self.options = address, options

    def nodes(self):
        gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 64.0}}
        return [gone, *({"Alive": True, "Resources": machine} for machine in self.machines)]

    def remote(self, **options):
        return lambda make: SimpleNamespace(remote=lambda run: (make, run))

    def wait(self, pending, num_returns):
        return pending[:num_returns], pending[num_returns:]

    def get(self, task):
        make, run = task
        if run.seed == 2:
            raise OSError("worker died")
        return make(run)

    def shutdown(self):
        self.shut_down = True


@pytest.fixture
def ray(monkeypatch):
    def ray(**options):
        fake = FakeRay(**options)
        monkeypatch.setitem(sys.modules, "ray", fake)
        return fake

    return ray


def runs(tmp_path):
    return [Run("no_reg", seed, tmp_path) for seed in range(3)]


def test_runs_that_fail_or_whose_worker_dies_are_told(ray, tmp_path, monkeypatch, capsys):
    fake = ray()
    monkeypatch.setattr(ray_engine, "_make", lambda run: run.seed)
    failed = run_on_ray(runs(tmp_path), None, 1, 0)
    assert {run.seed: code for run, code in failed.items()} == {1: 1, 2: 1}
    printed = capsys.readouterr().out
    assert "no_reg seed 0: finished" in printed
    assert "no_reg seed 2: worker died" in printed
    assert fake.address == "local"
    assert fake.shut_down


@pytest.mark.parametrize(
    ("asked", "machines", "message"),
    [
        ((3, 0), [{"CPU": 2.0}], "a run asks for 3 CPUs and 0 GPUs, the machines .* have 2 and 0;"),
        ((3, 0), [{"CPU": 2.0}] * 8, "have 2 and 0; give a smaller --cpus_per_run"),
        ((1, 1), [{"CPU": 2.0}], "1 GPUs, the machines of the cluster have 2 and 0"),
        ((4, 1), [{"CPU": 8.0}, {"CPU": 2.0, "GPU": 4.0}], "have 8 and 0, 2 and 4"),
    ],
    ids=["CPUs", "CPUs of one machine", "GPUs", "both on one machine"],
)
def test_what_no_machine_of_the_cluster_has_is_refused_at_once(
    asked, machines, message, ray, tmp_path
):
    fake = ray(machines=machines)
    with pytest.raises(ValueError, match=message):
        run_on_ray(runs(tmp_path), None, *asked)
    assert fake.shut_down


def test_a_cluster_that_does_not_let_us_in_says_what_to_do(ray, tmp_path):
    ray(refuses=True)
    with pytest.raises(ConnectionError, match=r"token is missing.*RAY_AUTH_MODE=token"):
        run_on_ray(runs(tmp_path), None, 1, 0)


def test_an_address_where_nothing_answers_is_refused_before_ray_waits_for_it(ray, tmp_path):
    ray()
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at 127\.0\.0\.1"):
        run_on_ray(runs(tmp_path), f"127.0.0.1:{free_port()}", 1, 0)


def test_without_ray_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install '.\[ray\]'"):
        run_on_ray(runs(tmp_path), None, 1, 0)


def test_a_finished_run_is_not_made_again(monkeypatch, tmp_path):
    run = Run("no_reg", 0, tmp_path)
    monkeypatch.setattr(Run, "is_finished", lambda self: True)
    assert ray_engine._make(run) == 0


@pytest.mark.parametrize(("code", "expected"), [(0, 1), (3, 3)])
def test_a_run_without_results_is_a_failure(code, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(Run, "is_finished", lambda self: False)
    monkeypatch.setattr(Run, "start", lambda self: SimpleNamespace(wait=lambda: code))
    assert ray_engine._make(Run("no_reg", 0, tmp_path)) == expected
