"""Stops a run that has diverged."""

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

_NEVER = 2**62


class StopOnNonFiniteLoss(Callback):
    """Stops at a loss or a weight that is not finite, before another checkpoint is written.

    The loss is watched on the device and read every ``log_every_n_steps`` batches and at the end of
    each epoch, so that no step waits for it. Weights are read at the end of each epoch: no loss
    shows what the last step of all did to them.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts with nothing seen."""
        self._first_bad_step = torch.full((), _NEVER, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the first step whose loss is not finite.

        Raises:
            FloatingPointError: If one was, every ``log_every_n_steps`` batches.
        """
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if not isinstance(loss, Tensor):  # manual optimization need not return one
            return
        bad_step = torch.where(loss.isfinite(), _NEVER, trainer.global_step)
        self._first_bad_step = torch.minimum(self._first_bad_step, bad_step)
        interval = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if (batch_idx + 1) % interval == 0:
            self._raise_if_seen(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads what was noted, and the weights, before the epoch's checkpoint.

        Raises:
            FloatingPointError: If a loss or a weight is not finite.
        """
        self._raise_if_seen(trainer)
        if not all(bool(weight.isfinite().all()) for weight in pl_module.parameters()):
            self._stop(trainer, f"a weight is not finite after step {trainer.global_step}")

    def _raise_if_seen(self, trainer: Trainer) -> None:
        step = int(trainer.strategy.reduce(self._first_bad_step, reduce_op="min"))
        if step != _NEVER:
            self._stop(trainer, f"the loss is not finite at step {step}")

    def _stop(self, trainer: Trainer, found: str) -> NoReturn:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        raise FloatingPointError(
            f"{found} (learning rate {rate:g}); lower the rate or the regularizer's coefficient, "
            "the last checkpoint is kept"
        )
