"""A run's own record of its metrics, whatever loggers it has."""

import json
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from regularizer_collection.runtime.atomic_write import atomic_write

NAME = "history.json"


class History(Logger):
    """Keeps every metric as [step, value] pairs in ``history.json``, whole after each epoch.

    What a continued run logs again takes the place of what it had logged after the checkpoint.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / NAME
        self.curves: dict[str, list[list[float]]] | None = None
        self._has_news = False

    @property
    def name(self) -> str:
        """No folder of its own."""
        return ""

    @property
    def version(self) -> str:
        """No folder of its own."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Keeps none: the config stands beside the history."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds the values of a step, but for those of a test, which has its results."""
        metrics = {
            tag: value
            for tag, value in metrics.items()
            if tag != "epoch" and not tag.startswith("test/")
        }
        if not metrics:
            return
        step = step or 0
        if self.curves is None:
            self.curves = read_history(self.path.parent)
        for tag, value in metrics.items():
            curve = self.curves.setdefault(tag, [])
            while curve and curve[-1][0] >= step:
                curve.pop()
            curve.append([step, float(value)])
        self._has_news |= not all(map(_is_of_steps, metrics))

    @rank_zero_only
    def save(self) -> None:
        """Writes the file where an epoch's metrics came in; Lightning asks for it all the time."""
        if self._has_news:
            self._write()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes the file."""
        if self.curves is not None:
            self._write()

    def _write(self) -> None:
        with atomic_write(self.path) as file:
            json.dump(self.curves, file)
        self._has_news = False


def take_history(checkpoint: Path, folder: Path) -> None:
    """Copies the history of the run that a checkpoint lies in to where that run goes on.

    Args:
        checkpoint: Checkpoint in the folder ``checkpoints`` of a run.
        folder: Folder of the run, which keeps a history that it has.
    """
    source, own = checkpoint.parent.parent / NAME, folder / NAME
    if checkpoint.parent.name == "checkpoints" and source.is_file() and not own.exists():
        shutil.copyfile(source, own)


def read_history(folder: Path) -> dict[str, list[list[float]]]:
    """Returns the [step, value] pairs of each metric of a run; none where it has no history.

    Raises:
        ValueError: If the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        history = json.loads(path.read_text())
    except json.JSONDecodeError:
        history = None
    if not isinstance(history, dict):
        raise ValueError(f"{path} is damaged; move the run's folder away")
    return history


def epoch_curves(history: dict[str, list[list[float]]]) -> dict[str, list[list[float]]]:
    """Returns the metrics with one value an epoch, without those of single steps."""
    return {tag: curve for tag, curve in history.items() if not _is_of_steps(tag)}


def _is_of_steps(tag: str) -> bool:
    return tag == "lr" or (tag.startswith("train/") and tag != "train/accuracy")
