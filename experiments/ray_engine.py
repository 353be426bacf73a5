"""A study on a Ray cluster, one task for each run."""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from regularizer_collection.experiments.run import Run, python_path

_RETRIES = 3
_PATIENCE = 10.0  # seconds
_TOKEN = Path.home() / ".ray" / "auth_token"


def run_on_ray(
    runs: Sequence[Run], address: str | None, cpus_per_run: float, gpus_per_run: float
) -> dict[Run, int]:
    """Makes all runs; Ray starts one again, from its last checkpoint, when its worker dies.

    Args:
        runs: Runs whose root is a folder that all machines share.
        address: Address of a cluster; None starts Ray on this machine.
        cpus_per_run: CPUs reserved for a run.
        gpus_per_run: GPUs reserved for a run.

    Returns:
        The exit codes of the runs that failed.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If no cluster answers at the address, or lets us in.
        ValueError: If no machine of the cluster could ever make a run.
    """
    if address is not None and _TOKEN.exists():
        # A cluster that was started with a token of this machine asks for it; Ray looks here as it
        # is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "--engine ray needs Ray; install it with: pip install '.[ray]'"
        ) from error

    _check_that_it_answers(address)
    try:
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": {"PYTHONPATH": python_path()}},
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConnectionError(
            f"the Ray cluster at {address} does not let us in ({error}); if it asks for a token, "
            f"put it into {_TOKEN} and set RAY_AUTH_MODE=token"
        ) from error
    failed = {}
    try:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        _refuse_what_no_machine_has(machines, cpus_per_run, gpus_per_run)
        task = ray.remote(num_cpus=cpus_per_run, num_gpus=gpus_per_run, max_retries=_RETRIES)(_make)
        pending = {task.remote(run): run for run in runs}
        while pending:
            (done,), _ = ray.wait(list(pending), num_returns=1)
            run = pending.pop(done)
            try:
                code = ray.get(done)
            except ray.exceptions.RayError as error:
                code = 1
                print(f"{run.variant} seed {run.seed}: {error}", flush=True)
            if code:
                failed[run] = code
            print(f"{run.variant} seed {run.seed}: {'failed' if code else 'finished'}", flush=True)
    finally:
        ray.shutdown()
    return failed


def _check_that_it_answers(address: str | None) -> None:
    """Asks the port itself: Ray waits for minutes before it gives up."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({error}); start one with ray start --head, or "
            "leave --ray_address out"
        ) from error


def _refuse_what_no_machine_has(
    machines: Sequence[Mapping[str, float]], cpus_per_run: float, gpus_per_run: float
) -> None:
    """Compares first: Ray waits for ever for what no machine has, however many there are."""
    have = {(machine.get("CPU", 0.0), machine.get("GPU", 0.0)) for machine in machines}
    if not any(cpus >= cpus_per_run and gpus >= gpus_per_run for cpus, gpus in have):
        largest = ", ".join(f"{cpus:g} and {gpus:g}" for cpus, gpus in sorted(have, reverse=True))
        raise ValueError(
            f"a run asks for {cpus_per_run:g} CPUs and {gpus_per_run:g} GPUs, the machines of the "
            f"cluster have {largest}; give a smaller --cpus_per_run or --gpus_per_run"
        )


def _make(run: Run) -> int:
    if run.is_finished():
        return 0
    code = run.start().wait()
    return code if code or run.is_finished() else 1
