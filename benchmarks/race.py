"""Times works in turn, each in a process of its own."""

import logging
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from regularizer_collection.runtime.memory import keep_freed_memory

Work = Callable[[], object]
_IMPORTED_ONCE = ["benchmarks.training", "benchmarks.planes", "benchmarks.turns"]
_REST = 0.02  # seconds, for the threads of the process before to fall asleep


class Timed(NamedTuple):
    """What a work took, and what it returned the last time."""

    seconds: float
    value: object


class Runner:
    """A process that makes one work again and again.

    Args:
        factory: Builds the work, in the process; must be picklable.
        is_ours: Whether the process is set up as ``cli.py`` sets up its own.
        threads: Threads of torch; None leaves them as they are.
    """

    def __init__(
        self, factory: Callable[[], Work], is_ours: bool, threads: int | None = None
    ) -> None:
        # Forked from a process that has imported everything and computed nothing.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED_ONCE)
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(factory, is_ours, threads, other))
        self._process.start()
        other.close()  # so that the end of the process is the end of the pipe

    def run(self) -> Timed:
        """Makes the work once."""
        self.start()
        return self.wait()

    def start(self) -> None:
        """Lets the work begin."""
        self._connection.send("go")

    def wait(self) -> Timed:
        """Waits for its end."""
        try:
            return Timed(*self._connection.recv())
        except (EOFError, ConnectionResetError) as error:
            raise RuntimeError("a benchmarked work failed; its traceback stands above") from error

    def stop(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()


class SideBySide:
    """Several processes of ours that make the same work at once and share the threads out.

    Args:
        factory: Builds the work, in each process.
        jobs: Number of processes.
    """

    def __init__(self, factory: Callable[[], Work], jobs: int) -> None:
        threads = max(1, torch.get_num_threads() // jobs)
        self._runners = [Runner(factory, is_ours=True, threads=threads) for _ in range(jobs)]

    def run(self) -> Timed:
        """Makes the work once in each, and returns what the slowest took."""
        for runner in self._runners:
            runner.start()
        return max((runner.wait() for runner in self._runners), key=lambda timed: timed.seconds)

    def stop(self) -> None:
        """Ends the processes."""
        for runner in self._runners:
            runner.stop()


def _serve(
    factory: Callable[[], Work], is_ours: bool, threads: int | None, connection: Connection
) -> None:
    be_quiet()
    if threads is not None:
        torch.set_num_threads(threads)
    if is_ours:
        keep_freed_memory()
    torch.manual_seed(0)
    work = factory()
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        start = time.perf_counter()
        value = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        connection.send((time.perf_counter() - start, value))


def be_quiet() -> None:
    """Keeps what a training prints, and what it warns of, out of the table."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)


def race(
    ours: Mapping[str, Callable[[], Work]],
    peers: Mapping[str, Callable[[], Work]],
    repeats: int,
    warm_ups: int = 3,
    jobs: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Timed]:
    """Returns the median seconds of each work.

    The works take turns, so that a busy machine slows all of them alike, and live in processes of
    their own, so that each has the memory and the settings its user would have.

    Args:
        ours: Builders of the works that run as under ``cli.py``.
        peers: Builders of the others.
        repeats: Timed turns.
        warm_ups: Turns before, not counted.
        jobs: Processes of one of ours that work side by side, where they are not one.
    """
    runners = {name: SideBySide(factory, jobs.get(name, 1)) for name, factory in ours.items()}
    runners |= {name: Runner(factory, is_ours=False) for name, factory in peers.items()}
    turns: dict[str, list[Timed]] = {name: [] for name in runners}
    try:
        for _ in range(warm_ups + repeats):
            for name, runner in runners.items():
                turns[name].append(runner.run())
                time.sleep(_REST)
    finally:
        for runner in runners.values():
            runner.stop()
    return {
        name: Timed(statistics.median(turn.seconds for turn in timed[warm_ups:]), timed[-1].value)
        for name, timed in turns.items()
    }
