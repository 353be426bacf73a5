"""Signals at which all processes of a run stop at the same batch."""

import signal
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException

from regularizer_collection.callbacks.deferred_signals import DeferredSignals


class StopTogether(Callback):
    """Lets several processes answer SIGTERM, Ctrl-C and Slurm's signal at the end of a batch.

    One process alone answers them by itself. Of a test, see
    :meth:`~regularizer_collection.callbacks.Measurement.measure_each`.
    """

    def __init__(self) -> None:
        self._signals: DeferredSignals | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts signals off, now that Lightning has its handlers, until it takes them back."""
        self._signals = _deferred(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts signals off; the next measurement answers them."""
        _deferred(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Answers what has come to any process; at SIGTERM, Lightning ends the training soon."""
        self._answer(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answers what came after the last batch.

        Raises:
            SIGTERMException: If that is SIGTERM, which Lightning no longer looks for.
        """
        self._answer(trainer)
        if self._signals and trainer.received_sigterm:
            raise SIGTERMException

    def _answer(self, trainer: Trainer) -> None:
        if self._signals is None:
            return
        numbers = self._signals.numbers
        came = torch.tensor(
            [number in self._signals.noted for number in numbers],
            dtype=torch.uint8,
            device=trainer.strategy.root_device,
        )
        dist.all_reduce(came, dist.ReduceOp.MAX)
        for number, is_here in zip(numbers, came.tolist(), strict=True):
            if is_here:
                self._signals.answer(number)


def _deferred(trainer: Trainer) -> DeferredSignals | None:
    if trainer.world_size == 1:
        return None
    environment = getattr(trainer.strategy, "cluster_environment", None)
    requeue = getattr(environment, "requeue_signal", None)  # which is Slurm's
    numbers = {signal.SIGINT, signal.SIGTERM} | ({requeue} if requeue else set())
    return DeferredSignals(numbers).__enter__()
