"""Batch normalisation over the batches of all processes."""

import torch.distributed as dist
from pytorch_lightning.plugins import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from regularizer_collection.functional.batch_norm import synchronized_batch_norm


class SyncBatchNorm(TorchSyncBatchNorm):
    """What ``Trainer(sync_batchnorm=True)`` does, for a Jacobian penalty and on the CPU too.

    Given to the trainer under ``plugins``, it takes the place of ``torch.nn.SyncBatchNorm``, which
    cannot be differentiated twice and refuses the CPU.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Synchronises every batch normalisation of a model in place, and returns the model."""
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                own_class = type(module)
                module.__class__ = SynchronizedBatchNorm
                module.unsynchronized_class = own_class  # type: ignore[assignment]
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Gives every batch normalisation its own class back, and returns the model."""
        for module in model.modules():
            if isinstance(module, SynchronizedBatchNorm):
                module.__class__ = module.unsynchronized_class  # type: ignore[assignment]
        return model


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of maps [batch, channels, ...] over the batches of all processes."""

    unsynchronized_class: type[_BatchNorm]

    def forward(self, input: Tensor) -> Tensor:
        """Normalises with the statistics of all processes in training, else the running ones."""
        if not self.training or dist.get_world_size() == 1:
            return super().forward(input)
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked  # the cumulative average
        return synchronized_batch_norm(
            input,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            momentum,
            self.eps,
        )

    def _check_input_dim(self, input: Tensor) -> None:
        """Leaves the number of dimensions to the class that was synchronised."""
