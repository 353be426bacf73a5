"""Noise on the weights (Graves 2011, Practical variational inference, section 3.1)."""

import math

import torch
from torch import Tensor
from torch.linalg import vector_norm

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.weights import weight_matrices
from regularizer_collection.regularizers.regularizer import Loss, Regularizer
from regularizer_collection.regularizers.second_pass import loss_at
from regularizer_collection.regularizers.step import Step


class WeightNoise(Regularizer):
    """Takes the loss and its gradient at w + n, and applies the gradient to w.

    n is normal with standard deviation std * ||W|| / sqrt(elements) in each weight matrix W, drawn
    anew in every step: relative, since noise of a fixed size would vanish beside weights that grow
    before a batch normalisation.

    Args:
        std: Standard deviation as a share of the matrix's root mean square.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, std: float = 0.02) -> None:
        super().__init__()
        check_at_least("std", std, 0)
        self.std = std

    def wrap(self, loss: Loss, step: Step) -> Loss:
        """Evaluates the loss at the moved weights; any number of processes moves them the same."""
        return (lambda: self._noisy(loss, step)) if self.std else loss

    def _noisy(self, loss: Loss, step: Step) -> Tensor:
        weights = weight_matrices(step.backbone)
        device = next(iter(weights.values())).device
        generator = step.generator("weight noise", device, shared=True)
        moved = {}
        for name, weight in weights.items():
            noise = torch.randn(
                weight.shape, generator=generator, dtype=weight.dtype, device=device
            )
            scale = self.std * vector_norm(weight.detach()) / math.sqrt(weight.numel())
            moved[name] = torch.addcmul(weight, noise, scale)
        return loss_at(step.backbone, moved, loss)
