import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from regularizer_collection.experiments import progress
from regularizer_collection.experiments.progress import StudyProgress, run_table
from regularizer_collection.experiments.run import Run

STATES = {
    Run("svb", seed, Path("/runs")): state
    for seed, state in enumerate(
        [
            "finished, test accuracy 47.00 %",
            "failed",
            "epoch 3/15, accuracy 31.00 %, 20 min left",
            "epoch 0/?",
            *["waiting"] * 30,
        ]
    )
}


def written(height):
    console = Console(file=io.StringIO(), width=80)
    console.print(run_table(STATES, height))
    return console.file.getvalue()


def test_a_terminal_with_room_shows_all_runs():
    lines = written(height=60).splitlines()
    assert sum("waiting" in line for line in lines) == 30
    assert len(lines) <= 60


@pytest.mark.parametrize("height", [10, 24, len(STATES)])
def test_without_room_for_all_it_shows_those_at_work_and_counts_the_others(height):
    text = written(height)
    assert "epoch 3/15, accuracy 31.00 %, 20 min left" in text
    assert "epoch 0/?" in text
    assert "1 finished, 1 failed, 30 waiting" in text
    assert len(text.splitlines()) <= height


def test_the_time_left_is_that_of_the_epochs_seen(monkeypatch, capsys):
    """A run that was continued after three epochs has seen two more in ten minutes."""
    now = {"seconds": 1000.0, "epoch": 3}
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now["seconds"]))
    monkeypatch.setattr(Run, "progress", lambda self: (now["epoch"], 15, 0.31))
    run = Run("svb", 0, Path("/runs"))
    shown = StudyProgress([run])
    shown.look_at(run)
    now |= {"seconds": 1600.0, "epoch": 5}
    shown.look_at(run)
    assert capsys.readouterr().out.splitlines() == [
        "svb seed 0: epoch 3/15, accuracy 31.00 %",
        "svb seed 0: epoch 5/15, accuracy 31.00 %, 50 min left",
    ]
