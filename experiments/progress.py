"""What a study shows of its runs while it makes them."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.table import Table

from regularizer_collection.experiments.run import Run

_LINES_AROUND_ROWS = 5
_WAITING = "waiting"


class StudyProgress:
    """A table of the runs on a terminal; elsewhere a line for each run and epoch, at once.

    Args:
        runs: Runs of the study, in the order of the table.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._states = dict.fromkeys(runs, _WAITING)
        self._started: dict[Run, tuple[float, int]] = {}
        self._live = Live(refresh_per_second=1) if sys.stdout.isatty() else None

    def __enter__(self) -> Self:
        """Opens the table."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the table."""
        if self._live:
            self._live.stop()

    def look_at(self, run: Run) -> None:
        """Shows how far a run is: epochs, accuracy and the time that it still needs."""
        done, epochs, accuracy = run.progress()
        started, first_epoch = self._started.setdefault(run, (time.monotonic(), done))
        state = f"epoch {done}/{epochs or '?'}"
        if accuracy is not None:
            state += f", accuracy {100 * accuracy:.2f} %"
        if done > first_epoch and epochs:
            per_epoch = (time.monotonic() - started) / (done - first_epoch)
            state += f", {per_epoch * (epochs - done) / 60:.0f} min left"
        is_new_epoch = self._states[run].partition(",")[0] != state.partition(",")[0]
        self._show(run, state, prints=is_new_epoch and done > 0)

    def end(self, run: Run, state: str) -> None:
        """Shows how a run ended."""
        self._show(run, state, prints=True)

    def _show(self, run: Run, state: str, prints: bool) -> None:
        self._states[run] = state
        if self._live:
            self._live.update(run_table(self._states, self._live.console.height))
        elif prints:
            print(f"{run.variant} seed {run.seed}: {state}", flush=True)


def run_table(states: Mapping[Run, str], height: int) -> Table:
    """Returns all runs with their states, or where they do not fit those at work, and counts.

    Args:
        states: State of each run.
        height: Lines of the terminal.
    """
    table = Table("variant", "seed", "state")
    words = {run: state.partition(",")[0].partition(" ")[0] for run, state in states.items()}
    is_all = len(states) + _LINES_AROUND_ROWS <= height
    for run, state in states.items():
        if is_all or words[run] == "epoch":
            table.add_row(run.variant, str(run.seed), state)
    if not is_all:
        others = Counter(word for word in words.values() if word != "epoch")
        table.caption = ", ".join(f"{number} {word}" for word, number in others.items())
    return table
