"""A study on a Ray cluster, one task for each run."""

import socket
from collections.abc import Sequence

from regularizer_collection.experiments.run import Run, python_path

_RETRIES = 3
_PATIENCE = 10.0  # seconds


def run_on_ray(
    runs: Sequence[Run], address: str | None, cpus_per_run: int, gpus_per_run: float
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
        ConnectionError: If no cluster answers at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "--engine ray needs Ray; install it with: pip install '.[ray]'"
        ) from error

    _check_that_it_answers(address)
    ray.init(
        address=address or "local",
        runtime_env={"env_vars": {"PYTHONPATH": python_path()}},
        log_to_driver=False,
    )
    task = ray.remote(num_cpus=cpus_per_run, num_gpus=gpus_per_run, max_retries=_RETRIES)(_make)
    pending = {task.remote(run): run for run in runs}
    failed = {}
    try:
        while pending:
            (done,), _ = ray.wait(list(pending), num_returns=1)
            run = pending.pop(done)
            try:
                code = ray.get(done)
            except ray.exceptions.RayError as error:
                code = 1
                print(f"{run.variant} seed {run.seed}: {error}")
            if code:
                failed[run] = code
            print(f"{run.variant} seed {run.seed}: {'failed' if code else 'finished'}")
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


def _make(run: Run) -> int:
    return 0 if run.is_finished() else run.start().wait()
