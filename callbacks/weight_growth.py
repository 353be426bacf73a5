"""Watches the norms that batch normalisation turns into learning rates."""

import logging
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn

from regularizer_collection.callbacks.log_alike import log_alike
from regularizer_collection.callbacks.normalised_layers import normalised_layers

_log = logging.getLogger("pytorch_lightning.callbacks.weight_growth")
_TOO_MUCH = 10


class WeightGrowth(Callback):
    """Logs each weight before a batch normalisation: its norm and its effective learning rate.

    Such a weight turns by about lr / ||W||^2 in a step (van Laarhoven 2017, arXiv 1706.05350), so
    one that has blown up stays slow for the rest of the run. ``weight_norm/<layer>`` and
    ``effective_rate/<layer>`` have a value an epoch; a norm that grows tenfold within the first
    epoch is told at once, one time.
    """

    def __init__(self) -> None:
        self._weights: dict[str, nn.Parameter] | None = None
        self._initial: dict[str, torch.Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier training, whose network may have been another."""
        self._weights, self._initial = None, {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Finds the weights in the first batch, and notes the norms of a run that starts."""
        if self._weights is not None:
            return
        try:
            self._weights = normalised_layers(trainer, pl_module, batch)
        except Exception as error:  # any, of a user's network: curves alone are lost
            rank_zero_warn(f"weight_norm/ and effective_rate/ are left out: {error}")
            self._weights = {}
        self._initial = self._norms() if trainer.global_step == 0 else {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compares the norms every ``log_every_n_steps`` batches of the first epoch."""
        interval = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if trainer.current_epoch == 0 and (batch_idx + 1) % interval == 0:
            self._warn(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs norms and rates."""
        if trainer.current_epoch == 0:
            self._warn(trainer, pl_module)
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        for layer, norm in self._norms().items():
            log_alike(pl_module, f"weight_norm/{layer}", norm)
            log_alike(pl_module, f"effective_rate/{layer}", rate / norm.square())

    def _warn(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._initial or not trainer.is_global_zero:
            return
        norms = self._norms()
        layers = list(norms)
        ratios = torch.stack([norms[layer] / self._initial[layer] for layer in layers])
        ratio, worst = (value.item() for value in ratios.max(0))
        if ratio >= _TOO_MUCH:
            layer = layers[int(worst)]
            _log.warning(
                f"the norm of {layer} grew from {self._initial[layer]:.3g} to {norms[layer]:.3g} "
                f"in {trainer.global_step} steps, so batch normalisation slows it "
                f"{ratio**2:.0f}-fold for good; give penalty_warmup_steps, "
                "trainer.gradient_clip_val or a lower learning rate"
            )
            self._initial = {}

    def _norms(self) -> dict[str, torch.Tensor]:
        weights = self._weights or {}
        return {layer: weight.detach().norm() for layer, weight in weights.items()}
