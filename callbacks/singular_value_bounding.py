"""Singular value bounding around training (Jia, Tao, Gao, Xu, CVPR 2017)."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from regularizer_collection.functional.singular_values import bound_singular_values_, check_eps


class SingularValueBounding(Callback):
    """Bounds the singular values of every weight matrix after optimizer steps n, 2n, 3n, ...

    Weights of 2 or more dimensions count as matrices [out, rest]. With several processes each
    bounds its share of the weights and sends them to the others, so all hold the same bits.

    Args:
        eps: Width of the band [1 / (1 + eps), 1 + eps].
        every_n_steps: Optimizer steps between two boundings.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, eps: float = 0.05, every_n_steps: int = 600) -> None:
        check_eps(eps)
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps is {every_n_steps}; give 1 or more")
        self.eps = eps
        self.every_n_steps = every_n_steps
        self.last_step = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Bounds the weights once at every multiple of ``every_n_steps``."""
        step = trainer.global_step
        if step == self.last_step or step % self.every_n_steps:
            return
        self.last_step = step
        self.bound_(pl_module, trainer.global_rank, trainer.world_size)

    def bound_(self, module: nn.Module, rank: int = 0, world_size: int = 1) -> None:
        """Bounds the weights of a module in place, the share of one rank sent to all."""
        matrices = [p for p in module.parameters() if p.ndim >= 2]
        for index, weight in enumerate(matrices):
            if index % world_size == rank:
                bound_singular_values_(weight, self.eps)
        if world_size > 1:
            for index, weight in enumerate(matrices):
                # A collective needs dense memory; channels_last weights are dense in that order.
                torch.distributed.broadcast(_dense(weight.data), src=index % world_size)

    def state_dict(self) -> dict[str, Any]:
        """Returns the last step that was bounded."""
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the last step that was bounded."""
        self.last_step = state_dict["last_step"]


def _dense(weight: torch.Tensor) -> torch.Tensor:
    return weight.permute(0, 2, 3, 1) if weight.ndim == 4 and not weight.is_contiguous() else weight
