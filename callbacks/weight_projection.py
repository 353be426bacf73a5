"""The base of callbacks that move weights after an optimizer step."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from regularizer_collection.callbacks.running_statistics import (
    reestimate_running_statistics,
    training_batches,
)
from regularizer_collection.functional.checks import check_at_least


class WeightProjection(Callback):
    """Projects weights of the backbone after optimizer steps n, 2n, 3n, ...

    Batch normalisation's running statistics are those of the weights before, so they are estimated
    anew from ten training batches. With several processes each projects its share of the weights
    and sends them to the others, so all hold the same bits.

    In a LightningModule without a ``backbone`` the whole module is projected.

    Args:
        every_n_steps: Optimizer steps between two projections.
        at_start: Projects after the first optimizer step too.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, every_n_steps: int = 600, at_start: bool = False) -> None:
        check_at_least("every_n_steps", every_n_steps, 1)
        self.every_n_steps = every_n_steps
        self.at_start = at_start
        self.last_step = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets an earlier training, whose network may have been another."""
        if stage == "fit" and trainer.global_step == 0:
            self.forget()

    def forget(self) -> None:
        """Begins as if nothing had been trained."""
        self.last_step = 0

    @abstractmethod
    def weights(self, network: nn.Module) -> dict[str, nn.Parameter]:
        """Returns the weights to project, by name."""

    @abstractmethod
    def project_(self, name: str, weight: nn.Parameter) -> None:
        """Projects one of them in place."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Projects once at every multiple of ``every_n_steps``, and at the start if asked to."""
        step = trainer.global_step  # which several optimizers let jump
        is_first = self.at_start and self.last_step == 0 < step
        if step // self.every_n_steps == self.last_step // self.every_n_steps and not is_first:
            return
        self.last_step = step
        network = backbone_of(pl_module)
        self.project_all_(network, trainer.global_rank, trainer.world_size)
        with trainer.precision_plugin.train_step_context():
            batches = training_batches(trainer, pl_module, step)
            reestimate_running_statistics(network, batches)
        if trainer.world_size > 1:
            for buffer in network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says so if no weight was ever projected."""
        is_trial = bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
        if not self.last_step and not is_trial:
            rank_zero_warn(
                f"{type(self).__name__} acts every {self.every_n_steps} steps and never did in the "
                f"{trainer.global_step} of this training; give a lower every_n_steps"
            )

    def project_all_(self, network: nn.Module, rank: int = 0, world_size: int = 1) -> None:
        """Projects the weights of a network in place, the share of one rank sent to all."""
        weights = self.weights(network)
        for index, (name, weight) in enumerate(weights.items()):
            if index % world_size == rank:
                with torch.no_grad():
                    self.project_(name, weight)
        if world_size > 1:
            for index, weight in enumerate(weights.values()):
                torch.distributed.broadcast(_dense(weight.data), src=index % world_size)

    def state_dict(self) -> dict[str, Any]:
        """Returns the last step in which weights were projected."""
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the last step in which weights were projected."""
        self.last_step = state_dict["last_step"]


def backbone_of(pl_module: LightningModule) -> nn.Module:
    """Returns a module's backbone, or the module itself where it calls none so."""
    backbone = getattr(pl_module, "backbone", pl_module)
    return backbone if isinstance(backbone, nn.Module) else pl_module


def _dense(weight: Tensor) -> Tensor:
    """Returns a view whose memory is dense in order, as a collective needs it."""
    return weight.permute(0, 2, 3, 1) if weight.ndim == 4 and not weight.is_contiguous() else weight
