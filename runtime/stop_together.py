"""Signals at which all processes of a run stop at the same batch."""

import signal
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import SIGTERMException

from regularizer_collection.callbacks.deferred_signals import DeferredSignals, signals_of_all


class StopTogether(Callback):
    """Lets several processes answer SIGTERM, Ctrl-C and Slurm's signal at the end of a batch.

    One process alone answers them by itself. In a test they wait for the next measurement, see
    :meth:`~regularizer_collection.callbacks.Measurement.measure_each`. Where there is none, and in
    ``validate`` and ``predict``, SIGTERM waits for the end. Lightning gives the signals back to who
    had them when it has ended.
    """

    def __init__(self) -> None:
        self._signals: DeferredSignals | None = None

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts SIGTERM off until the first batch."""
        _put_off({signal.SIGTERM}, trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts signals off until the end of each batch."""
        self._signals = _put_off(signals_of_all(trainer.strategy), trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts signals off until the next measurement."""
        _put_off(signals_of_all(trainer.strategy), trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts SIGTERM off until the end, where nothing is trained."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            _put_off({signal.SIGTERM}, trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts SIGTERM off until the end."""
        _put_off({signal.SIGTERM}, trainer)

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


def _put_off(numbers: set[int], trainer: Trainer) -> DeferredSignals | None:
    # By Lightning's hooks for the start of a stage it has its handlers; earlier it had none.
    return DeferredSignals(numbers).__enter__() if trainer.world_size > 1 else None
