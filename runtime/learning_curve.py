"""What a run's TensorBoard events tell about its course."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from regularizer_collection.callbacks.dashboard import WALL_TIME

TAGS = (
    *("train/accuracy", "test_curve/accuracy", "val/accuracy"),
    *("jacobian/norm", "svb/sigma_min", "svb/sigma_max"),
)
"""Curves with one point an epoch."""


def learning_curve(folder: Path) -> dict[str, list[list[float]]]:
    """Reads [step, value] pairs of the epochs' metrics, over all restarts of the run.

    Args:
        folder: Folder of the run.

    Returns:
        Pairs in the order of the steps for each tag that was logged.
    """
    curves: dict[str, dict[int, float]] = {}
    for events in _events(folder):
        for tag in set(TAGS) & set(events.Tags()["scalars"]):
            for event in events.Scalars(tag):
                curves.setdefault(tag, {})[event.step] = event.value
    return {tag: [[step, curve[step]] for step in sorted(curve)] for tag, curve in curves.items()}


def wall_time(folder: Path) -> float:
    """Sums the seconds of training and testing, over all restarts of the run."""
    logged = [events for events in _events(folder) if WALL_TIME in events.Tags()["scalars"]]
    return sum(events.Scalars(WALL_TIME)[-1].value for events in logged)


def _events(folder: Path) -> list[EventAccumulator]:
    paths = sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime)
    events = [EventAccumulator(str(path), {"scalars": 0}) for path in paths]
    return [accumulator.Reload() for accumulator in events]
