"""Times works in turn, each in a process of its own."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

import torch

from experiments.memory import keep_freed_memory

Work = Callable[[], object]
_REST = 0.02  # seconds, for the threads of the process before to fall asleep


class Runner:
    """A process that makes one work again and again.

    Args:
        factory: Builds the work, in the process; must be picklable.
        is_ours: Whether the process is set up as ``cli.py`` sets up its own.
    """

    def __init__(self, factory: Callable[[], Work], is_ours: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(factory, is_ours, other), daemon=True)
        self._process.start()

    def seconds(self) -> float:
        """Makes the work once."""
        self._connection.send("go")
        try:
            return float(self._connection.recv())
        except EOFError as error:
            raise RuntimeError("a benchmarked work failed; its traceback stands above") from error

    def stop(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()


def _serve(factory: Callable[[], Work], is_ours: bool, connection: Connection) -> None:
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
        work()
        connection.send(time.perf_counter() - start)


def race(
    factories: Mapping[str, Callable[[], Work]], repeats: int, warm_ups: int = 3
) -> dict[str, float]:
    """Returns the median seconds of each work.

    The works take turns, so that a busy machine slows all of them alike, and live in processes of
    their own, so that each has the memory and the settings its user would have.

    Args:
        factories: Builders of the works; the one named "ours" runs as under ``cli.py``.
        repeats: Timed turns.
        warm_ups: Turns before, not counted.
    """
    runners = {name: Runner(factory, name == "ours") for name, factory in factories.items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(warm_ups + repeats):
        for name, runner in runners.items():
            seconds = runner.seconds()
            if turn >= warm_ups:
                times[name].append(seconds)
            time.sleep(_REST)
    for runner in runners.values():
        runner.stop()
    return {name: statistics.median(values) for name, values in times.items()}
