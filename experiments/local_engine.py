"""A study on this machine, several runs side by side."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from regularizer_collection.experiments.machine import free_memory, usable_cores
from regularizer_collection.experiments.progress import StudyProgress
from regularizer_collection.experiments.run import Run
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.runtime.results_file import NAME, read_results

_SECONDS_BETWEEN_LOOKS = 2.0
_BYTES_OF_A_RUN = 2 * 2**30  # 1.4 GB at the most were seen, while planes are measured


def number_of_jobs(asked: int | None, runs: Sequence[Run] = ()) -> int:
    """Returns how many runs this machine carries side by side.

    Args:
        asked: Number that was asked for; None asks for as many as there are cores, or GPUs for.
        runs: What is to be made.

    Raises:
        ValueError: If it is below 1.
    """
    if asked is not None:
        check_at_least("jobs", asked, 1)
    gpus = len(visible_gpus())
    greediest = max((run.devices or gpus for run in runs), default=1) if gpus else 1
    on_gpus = max(1, gpus // greediest) if gpus else 0
    has_apple_gpu = torch.backends.mps.is_available()
    wanted = asked or on_gpus or (1 if has_apple_gpu else usable_cores())
    wanted = min(wanted, len(runs) or wanted)
    free = free_memory()
    if free is None or wanted * _BYTES_OF_A_RUN <= free:
        return wanted
    carried = max(1, free // _BYTES_OF_A_RUN)
    if carried < wanted:
        print(
            f"{free / 2**30:.1f} GB of memory carry {carried} runs side by side, not {wanted}: "
            f"{carried} are made at a time",
            flush=True,
        )
    return carried


def run_side_by_side(runs: Sequence[Run], jobs: int) -> dict[Run, int]:
    """Makes all runs, some at a time, which share the cores and take turns with the GPUs.

    Args:
        runs: What to make.
        jobs: Runs at a time.

    Returns:
        The exit codes of the runs that failed.
    """
    threads = max(1, usable_cores() // jobs)
    gpus = visible_gpus()
    free_places = list(range(jobs))
    waiting = list(runs)
    active: dict[Run, subprocess.Popen[bytes]] = {}
    places: dict[Run, int] = {}
    failed: dict[Run, int] = {}
    with StudyProgress(runs) as progress, _sigterm_raises():
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop(0)
                    try:
                        active[run] = run.start(threads, _gpus_of(run, free_places[0], gpus))
                    except OSError as error:  # such as a folder that cannot be written to
                        failed[run] = error.errno or 1
                        progress.end(run, f"failed: {error}")
                        continue
                    places[run] = free_places.pop(0)
                for run, process in list(active.items()):
                    if process.poll() is None:
                        progress.look_at(run)
                        continue
                    del active[run]
                    free_places.append(places[run])
                    if not run.is_finished():
                        failed[run] = process.returncode
                    progress.end(run, _outcome(run))
                if active:
                    _wait(list(active.values()))
        except BaseException:
            for process in active.values():
                process.terminate()
            for process in active.values():
                process.wait()
            print("stopped; the same command continues", flush=True)
            raise
    return failed


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Lets the runs be ended first where SIGTERM ends a study; each leaves a checkpoint then."""

    def end(*_: Any) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():  # which alone takes signals
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def visible_gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _gpus_of(run: Run, place: int, gpus: Sequence[str]) -> str | None:
    """Returns the GPUs of a run at a place among those made at a time; None lets it see all."""
    if not gpus or run.devices is None:
        return None
    first = place * run.devices
    return ",".join(gpus[number % len(gpus)] for number in range(first, first + run.devices))


def _outcome(run: Run) -> str:
    results = read_results(run.folder / NAME)
    if results is None or not run.is_finished():
        return "failed"
    return f"finished, test accuracy {100 * results['test']['accuracy']:.2f} %"


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    """Waits for a look's time, or until a process ends."""
    until = time.monotonic() + _SECONDS_BETWEEN_LOOKS
    while time.monotonic() < until and all(process.poll() is None for process in processes):
        time.sleep(0.05)
