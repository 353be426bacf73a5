"""Variants x seeds in one command that can be stopped and started again."""

import signal
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from regularizer_collection.experiments.grid import grid_points
from regularizer_collection.experiments.local_engine import number_of_jobs, run_side_by_side
from regularizer_collection.experiments.run import Run
from regularizer_collection.experiments.source_experiment import VARIANTS
from regularizer_collection.runtime.arguments import (
    allowed_imports,
    command_to_type,
    take_allowed_imports,
)
from regularizer_collection.runtime.config_files import find_config
from regularizer_collection.runtime.config_option import regularized_by
from regularizer_collection.runtime.launch import config_of
from regularizer_collection.runtime.paths import full_path

SEEDS = (0, 1, 2, 3, 4)
_OF_THE_STUDY = {
    "--seed_everything": "--seeds",
    "--variant": "--variants",
    "--trainer.default_root_dir": "--root",
}


def run_study(
    variants: list[str] = list(VARIANTS),  # noqa: B006 (read only; jsonargparse needs a list)
    seeds: list[int] = list(SEEDS),  # noqa: B006
    epochs: int | None = None,
    overlay: str | None = None,
    root: str = "runs",
    jobs: int | None = None,
    grid: list[str] = [],  # noqa: B006
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    cpus_per_run: float = 2,
    gpus_per_run: float = 0,
    options: list[str] = [],  # noqa: B006
) -> int:
    """Fits and tests every variant with every seed, each into ``<root>/<variant>/seed_<n>``.

    Finished runs are skipped and those that were cut off continue from their last checkpoint, so
    the same command continues a study that was stopped in any way. Trained networks that were
    measured otherwise than is asked are measured again. A run that fails does not stop the others.

    Args:
        variants: Names of configs, without ".yaml", or paths of configs.
        seeds: Seeds, each once.
        epochs: Epochs of each run; None leaves it to the configs.
        overlay: Second config of every run, such as demo.yaml; one that regularizes, such as
            with_mixup.yaml, adds to the names of the variants.
        root: Folder of all runs. The engine "ray" needs it shared by all machines.
        jobs: Runs side by side on this machine, which share its cores. None makes as many as cores
            and memory carry, or one on each GPU.
        grid: Values of further keys, such as ``model.lambda_jacobian=0.001,0.01``; every
            combination is a variant of its own, named after its values.
        engine: "local" makes the runs on this machine, "ray" a Ray task of each.
        ray_address: Address of a Ray cluster; None starts Ray on this machine.
        cpus_per_run: CPUs that Ray reserves for a run.
        gpus_per_run: GPUs that Ray reserves for a run, or the share of one.
        options: Further arguments of every ``cli.py fit``, as a list; each can be given by itself,
            too: ``--data MyData --optimizer.lr 0.01``.

    Returns:
        Number of runs that failed.

    Raises:
        ValueError: If seeds repeat, an option is one that the study sets, or a folder cannot be
            made or holds another run than is asked for.
        FileNotFoundError: If a variant or the overlay has no config.
    """
    folder = Path(full_path(root))
    runs = _planned_runs(variants, seeds, epochs, overlay, folder, grid, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{folder} is no folder ({error.strerror}); give another --root"
        ) from error
    _refuse_others(runs)
    todo = [run for run in runs if not run.is_finished()]
    _tell_plan(runs, todo)
    if engine == "ray":
        from regularizer_collection.experiments.ray_engine import run_on_ray

        failed = run_on_ray(todo, ray_address, cpus_per_run, gpus_per_run)
    else:
        # As many as all runs ask for: a study that goes on gives each the threads of before.
        failed = run_side_by_side(todo, number_of_jobs(jobs, runs))
    _tell_outcome(runs, failed, root)
    return len(failed)


