"""Lets a training go on for some steps at a time, so that it can be timed in turn with others."""

from threading import Semaphore, Thread
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from benchmarks.race import Work
from regularizer_collection.__main__ import main

_go, _done = Semaphore(0), Semaphore(0)


class Turns(Callback):
    """Waits after every n-th step until it may go on."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Waits."""
        if trainer.global_step % self.steps == 0:
            _done.release()
            _go.acquire()


def fit_in_turns(arguments: list[str], steps: int) -> Work:
    """Starts ``cli.py fit`` and returns the work of some more steps of it.

    Args:
        arguments: Command line after ``fit``.
        steps: Steps in each turn.
    """
    turns = f"{__name__}.Turns"
    thread = Thread(
        target=_fit,
        args=(
            [
                *("fit", *arguments, "--allow_imports", "benchmarks"),
                *("--trainer.callbacks+", turns, "--trainer.callbacks.steps", str(steps)),
            ],
        ),
        daemon=True,
    )
    thread.start()
    _done.acquire()

    def work() -> None:
        _go.release()
        _done.acquire()
        if not thread.is_alive():
            raise RuntimeError("the training ended before its last turn; give it more epochs")

    return work


def _fit(arguments: list[str]) -> None:
    try:
        main(arguments)
    finally:
        _done.release()
