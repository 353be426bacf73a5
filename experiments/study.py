"""Variants x seeds in one command that can be stopped and started again."""

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from rich.live import Live
from rich.table import Table

from regularizer_collection.experiments.run import Run
from regularizer_collection.runtime.config_files import find_config
from regularizer_collection.runtime.results_file import NAME, read_results

VARIANTS = ("no_reg", "l2", "jacobi", "jacobi_no_dropout", "svb")
SEEDS = (0, 1, 2, 3, 4)
_SECONDS_BETWEEN_LOOKS = 2.0


def run_study(
    variants: list[str] = list(VARIANTS),  # noqa: B006 (read only; jsonargparse needs a list)
    seeds: list[int] = list(SEEDS),  # noqa: B006
    epochs: int | None = None,
    overlay: str | None = None,
    root: str = "runs",
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    cpus_per_run: int = 2,
    gpus_per_run: float = 0,
    options: list[str] = [],  # noqa: B006
) -> int:
    """Fits and tests every variant with every seed, each into ``<root>/<variant>/seed_<n>``.

    Finished runs are skipped and those that were cut off continue from their last checkpoint, so
    the same command continues a study that was stopped in any way. A run that fails does not stop
    the others.

    Args:
        variants: Names of configs, without ".yaml".
        seeds: Seeds, each once.
        epochs: Epochs of each run; None leaves it to the configs.
        overlay: Second config of every run, such as demo.yaml.
        root: Folder of all runs. The engine "ray" needs it shared by all machines.
        engine: "local" makes one run after the other on this machine, "ray" a Ray task of each.
        ray_address: Address of a Ray cluster; None starts Ray on this machine.
        cpus_per_run: CPUs that Ray reserves for a run.
        gpus_per_run: GPUs that Ray reserves for a run.
        options: Further arguments of every ``cli.py fit``.

    Returns:
        Number of runs that failed.

    Raises:
        ValueError: If seeds repeat, or a folder holds another run than is asked for.
        FileNotFoundError: If a variant or the overlay has no config.
    """
    if repeated := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise ValueError(f"seeds {repeated} are given more than once; give each seed once")
    if repeated_names := sorted({name for name in variants if variants.count(name) > 1}):
        raise ValueError(f"variants {repeated_names} are given more than once; give each once")
    for variant in variants:
        find_config(f"{variant}.yaml")
    shared = [*options]
    if overlay is not None:
        shared = ["--config", str(find_config(overlay).absolute()), *shared]
    if epochs is not None:
        shared += ["--trainer.max_epochs", str(epochs)]
    folder = Path(root).absolute()
    # Seed by seed, so that a study that is stopped early has all variants of the first seeds.
    runs = [Run(variant, seed, folder, tuple(shared)) for seed in seeds for variant in variants]
    _refuse_others(runs)
    todo = [run for run in runs if not run.is_finished()]
    print(f"{len(runs)} runs, {len(runs) - len(todo)} of them finished before")
    if engine == "ray":
        from regularizer_collection.experiments.ray_engine import run_on_ray

        failed = run_on_ray(todo, ray_address, cpus_per_run, gpus_per_run)
    else:
        failed = _run_in_turn(todo)
    for run, code in failed.items():
        print(f"failed: {run.variant} seed {run.seed}{_cause(code)}, see {run.log}")
    print(f"{len(runs) - len(failed)} of {len(runs)} runs finished; python cli.py report {root}")
    return len(failed)


def _refuse_others(runs: Sequence[Run]) -> None:
    """Refuses a study whose folders hold other runs, before any is made."""
    for run in runs:
        if obstacles := run.obstacles():
            raise ValueError(
                f"{run.folder} holds another run than the study asks for: {'; '.join(obstacles)}; "
                "give another --root"
            )


def _cause(code: int) -> str:
    """Says what the log cannot: a process that is killed writes nothing."""
    if code >= 0:
        return ""
    likely = ", likely out of memory" if -code == signal.SIGKILL else ""
    return f" was killed by signal {-code}{likely}"


def _run_in_turn(runs: Sequence[Run]) -> dict[Run, int]:
    """Returns the exit codes of the runs that failed."""
    failed = {}
    states = dict.fromkeys(runs, "waiting")
    with Live(refresh_per_second=1) as live:
        for run in runs:
            process = run.start()
            for state in _states(run, process):
                states[run] = state
                live.update(_table(states))
            if not run.is_finished():
                failed[run] = process.returncode
    return failed


def _states(run: Run, process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Waits for the process of a run, and tells again and again how far it is."""
    started, first_epoch = time.monotonic(), run.progress()[0]
    try:
        while process.poll() is None:
            done, epochs, accuracy = run.progress()
            state = f"epoch {done}/{epochs or '?'}"
            if accuracy is not None:
                state += f", accuracy {100 * accuracy:.2f} %"
            if done > first_epoch and epochs:
                seconds = (time.monotonic() - started) / (done - first_epoch) * (epochs - done)
                state += f", {seconds / 60:.0f} min left"
            yield state
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        print("stopped; the same command continues")
        raise
    results = read_results(run.folder / NAME)
    yield "failed" if results is None else f"{100 * results['test']['accuracy']:.2f} %"


def _table(states: dict[Run, str]) -> Table:
    table = Table("variant", "seed", "state")
    for run, state in states.items():
        table.add_row(run.variant, str(run.seed), state)
    return table