def _planned_runs(
    variants: Sequence[str],
    seeds: Sequence[int],
    epochs: int | None,
    overlay: str | None,
    folder: Path,
    grid: Sequence[str],
    options: Sequence[str],
) -> list[Run]:
    """Returns the runs that are asked for, in the order in which they are made."""
    if not seeds or not variants:
        raise ValueError(f"variants are {variants} and seeds {seeds}; give at least one of each")
    if repeated := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise ValueError(f"seeds {repeated} are given more than once; give each seed once")
    if repeated_names := sorted({name for name in variants if variants.count(name) > 1}):
        raise ValueError(f"variants {repeated_names} are given more than once; give each once")
    configs = {Path(name).stem: find_config(_with_suffix(name)) for name in variants}
    if len(configs) < len(variants):
        raise ValueError(f"variants {variants} have two configs of one name; rename one")
    shared = [*options]
    own = _OF_THE_STUDY | ({"--trainer.max_epochs": "--epochs"} if epochs is not None else {})
    points = grid_points(grid)
    asked = {option.partition("=")[0] for option in options}
    swept = {f"--{key}" for key in points[0].keys}
    if taken := sorted((asked | swept) & own.keys()):
        raise ValueError(f"{taken[0]} is the study's own; give {own[taken[0]]}")
    if twice := sorted(asked & swept):
        raise ValueError(f"{twice[0]} is in the grid and beside it; give it once")
    if overlay is not None:
        shared = ["--config", str(find_config(overlay)), *shared]
    if epochs is not None:
        shared += ["--trainer.max_epochs", str(epochs)]
    if overlay is not None or any(option.startswith(("--model", "--config")) for option in shared):
        named = {_named(name, path, shared): path for name, path in configs.items()}
        if len(named) < len(configs):
            raise ValueError(
                f"variants {', '.join(configs)} would be filed as {', '.join(named)}; leave the "
                "key variant out of what all of them share"
            )
        configs = named
    # Seed by seed, so that a study that is stopped early has all variants of the first seeds.
    return [
        Run(
            f"{name}{point.suffix}",
            seed,
            folder,
            (*shared, *point.options),
            str(config),
        )
        for seed in seeds
        for name, config in configs.items()
        for point in points
    ]


def _named(name: str, config: Path, shared: Sequence[str]) -> str:
    """Returns the name that ``fit`` would file a run under: overlays that regularize add theirs.

    Raises:
        ValueError: If options regularize otherwise than the config.
    """
    trusted, _ = take_allowed_imports(shared)
    command = ["fit", "--config", str(config), *allowed_imports(trusted)]
    try:
        plain, whole = config_of(command), config_of([*command, *shared])
    except (ArgumentError, ValueError) as error:
        if (advice := "give --variant NAME") not in str(error):
            return name  # the run itself will say what is wrong with its config
        own = "give --variants a config that says so"
        raise ValueError(str(error).replace(advice, own)) from error
    added = regularized_by(plain) != regularized_by(whole)
    return whole["variant"] if added else name


def _tell_plan(runs: Sequence[Run], todo: Sequence[Run]) -> None:
    for run in todo:
        if differences := run.measured_otherwise():
            again = f"{run.variant} seed {run.seed} is measured again"
            print(f"{again}: {'; '.join(differences)}", flush=True)
    print(f"{len(runs)} runs, {len(runs) - len(todo)} of them finished before", flush=True)


def _tell_outcome(runs: Sequence[Run], failed: Mapping[Run, int], root: str) -> None:
    for run, code in failed.items():
        print(f"failed: {run.variant} seed {run.seed}{_cause(run, code)}, see {run.log}")
    report = command_to_type("report", root)
    print(f"{len(runs) - len(failed)} of {len(runs)} runs finished; {report}")


def _with_suffix(name: str) -> str:
    return name if name.endswith(".yaml") else f"{name}.yaml"


def _refuse_others(runs: Sequence[Run]) -> None:
    """Refuses a study whose folders hold other runs, before any is made."""
    hashes: dict[str, dict[str, str]] = {}
    for run in runs:
        if obstacles := run.obstacles(hashes):
            raise ValueError(
                f"{run.folder} holds another run than the study asks for: {'; '.join(obstacles)}; "
                "give another --root"
            )


def _cause(run: Run, code: int) -> str:
    """Says what the log cannot: a process that is killed writes nothing."""
    if code == 0:
        if differences := run.trained_otherwise():
            return f" left results of another run than was asked for: {differences[0]}"
        return " left no results"  # with test: false, of which its log speaks
    if code > 0:
        return ""
    likely = ", likely out of memory" if -code == signal.SIGKILL else ""
    return f" was killed by signal {-code}{likely}"
